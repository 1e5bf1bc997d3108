"""The MQTT binding: topics that collide, impossible commands, incomplete payload maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from harness.model.affordance import Property
from harness.model.bindings.mqtt import MqttBinding, MqttProperty, PayloadFormat
from harness.model.consistency.mistake import CheckedProfile, Mistake, shown, unknown_name
from harness.model.consistency.value_maps import of_map
from harness.model.problems import Path
from harness.model.schema import DataType

_HERE: Path = ("bindings", "mqtt")


@dataclass(frozen=True, slots=True)
class _Use:
    """One place where the binding names a topic. ``sharing``: it may share the topic by other members."""

    topic: str
    path: Path
    member_path: Path
    member: str | None
    sharing: bool
    qos: int
    retain: bool


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in the MQTT binding."""
    mqtt = subject.profile.bindings.mqtt
    if mqtt is None:
        return
    yield from _of_names(subject, mqtt)
    yield from _of_session(subject, mqtt)
    published, commands = list(_published(mqtt)), list(_commands(mqtt))
    yield from _of_topics(mqtt, [*published, *commands])
    yield from _shared(published, "member")
    yield from _shared(commands, "command_member")
    heard = {use.topic for use in commands}
    for use in published:
        if use.topic in heard:
            yield Mistake(
                use.path,
                "this is also a command topic, so the device would receive its own messages",
                use.topic,
            )
    yield from _of_payloads(subject, mqtt)


def _of_names(subject: CheckedProfile, mqtt: MqttBinding) -> Iterator[Mistake]:
    kinds = (
        ("property", "properties", mqtt.properties, subject.names.properties),
        ("action", "actions", mqtt.actions, subject.names.actions),
        ("event", "events", mqtt.events, subject.names.events),
    )
    for kind, key, bound, names in kinds:
        for name in bound:
            if mistake := unknown_name((*_HERE, key, name), kind, name, names):
                yield mistake


def _of_session(subject: CheckedProfile, mqtt: MqttBinding) -> Iterator[Mistake]:
    pauses, promised = mqtt.reconnect, subject.profile.behaviour.reconnect
    if pauses.first > pauses.maximum:
        message = "the first pause is longer than the maximum"
        yield Mistake(
            (*_HERE, "reconnect", "first"), message, f"{pauses.first:g}", f"{pauses.maximum:g} at most"
        )
    if promised < pauses.maximum:
        yield Mistake(
            ("behaviour", "reconnect"),
            "is shorter than the longest pause between attempts to connect, bindings.mqtt.reconnect.maximum",
            f"{promised:g}",
            f"more than {pauses.maximum:g}",
        )
    if mqtt.sleep is not None and subject.profile.behaviour.heartbeat is not None:
        message = "a sleeping device reports when it wakes; set bindings.mqtt.sleep.wakes_every"
        yield Mistake(("behaviour", "heartbeat"), message)
    if not mqtt.client_id and not mqtt.clean_session:
        message = "a persistent session needs a client identifier (MQTT-3.1.3-7)"
        yield Mistake((*_HERE, "client_id"), message)
    there = mqtt.availability
    if there is not None and there.online == there.offline:
        yield Mistake((*_HERE, "availability", "offline"), "is the same payload as online", there.offline)


def _published(mqtt: MqttBinding) -> Iterator[_Use]:
    if (there := mqtt.availability) is not None:
        path = (*_HERE, "availability", "topic")
        yield _Use(there.topic, path, path, None, False, there.qos, there.retain)
    for name, state in mqtt.properties.items():
        path = (*_HERE, "properties", name)
        where = ((*path, "state"), (*path, "member"))
        yield _Use(state.state, *where, state.member, True, state.qos, state.retain)
    for name, event in mqtt.events.items():
        path = (*_HERE, "events", name)
        where = ((*path, "topic"), (*path, "member"))
        yield _Use(event.topic, *where, event.member, True, event.qos, event.retain)


def _commands(mqtt: MqttBinding) -> Iterator[_Use]:
    for name, bound in mqtt.properties.items():
        if bound.command is not None:
            path = (*_HERE, "properties", name)
            where = ((*path, "command"), (*path, "command_member"))
            yield _Use(bound.command, *where, bound.command_member, True, bound.command_qos, False)
    for name, action in mqtt.actions.items():
        path = (*_HERE, "actions", name, "command")
        yield _Use(action.command, path, path, None, False, action.command_qos, False)


def _of_topics(mqtt: MqttBinding, uses: list[_Use]) -> Iterator[Mistake]:
    if mqtt.base.startswith("$"):
        message = "topics that begin with $ belong to the broker (MQTT 3.1.1, 4.7.2)"
        yield Mistake((*_HERE, "base"), message, mqtt.base)
    for use in uses:
        if use.topic != mqtt.base and not use.topic.startswith(f"{mqtt.base}/"):
            yield Mistake(use.path, "lies outside bindings.mqtt.base", use.topic, f"{mqtt.base}/…")


def _shared(uses: list[_Use], member_key: str) -> Iterator[Mistake]:
    """Uses that share a topic need different members, and the same QoS and retain flag."""
    by_topic: dict[str, list[_Use]] = defaultdict(list)
    for use in uses:
        for earlier in by_topic[use.topic]:
            other = ".".join(map(str, earlier.path))
            if not (use.sharing and earlier.sharing):
                yield Mistake(use.path, f"{other} already uses this topic alone", use.topic)
            elif use.member is None or earlier.member is None:
                message = f"{other} uses the same topic; each of the two needs its own {member_key}"
                yield Mistake(use.path, message, use.topic)
            elif use.member == earlier.member:
                other = ".".join(map(str, earlier.member_path))
                yield Mistake(use.member_path, f"{other} is the same member of the same topic", use.member)
            elif (use.qos, use.retain) != (earlier.qos, earlier.retain):
                message = f"{other} uses the same topic with a different QoS or retain flag"
                yield Mistake(use.path, message, f"QoS {use.qos}, retain {shown(use.retain)}")
            else:
                continue
            break
        by_topic[use.topic].append(use)


def _of_payloads(subject: CheckedProfile, mqtt: MqttBinding) -> Iterator[Mistake]:
    for name, bound in mqtt.properties.items():
        path = (*_HERE, "properties", name)
        schema = subject.profile.properties.get(name)
        if bound.command is None and bound.command_member is not None:
            yield Mistake((*path, "command_member"), "there is no command topic")
        if schema is None:
            continue
        if bound.command is not None and schema.read_only:
            yield Mistake((*path, "command"), "the property is readOnly and accepts no commands")
        if bound.values is not None:
            yield from of_map(bound.values, schema, (*path, "values"))
        if bound.format is PayloadFormat.TEXT:
            yield from _of_plain_text(bound, schema, (*path, "format"))
    for name, event_binding in mqtt.events.items():
        event = subject.profile.events.get(name)
        if event is None or event_binding.values is None:
            continue
        path = (*_HERE, "events", name, "values")
        if event.data is None:
            yield Mistake(path, "the event has no data to map")
        else:
            yield from of_map(event_binding.values, event.data, path)


def _of_plain_text(bound: MqttProperty, schema: Property, path: Path) -> Iterator[Mistake]:
    if schema.type is not DataType.STRING:
        yield Mistake(path, f"plain text is for strings; this is of type {schema.type}", "text", "json")
    for key, value in (
        ("values", bound.values),
        ("member", bound.member),
        ("command_member", bound.command_member),
    ):
        if value is not None:
            yield Mistake(path, f"plain text is the whole value, so `{key}` has no meaning beside it", "text")
