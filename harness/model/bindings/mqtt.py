"""The device as an MQTT client: topics, payloads, availability, reconnection and sleep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from harness.model.base import ProfilePart, Quality, Seconds, Value

TopicFilter = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$", description="MQTT topic filter")]
Topic = Annotated[str, Field(min_length=1, pattern=r"^[^+#\x00]+$", description="MQTT topic name")]


class Availability(ProfilePart):
    """The topic that reports whether the device is online; also its last will (MQTT 3.1.1, 3.1.2.5)."""

    topic: Topic
    online: str = Field("online", description="payload while the device is online")
    offline: str = Field(
        "offline", description="payload when the device goes offline; also that of the last will"
    )
    qos: Quality = 1
    retain: bool = Field(True, description="whether the message is retained")


class Reconnect(ProfilePart):
    """How the device reconnects after it lost the broker."""

    first: Seconds = Field(1.0, description="longest pause before the first attempt")
    maximum: Seconds = Field(25.0, description="longest pause between attempts")


class Sleep(ProfilePart):
    """A battery-powered device that connects only to report."""

    awake: Seconds = Field(description="seconds that it stays connected after its last report")
    wakes_every: Seconds | None = Field(
        None, description="seconds; it wakes this often to report, even without an event"
    )


class PlainText(Mapping[str, Value]):
    """Takes the place of a map of payload texts where the payload is the value itself."""

    def __getitem__(self, text: str) -> Value:
        return text

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True


PLAIN_TEXT = PlainText()


class PayloadFormat(StrEnum):
    """The format of a payload without ``values``."""

    JSON = "json"
    TEXT = "text"


class MqttProperty(ProfilePart):
    """A property over MQTT. ``values`` maps payload texts to the property's values."""

    state: Topic
    command: Topic | None = Field(None, description="topic of commands; left out: it cannot be written")
    member: str | None = Field(None, description="member of a JSON object in the state payload")
    command_member: str | None = Field(None, description="member of a JSON object in the command payload")
    values: dict[str, Value] | None = Field(
        None, description="payload text to value, such as ON: true; without it payloads are JSON"
    )
    qos: Quality = 0
    command_qos: Quality = 1
    retain: bool = Field(True, description="whether state messages are retained")
    format: PayloadFormat = Field(
        PayloadFormat.JSON, description="of payloads without `values`: `text` is plain text, for strings only"
    )

    @property
    def words(self) -> Mapping[str, Value] | None:
        """Payload text to value; in plain text every text is its own value. None: payloads are JSON."""
        return PLAIN_TEXT if self.format is PayloadFormat.TEXT else self.values


class MqttAction(ProfilePart):
    """An action over MQTT: its input is published to ``command``."""

    command: Topic
    command_qos: Quality = 1


class MqttEvent(ProfilePart):
    """An event over MQTT: its data is published to ``topic``."""

    topic: Topic
    member: str | None = Field(None, description="member of a JSON object in the payload")
    values: dict[str, Value] | None = Field(
        None, description="payload text to value; without it payloads are JSON"
    )
    qos: Quality = 0
    retain: bool = Field(
        False, description="whether the message is retained; events happen once, so it should not be"
    )


class MqttBinding(ProfilePart):
    """The device as an MQTT client."""

    version: Literal["3.1.1", "5.0"] = Field("3.1.1", description="protocol version")
    base: Topic = Field(description="prefix of every topic of the device")
    client_id: str = Field(description="client identifier, different for each unit")
    keep_alive: int = Field(ge=0, le=65535, description="seconds; 0 turns it off")
    clean_session: bool = Field(True, description="whether the session ends with the connection")
    login: bool = Field(False, description="whether the device presents a user name and password")
    availability: Availability | None = Field(
        None, description="the topic that reports whether the device is online"
    )
    reconnect: Reconnect = Field(
        Reconnect(first=1.0, maximum=25.0), description="pauses after a lost connection"
    )
    maximum_payload: int = Field(
        1024, gt=0, description="largest command payload that the device accepts, in bytes"
    )
    shared_topics: tuple[TopicFilter, ...] = Field(
        (), description="further topic filters outside the base, such as those of a convention"
    )
    sleep: Sleep | None = Field(None, description="only for a device that sleeps between reports")
    properties: dict[str, MqttProperty] = Field({}, description="topics of properties, by their names")
    actions: dict[str, MqttAction] = Field({}, description="topics of actions, by their names")
    events: dict[str, MqttEvent] = Field({}, description="topics of events, by their names")

    @property
    def level(self) -> int:
        """The protocol level byte of CONNECT: 4 for 3.1.1, 5 for 5.0."""
        return 5 if self.version == "5.0" else 4
