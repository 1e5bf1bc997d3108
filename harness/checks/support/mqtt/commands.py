"""Commands over MQTT: choosing one whose effect is observable, and observing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, first
from harness.checks.observations import Report, Transport
from harness.checks.payloads import Undecoded, decode_json, decode_mqtt, encode_mqtt
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.bindings.mqtt import MqttProperty
from harness.model.profile import Profile
from harness.model.rule import Condition
from harness.model.schema import DataSchema, DataType, same_value
from harness.model.verdict import Subject
from harness.trace.events import Act, Event, MqttPacket, Stimulus
from harness.wire import mqtt

SPREAD = 7  # a number range is divided into this many parts; the boundaries are commanded
GRACE = 2.0  # seconds beyond twice the settle time; speed is not judged here


@dataclass(frozen=True, slots=True)
class MqttSetting:
    """A property that is commanded and reported over MQTT."""

    name: str
    schema: Property
    bound: MqttProperty
    topic: str

    @property
    def is_json(self) -> bool:
        """Whether commands are JSON, which may be padded with white space (RFC 8259, 2)."""
        return self.bound.words is None or self.bound.command_member is not None

    @property
    def qos(self) -> int:
        """QoS of injected commands: at most 1, which needs one answer."""
        return min(1, self.bound.command_qos)

    @property
    def values(self) -> list[Value]:
        """Legal values to command, zero and empty ones last."""
        found = [value for value in _candidates(self.schema) if self.schema.accepts(value)]
        if self.bound.values is not None:
            mapped = list(self.bound.values.values())
            found = [value for value in found if any(same_value(value, each) for each in mapped)]
        return sorted(found, key=lambda value: not value)

    def payload(self, value: Value) -> bytes:
        """The payload that commands ``value``."""
        return encode_mqtt(value, self.bound.command_member, self.bound.words)

    def value_of(self, payload: bytes) -> Value:
        """The value that a payload of :meth:`payload` commands."""
        value = decode_mqtt(payload, self.bound.command_member, self.bound.words)
        return None if isinstance(value, Undecoded) else value

    def others(self, present: Value, count: int) -> list[Value]:
        """``count`` values to command in sequence, each different from the one before."""
        chosen: list[Value] = []
        for _ in range(count):
            before = chosen[-1] if chosen else present
            fresh = [value for value in self.values if not same_value(value, before)]
            unused = [value for value in fresh if not any(same_value(value, old) for old in chosen)]
            chosen.append((unused or fresh)[0])
        return chosen

    def packet(self, payload: bytes, level: int, packet_id: int | None = None, *, dup: bool = False) -> bytes:
        """A PUBLISH of ``payload`` to the command topic; ``packet_id`` goes with QoS 1."""
        qos = 0 if packet_id is None else 1
        return mqtt.encode_publish(self.topic, payload, qos, packet_id=packet_id, dup=dup, level=level)


def setting_of(
    profile: Profile,
    *,
    json: bool = False,
    qos: int = 0,
    wanted: Callable[[MqttSetting], bool] = lambda _: True,
) -> MqttSetting | None:
    """The property whose commands disturb least: in no rule, with many values. None if there is none.

    ``json``: its commands must be JSON; ``qos``: its least command QoS; ``wanted``: an additional condition.
    """
    found = [
        setting
        for setting in settings(profile)
        if (setting.is_json or not json) and setting.bound.command_qos >= qos and wanted(setting)
    ]
    entangled = _in_rules(profile)
    return min(
        found,
        key=lambda each: (each.name in entangled, not each.is_json, -min(3, len(each.values))),
        default=None,
    )


def setting_named(profile: Profile, name: str | None) -> MqttSetting:
    """The setting of that name; a command for it in the trace shows that it exists."""
    return next(setting for setting in settings(profile) if setting.name == name)


def commanded(profile: Profile, *, json: bool = False, qos: int = 0) -> Iterable[Subject]:
    """The device as a whole, if it has a setting to try commands on."""
    return (Subject(),) if setting_of(profile, json=json, qos=qos) else ()


def the_setting(bench: Bench, *, json: bool = False, qos: int = 0) -> MqttSetting:
    """The setting of :func:`setting_of`. Raises StimulusError."""
    setting = setting_of(bench.profile, json=json, qos=qos)
    if setting is None:
        raise StimulusError("no property is both commanded and reported over MQTT")
    return setting


def effect_timeout(profile: Profile, setting: MqttSetting) -> float:
    """Seconds to wait for the effect of a command."""
    return 2 * profile.settle(setting.name) + GRACE


async def present_value(bench: Bench, setting: MqttSetting) -> Value:
    """The last reported value; if there is none yet, a command is sent first.

    Raises StimulusError if the device still reports nothing.
    """
    try:
        return await bench.read(setting.name, transport=Transport.MQTT)
    except StimulusError:
        since, value = bench.mark(), setting.values[0]
    await bench.write(setting.name, value, transport=Transport.MQTT)
    await bench.wait_for_report(
        setting.name,
        lambda reported: setting.schema.agrees(reported, value),
        transport=Transport.MQTT,
        within=effect_timeout(bench.profile, setting),
        since=since,
    )
    return await bench.read(setting.name, transport=Transport.MQTT)


async def wait_for_effect(bench: Bench, setting: MqttSetting, value: Value, *, since: int) -> Event | None:
    """Wait for the report of a command's effect, much longer than the profile allows."""
    return await bench.wait_for_report(
        setting.name,
        lambda reported: same_value(reported, value),
        transport=Transport.MQTT,
        within=effect_timeout(bench.profile, setting),
        since=since,
    )


async def command(
    bench: Bench, setting: MqttSetting, value: Value, *, qos: int | None = None
) -> Event | None:
    """Send a command through the broker and wait for its effect.

    Everything sent before it has been processed then: it serves as a fence.
    """
    since = bench.mark()
    bench.stimulus(Act.WRITE, setting.name, value, transport=Transport.MQTT, legal=True)
    quality = setting.bound.command_qos if qos is None else qos
    await bench.mqtt.publish(setting.topic, setting.payload(value), qos=quality)
    return await wait_for_effect(bench, setting, value, since=since)


def settings(profile: Profile) -> Iterable[MqttSetting]:
    """Every property that is commanded and reported over MQTT, and has more than one value."""
    binding = profile.bindings.mqtt
    for name, bound in binding.properties.items() if binding else ():
        schema = profile.properties[name]
        if bound.command is None or not schema.writable or schema.write_only:
            continue
        setting = MqttSetting(name, schema, bound, bound.command)
        if len(setting.values) > 1:
            yield setting


def _in_rules(profile: Profile) -> set[str]:
    conditions: list[Condition] = []
    for rule in profile.behaviour.rules:
        conditions += (*rule.when, *rule.while_, *rule.then, *rule.refuse)
    return {name for condition in conditions for name in condition.names}


def _candidates(schema: DataSchema) -> Sequence[Value]:
    if schema.enum is not None:
        return schema.enum
    if schema.type is DataType.BOOLEAN:
        return (True, False)
    if schema.type in (DataType.INTEGER, DataType.NUMBER):
        return _numbers(schema)
    if schema.type is DataType.STRING:
        return tuple(letter * max(1, schema.min_length or 1) for letter in "abc")
    return ()


def _numbers(schema: DataSchema) -> list[Value]:
    """Legal numbers spread over the range, as exact decimals."""
    low = Fraction(repr(schema.minimum if schema.minimum is not None else 0))
    high = Fraction(repr(schema.maximum)) if schema.maximum is not None else low + 100
    whole = schema.type is DataType.INTEGER
    step = Fraction(repr(schema.multiple_of)) if schema.multiple_of else Fraction(1 if whole else 1 / 4)
    steps = [round((low + (high - low) * part / SPREAD) / step) for part in range(1, SPREAD)]
    exact = [step * count for count in dict.fromkeys(steps)]
    return [int(value) if value.denominator == 1 else float(value) for value in exact]


def written(write: Decoded[Stimulus, Stimulus]) -> Value:
    """The value that a WRITE commanded."""
    value = decode_json((write.value.value or "null").encode())
    return None if isinstance(value, Undecoded) else value


def effect_of_packet(
    case: Case, setting: MqttSetting, packet: Decoded[mqtt.Publish, MqttPacket]
) -> Report | None:
    """The report of an injected command's effect; None if there is none."""
    value = setting.value_of(packet.value.payload)
    return first(
        case.reports(setting.name, Transport.MQTT),
        lambda report: report.event.line > packet.line and same_value(report.value, value),
    )


def effect_of(case: Case, write: Decoded[Stimulus, Stimulus]) -> Report | None:
    """The report of a command's effect; None if there is none."""
    return first(
        case.reports(write.value.name, Transport.MQTT),
        lambda report: report.event.line > write.line and same_value(report.value, written(write)),
    )


def last_report(case: Case, setting: MqttSetting, line: int) -> Report | None:
    """The last report of a setting before a trace line, from the whole run."""
    earlier = [
        report
        for report in replace(case, window=case.trace[:line]).reports(setting.name, Transport.MQTT)
        if report.problem is None
    ]
    return earlier[-1] if earlier else None
