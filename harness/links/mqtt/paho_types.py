"""What an MQTT client is told and tells, whichever library speaks for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.links.errors import LinkError


class MqttError(LinkError):
    """Something did not work over MQTT; the text is for people."""


class ConnectError(MqttError):
    """A connection did not come about. ``code`` is the CONNACK's return or reason code if one came."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class ClosedError(MqttError):
    """The connection is not there, or went away before the broker answered."""


class RefusedError(MqttError):
    """The broker answered a publication with a failure (MQTT 5.0). ``code`` is the reason code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ClientWill:
    """The last will that CONNECT leaves with the broker."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker's CONNACK. ``code`` is 0 here: every other code is a :class:`ConnectError`."""

    code: int
    session_present: bool


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message that the broker delivered. ``mid`` is its packet identifier, 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    connection: int = field(default=0, compare=False, repr=False)  # counts the connections of the client
