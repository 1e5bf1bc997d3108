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
    """A resource that is neither property, action nor event: fixed content, such as a log or an info page."""

    path: Path
    title: str | None = Field(None, description="short text for people")
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its representation")
    size: int = Field(64, ge=0, description="bytes of its representation, roughly")
    resource_type: str | None = Field(None, description="rt in the list of resources (RFC 6690)")
    takes: Seconds = Field(0.0, description="time to answer; a slow one answers separately (RFC 7252, 5.2.2)")


class CoapProperty(ProfilePart):
    """A property as a CoAP resource: GET, PUT when writable, observed when ``observe``."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its representation")
    observe: bool = Field(False, description="it can be observed (RFC 7641)")
    member: str | None = Field(None, description="member of an object in the representation")
    resource_type: str | None = Field(None, description="rt in the list of resources (RFC 6690)")
    interface: str | None = Field(None, description="if in the list of resources (RFC 6690)")


class CoapAction(ProfilePart):
    """An action as a CoAP resource that is POSTed to."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its input")


class CoapEvent(ProfilePart):
    """An event as an observable CoAP resource: each happening is one notification."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its data")


class CoapBinding(ProfilePart):
    """The device as a CoAP server."""

    port: int = Field(5683, gt=0, le=65535, description="UDP port")
    observers: int = Field(4, ge=1, description="observations per resource that it can hold")
    confirmable_notifications: bool = Field(True, description="notifications are confirmable messages")
    properties: dict[str, CoapProperty] = Field({}, description="resources of properties, by their names")
    actions: dict[str, CoapAction] = Field({}, description="resources of actions, by their names")
    events: dict[str, CoapEvent] = Field({}, description="resources of events, by their names")
    resources: tuple[CoapResource, ...] = Field((), description="further resources")
