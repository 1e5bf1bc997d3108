"""How affordances travel: MQTT topics, CoAP resources, DNS-SD services.

Topics, client ids and names may hold ``{unit}``, which stands for the unit's own identifier and is
replaced while a profile is loaded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from harness.model.base import Part, Quality, Seconds, Value
from harness.model.serial import SerialBinding

Topic = Annotated[str, Field(min_length=1, pattern=r"^[^+#\x00]+$", description="MQTT topic name")]


class Availability(Part):
    """The topic that tells whether the device is there; also its last will (MQTT 3.1.1, 3.1.2.5)."""

    topic: Topic
    online: str = Field("online", description="payload while the device is there")
    offline: str = Field("offline", description="payload once it is gone, and of the last will")
    qos: Quality = 1
    retain: bool = Field(True, description="the broker keeps it for those who come later")


class Reconnect(Part):
    """How the device comes back after it lost the broker."""

    first: Seconds = Field(1.0, description="longest pause before the first attempt")
    maximum: Seconds = Field(25.0, description="longest pause between attempts")


class Sleep(Part):
    """A device on a battery: it is connected only while it has something to say."""

    awake: Seconds = Field(description="stays connected this long after its last report")
    wakes_every: Seconds | None = Field(None, description="wakes to report its properties, pressed or not")


class MqttProperty(Part):
    """A property over MQTT. ``values`` maps what stands in the payload to the property's values."""

    state: Topic
    command: Topic | None = Field(None, description="topic of commands; none where it cannot be written")
    member: str | None = Field(None, description="member of a JSON object in the state payload")
    command_member: str | None = Field(None, description="member of a JSON object in the command payload")
    values: dict[str, Value] | None = Field(
        None, description="payload text to value, such as ON: true; without it payloads are JSON"
    )
    qos: Quality = 0
    command_qos: Quality = 1
    retain: bool = Field(True, description="the broker keeps the state for those who come later")


class MqttAction(Part):
    """An action over MQTT: its input is published to ``command``."""

    command: Topic
    command_qos: Quality = 1


class MqttEvent(Part):
    """An event over MQTT: its data is published to ``topic``."""

    topic: Topic
    member: str | None = Field(None, description="member of a JSON object in the payload")
    values: dict[str, Value] | None = Field(
        None, description="payload text to value; without it payloads are JSON"
    )
    qos: Quality = 0
    retain: bool = Field(False, description="the broker keeps it; an event is told once, so it should not")


class MqttBinding(Part):
    """The device as an MQTT client."""

    version: Literal["3.1.1", "5.0"] = Field("3.1.1", description="protocol version")
    base: Topic = Field(description="every topic of the device lies below it")
    client_id: str = Field(description="client identifier, different for each unit")
    keep_alive: int = Field(ge=0, le=65535, description="seconds; 0 turns it off")
    clean_session: bool = Field(True, description="the broker forgets the session when the connection ends")
    login: bool = Field(False, description="the device presents a user name and password")
    availability: Availability | None = Field(
        None, description="the topic that tells whether the device is there"
    )
    reconnect: Reconnect = Field(
        Reconnect(first=1.0, maximum=25.0), description="pauses after a lost connection"
    )
    maximum_payload: int = Field(
        1024, gt=0, description="largest command payload in bytes that is understood"
    )
    sleep: Sleep | None = Field(None, description="only for a device that sleeps between reports")
    properties: dict[str, MqttProperty] = Field({}, description="topics of properties, by their names")
    actions: dict[str, MqttAction] = Field({}, description="topics of actions, by their names")
    events: dict[str, MqttEvent] = Field({}, description="topics of events, by their names")

    @property
    def level(self) -> int:
        """The protocol level byte of CONNECT: 4 for 3.1.1, 5 for 5.0."""
        return 5 if self.version == "5.0" else 4


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


class CoapResource(Part):
    """A resource that is neither property, action nor event: fixed content, such as a log or an info page."""

    path: Path
    title: str | None = Field(None, description="short text for people")
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its representation")
    size: int = Field(64, ge=0, description="bytes of its representation, roughly")
    resource_type: str | None = Field(None, description="rt in the list of resources (RFC 6690)")
    takes: Seconds = Field(0.0, description="time to answer; a slow one answers separately (RFC 7252, 5.2.2)")


class CoapProperty(Part):
    """A property as a CoAP resource: GET, PUT when writable, observed when ``observe``."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its representation")
    observe: bool = Field(False, description="it can be observed (RFC 7641)")
    member: str | None = Field(None, description="member of an object in the representation")
    resource_type: str | None = Field(None, description="rt in the list of resources (RFC 6690)")
    interface: str | None = Field(None, description="if in the list of resources (RFC 6690)")


class CoapAction(Part):
    """An action as a CoAP resource that is POSTed to."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its input")


class CoapEvent(Part):
    """An event as an observable CoAP resource: each happening is one notification."""

    path: Path
    format: ContentFormat = Field(ContentFormat.JSON, description="format of its data")


class CoapBinding(Part):
    """The device as a CoAP server."""

    port: int = Field(5683, gt=0, le=65535, description="UDP port")
    observers: int = Field(4, ge=1, description="observations per resource that it can hold")
    confirmable_notifications: bool = Field(True, description="notifications are confirmable messages")
    properties: dict[str, CoapProperty] = Field({}, description="resources of properties, by their names")
    actions: dict[str, CoapAction] = Field({}, description="resources of actions, by their names")
    events: dict[str, CoapEvent] = Field({}, description="resources of events, by their names")
    resources: tuple[CoapResource, ...] = Field((), description="further resources")


class Speaks(StrEnum):
    """What answers at the port of a DNS-SD service."""

    HTTP = "http"
    COAP = "coap"
    TCP = "tcp"


class MdnsService(Part):
    """One DNS-SD service instance (RFC 6763)."""

    type: str = Field(pattern=r"^_[^.]+\._(tcp|udp)$", description="such as _http._tcp")
    instance: str = Field(description="name that people see")
    port: int = Field(gt=0, le=65535, description="port at which it answers")
    speaks: Speaks = Field(description="protocol that answers there")
    txt: dict[str, str] = Field({}, description="keys and values of the TXT record (RFC 6763, 6)")
    subtypes: tuple[str, ...] = Field((), description="subtypes that it is found by too (RFC 6763, 7.1)")


class MdnsBinding(Part):
    """The device as a multicast DNS responder (RFC 6762)."""

    host: str = Field(description="host name without .local")
    services: tuple[MdnsService, ...] = Field((), description="services that it announces")
    goodbye: bool = Field(True, description="says goodbye when it is stopped in order")


class Bindings(Part):
    """All transports of the device; those that it lacks are absent."""

    mqtt: MqttBinding | None = Field(None, description="the device as an MQTT client")
    coap: CoapBinding | None = Field(None, description="the device as a CoAP server")
    mdns: MdnsBinding | None = Field(None, description="the device as an mDNS responder")
    serial: SerialBinding | None = Field(None, description="the device's serial line")
