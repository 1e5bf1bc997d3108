"""What a simulated device understands of the messages that it receives."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from harness.links.mqtt.paho_client import ReceivedMessage
from harness.model.base import Value
from harness.model.bindings.mqtt import (
    MqttBinding,
    MqttProperty,
)
from harness.model.profile import Profile
from harness.simulate.firmware.payloads import (
    MemberMissing,
    PayloadError,
    decode_json,
    decode_mqtt,
)
from harness.simulate.firmware.values import default_value


@dataclass(frozen=True, slots=True)
class Write:
    """A property is to become ``value``."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Invocation:
    """An action is to be carried out with ``input``."""

    name: str
    input: Value


class RecentMessages:
    """Recognises redelivered messages among the last 64 of a session."""

    def __init__(self) -> None:
        self._known: deque[tuple[str, bytes, int]] = deque(maxlen=64)

    def has(self, message: ReceivedMessage) -> bool:
        """Whether this is a redelivery; remembers the message."""
        if message.qos != 1:
            return False  # QoS 0 is never redelivered; the client library handles QoS 2
        key = (message.topic, message.payload, message.mid)
        if message.dup and key in self._known:
            return True
        self._known.append(key)
        return False

    def clear(self) -> None:
        """A new session begins: packet identifiers start afresh."""
        self._known.clear()


class CommandReader:
    """Turns messages on the command topics into commands."""

    def __init__(self, profile: Profile, binding: MqttBinding) -> None:
        self._profile = profile
        self._binding = binding
        self._writes: dict[str, dict[str, MqttProperty]] = {}
        for name, bound in binding.properties.items():
            if bound.command is not None:
                self._writes.setdefault(bound.command, {})[name] = bound
        self._actions = {bound.command: name for name, bound in binding.actions.items()}

    @property
    def filters(self) -> list[tuple[str, int]]:
        """Every command topic with the quality of service to subscribe at."""
        wanted: dict[str, int] = {}
        for bound in self._binding.properties.values():
            if bound.command is not None:
                wanted[bound.command] = max(wanted.get(bound.command, 0), bound.command_qos)
        for action in self._binding.actions.values():
            wanted[action.command] = max(wanted.get(action.command, 0), action.command_qos)
        return list(wanted.items())

    def read(self, topic: str, payload: bytes) -> list[Write | Invocation]:
        """The commands in a message; none for a topic that is not a command's. Raises PayloadError."""
        if topic in self._actions:
            return [self._invocation(self._actions[topic], payload)]
        commands: list[Write | Invocation] = []
        missing = None
        bound = self._writes.get(topic, {})
        for name, binding in bound.items():
            try:
                value = decode_mqtt(payload, binding.words, binding.command_member)
            except MemberMissing as error:
                missing = error
                continue
            commands.append(Write(name, value))
        if missing is not None and not commands:
            raise missing
        return commands

    def missing(self, topic: str, commands: Sequence[Write | Invocation]) -> list[Write]:
        """Defaults of the properties that share the topic, but are not among the commands."""
        named = {command.name for command in commands}
        return [
            Write(name, default_value(self._profile.properties[name]))
            for name in self._writes.get(topic, {})
            if name not in named
        ]

    def knows_all_members(self, topic: str, payload: bytes) -> bool:
        """Whether every member of the object in the payload is a command's."""
        known = {bound.command_member for bound in self._writes.get(topic, {}).values()} - {None}
        return not known or set(decode_json(payload)) <= known

    def read_state(self, topic: str, payload: bytes) -> list[Write | Invocation]:
        """A message on a state topic, read as a command: what a faulty device does."""
        found: list[Write | Invocation] = []
        for name, bound in self._binding.properties.items():
            if bound.state == topic:
                with contextlib.suppress(MemberMissing):
                    found.append(Write(name, decode_mqtt(payload, bound.words, bound.member)))
        return found

    def _invocation(self, action: str, payload: bytes) -> Invocation:
        has_input = self._profile.actions[action].input is not None
        if not payload and not has_input:
            return Invocation(action, None)
        try:
            value = decode_json(payload)
        except PayloadError as error:
            raise PayloadError(f"{action}: {error}") from None
        return Invocation(action, value if has_input else None)
