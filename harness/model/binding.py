"""How affordances travel: MQTT topics, CoAP resources, DNS-SD services.

Topics, client ids and names may hold ``{unit}``, which stands for the unit's own identifier and is
replaced while a profile is loaded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from harness.model.base import Part, Quality, Seconds, Value

Topic = Annotated[str, Field(min_length=1, pattern=r"^[^+#\x00]+$", description="MQTT topic name")]


class Availability(Part):
    """The topic that tells whether the device is there; also its last will (MQTT 3.1.1, 3.1.2.5)."""

    topic: Topic
    online: str = "online"
    offline: str = "offline"
    qos: Quality = 1
    retain: bool = True


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
    command: Topic | None = None
    member: str | None = Field(None, description="member of a JSON object in the state payload")
    command_member: str | None = Field(None, description="member of a JSON object in the command payload")
    values: dict[str, Value] | None = Field(
        None, description="payload text to value, such as ON: true; without it payloads are JSON"
    )
    qos: Quality = 0
    command_qos: Quality = 1
    retain: bool = True


class MqttAction(Part):
    """An action over MQTT: its input is published to ``command``."""

    command: Topic
    command_qos: Quality = 1


class MqttEvent(Part):
    """An event over MQTT: its data is published to ``topic``."""

    topic: Topic
    member: str | None = None
    values: dict[str, Value] | None = None
    qos: Quality = 0
    retain: bool = False


class MqttBinding(Part):
    """The device as an MQTT client."""

    version: Literal["3.1.1", "5.0"] = "3.1.1"
    base: Topic = Field(description="every topic of the device lies below it")
    client_id: str
    keep_alive: int = Field(ge=0, le=65535, description="seconds; 0 turns it off")
    clean_session: bool = True
    login: bool = Field(False, description="the device presents a user name and password")
    availability: Availability | None = None
    reconnect: Reconnect = Reconnect(first=1.0, maximum=25.0)
    maximum_payload: int = Field(
        1024, gt=0, description="largest command payload in bytes that is understood"
    )
    sleep: Sleep | None = None
    properties: dict[str, MqttProperty] = {}
    actions: dict[str, MqttAction] = {}
    events: dict[str, MqttEvent] = {}

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
    title: str | None = None
    format: ContentFormat = ContentFormat.JSON
    size: int = Field(64, ge=0, description="bytes of its representation, roughly")
    resource_type: str | None = None
    takes: Seconds = Field(0.0, description="time to answer; a slow one answers separately (RFC 7252, 5.2.2)")


class CoapProperty(Part):
    """A property as a CoAP resource: GET, PUT when writable, observed when ``observe``."""

    path: Path
    format: ContentFormat = ContentFormat.JSON
    observe: bool = False
    member: str | None = None
    resource_type: str | None = None
    interface: str | None = None


class CoapAction(Part):
    """An action as a CoAP resource that is POSTed to."""

    path: Path
    format: ContentFormat = ContentFormat.JSON


class CoapEvent(Part):
    """An event as an observable CoAP resource: each happening is one notification."""

    path: Path
    format: ContentFormat = ContentFormat.JSON


class CoapBinding(Part):
    """The device as a CoAP server."""

    port: int = Field(5683, gt=0, le=65535)
    observers: int = Field(4, ge=1, description="observations per resource that it can hold")
    confirmable_notifications: bool = True
    properties: dict[str, CoapProperty] = {}
    actions: dict[str, CoapAction] = {}
    events: dict[str, CoapEvent] = {}
    resources: tuple[CoapResource, ...] = ()


class Speaks(StrEnum):
    """What answers at the port of a DNS-SD service."""

    HTTP = "http"
    COAP = "coap"
    TCP = "tcp"


class MdnsService(Part):
    """One DNS-SD service instance (RFC 6763)."""

    type: str = Field(pattern=r"^_[^.]+\._(tcp|udp)$", description="such as _http._tcp")
    instance: str
    port: int = Field(gt=0, le=65535)
    speaks: Speaks
    txt: dict[str, str] = {}
    subtypes: tuple[str, ...] = ()


class MdnsBinding(Part):
    """The device as a multicast DNS responder (RFC 6762)."""

    host: str = Field(description="host name without .local")
    services: tuple[MdnsService, ...] = ()
    goodbye: bool = Field(True, description="says goodbye when it is stopped in order")


class Bindings(Part):
    """All transports of the device; those that it lacks are absent."""

    mqtt: MqttBinding | None = None
    coap: CoapBinding | None = None
    mdns: MdnsBinding | None = None
