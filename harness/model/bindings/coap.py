"""The device as a CoAP server: paths, methods, observation and content formats."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from harness.model.base import ProfilePart, Seconds


class ContentFormat(StrEnum):
    """Payload formats of CoAP resources, by the names people use; see :attr:`number`."""

    TEXT = "text"
    JSON = "json"
    CBOR = "cbor"

    @property
    def number(self) -> int:
        """CoAP Content-Format number (RFC 7252, 12.3)."""
        return {"text": 0, "json": 50, "cbor": 60}[self.value]


Path = Annotated[str, Field(pattern=r"^/[^\s?#]*$", description="path of a resource, such as /state/power")]


class CoapResource(ProfilePart):
    """A resource with fixed content, such as a log: neither a property, an action nor an event."""

    path: Path
    title: str | None = Field(None, description="short text for people")
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its representation")
    size: int = Field(64, ge=0, description="approximate size of its representation in bytes")
    resource_type: str | None = Field(None, description="rt attribute in the list of resources (RFC 6690)")
    takes: Seconds = Field(
        0.0, description="seconds to answer; a slow resource sends a separate response (RFC 7252, 5.2.2)"
    )


class CoapProperty(ProfilePart):
    """A property as a CoAP resource: GET, PUT when writable, observed when ``observe``."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its representation")
    observe: bool = Field(False, description="whether it can be observed (RFC 7641)")
    member: str | None = Field(None, description="member of an object in the representation")
    resource_type: str | None = Field(None, description="rt attribute in the list of resources (RFC 6690)")
    interface: str | None = Field(None, description="if attribute in the list of resources (RFC 6690)")


class CoapAction(ProfilePart):
    """An action as a CoAP resource that accepts POST."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its input")


class CoapEvent(ProfilePart):
    """An event as an observable CoAP resource: each occurrence is one notification."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its data")


class Transmission(ProfilePart):
    """The transmission parameters of the device for its confirmable messages (RFC 7252, 4.8)."""

    ack_timeout: Seconds = Field(2.0, description="ACK_TIMEOUT")
    ack_random_factor: float = Field(1.5, ge=1, description="ACK_RANDOM_FACTOR")
    max_retransmit: int = Field(4, ge=1, le=20, description="MAX_RETRANSMIT")

    @property
    def timeouts(self) -> int:
        """The sum of all timeouts, as a multiple of the first one."""
        return int(2 ** (self.max_retransmit + 1)) - 1

    @property
    def first_timeout(self) -> float:
        """The longest time in seconds until the first retransmission."""
        return self.ack_timeout * self.ack_random_factor

    @property
    def max_transmit_wait(self) -> float:
        """The longest time in seconds until the device gives up on a message (4.8.2)."""
        return self.first_timeout * self.timeouts


class CoapBinding(ProfilePart):
    """The device as a CoAP server."""

    port: int = Field(5683, gt=0, le=65535, description="UDP port")
    observers: int = Field(4, ge=1, description="number of observations that each resource can hold")
    confirmable_notifications: bool = Field(
        True, description="whether notifications are confirmable messages"
    )
    links: bool = Field(
        True, description="whether the device lists its resources at /.well-known/core (RFC 6690)"
    )
    transmission: Transmission | None = Field(
        None, description="transmission parameters; left out: they are measured, or the defaults apply"
    )
    properties: dict[str, CoapProperty] = Field({}, description="resources of properties, by their names")
    actions: dict[str, CoapAction] = Field({}, description="resources of actions, by their names")
    events: dict[str, CoapEvent] = Field({}, description="resources of events, by their names")
    resources: tuple[CoapResource, ...] = Field((), description="further resources")
