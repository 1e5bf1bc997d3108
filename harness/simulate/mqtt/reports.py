"""What a simulated device publishes: which topic, which payload, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.model.base import Value
from harness.model.bindings.mqtt import (
    MqttBinding,
    MqttProperty,
)
from harness.simulate.firmware.core import (
    Change,
    Core,
    DeviceEvent,
)
from harness.simulate.firmware.payloads import (
    encode_json,
    encode_mqtt,
    encode_mqtt_members,
    to_word,
)


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to be published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    is_event: bool = False


class ReportComposer:
    """Composes the reports of one device, and collects those of changes that belong together.

    Properties that are members of one topic travel in one message. So changes with one cause, which follow
    each other without a pause, are collected, and a message is made when :meth:`take` asks for them.
    """

    def __init__(self, binding: MqttBinding, core: Core) -> None:
        self._binding = binding
        self._core = core
        self._topics: dict[str, dict[str, MqttProperty]] = {}
        for name, bound in binding.properties.items():
            if not core.profile.properties[name].write_only:
                self._topics.setdefault(bound.state, {})[name] = bound
        self._ready: list[OutgoingMessage] = []
        self._fresh: dict[str, dict[str, Value]] = {}  # by topic: values not in a message yet

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._ready or self._fresh)

    def all_states(self) -> Iterator[OutgoingMessage]:
        """Every state topic with its present values."""
        for topic in self._topics:
            yield self._state(topic, {})

    def state_of(self, name: str) -> OutgoingMessage | None:
        """The topic of one property with its present values; None where it is not reported."""
        bound = self._binding.properties.get(name)
        return self._state(bound.state, {}) if bound is not None and bound.state in self._topics else None

    def add(self, news: Change | DeviceEvent) -> None:
        """Notes a change or an event of a bound affordance; others are passed over."""
        if isinstance(news, DeviceEvent):
            self._add_event(news)
            return
        bound = self._binding.properties.get(news.name)
        if bound is None or news.name not in self._topics.get(bound.state, {}):
            return
        if news.name in self._fresh.get(bound.state, {}):
            self._compose()  # a second change of one property gets a message of its own
        self._fresh.setdefault(bound.state, {})[news.name] = news.value

    def take(self) -> list[OutgoingMessage]:
        """What was noted since the last time, oldest first."""
        self._compose()
        taken, self._ready = self._ready, []
        return taken

    def _add_event(self, event: DeviceEvent) -> None:
        bound = self._binding.events.get(event.name)
        if bound is None:
            return
        self._compose()
        if bound.member is not None:
            payload = encode_json({bound.member: to_word(event.data, bound.values)})
        else:
            payload = encode_mqtt(event.data, bound.values)
        self._ready.append(OutgoingMessage(bound.topic, payload, bound.qos, bound.retain, is_event=True))

    def _compose(self) -> None:
        for topic, fresh in self._fresh.items():
            self._ready.append(self._state(topic, fresh))
        self._fresh.clear()

    def _state(self, topic: str, fresh: dict[str, Value]) -> OutgoingMessage:
        bound = self._topics[topic]
        values = {name: fresh[name] if name in fresh else self._core.read(name) for name in bound}
        first, binding = next(iter(bound.items()))
        if binding.member is None:
            payload = encode_mqtt(values[first], binding.words)
        else:
            payload = encode_mqtt_members(
                {each.member or name: (values[name], each.values) for name, each in bound.items()}
            )
        qos = max(each.qos for each in bound.values())
        return OutgoingMessage(topic, payload, qos, any(each.retain for each in bound.values()))
