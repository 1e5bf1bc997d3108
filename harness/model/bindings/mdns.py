"""The device as an mDNS responder: names, addresses and DNS-SD services."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from harness.model.base import ProfilePart


class Speaks(StrEnum):
    """What answers at the port of a DNS-SD service."""

    HTTP = "http"
    COAP = "coap"
    TCP = "tcp"


class MdnsService(ProfilePart):
    """One DNS-SD service instance (RFC 6763)."""

    type: str = Field(pattern=r"^_[^.]+\._(tcp|udp)$", description="such as _http._tcp")
    instance: str = Field(description="name that users see")
    port: int = Field(gt=0, le=65535, description="port of the service")
    speaks: Speaks = Field(description="protocol of the service")
    txt: dict[str, str] = Field({}, description="keys and values of the TXT record (RFC 6763, 6)")
    subtypes: tuple[str, ...] = Field((), description="subtypes of the service (RFC 6763, 7.1)")


class MdnsBinding(ProfilePart):
    """The device as a multicast DNS responder (RFC 6762)."""

    host: str = Field(description="host name without .local")
    services: tuple[MdnsService, ...] = Field((), description="services that it announces")
    goodbye: bool = Field(True, description="whether the device sends goodbyes on an orderly stop")
