"""Commands to a property as they reached the device, and the reports that followed, from the trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded
from harness.checks.observations import Report, Transport
from harness.checks.payloads import Undecoded, decode_coap, decode_mqtt, json_text
from harness.model.base import Value
from harness.model.bindings.coap import CoapProperty
from harness.model.bindings.mqtt import MqttProperty
from harness.model.requirement import BenchFeature
from harness.model.schema import is_number
from harness.trace.events import Act, Direction, Event, Fate, MqttPacket, Point, Stimulus
from harness.wire import (
    coap,
    mqtt,
)

ROUNDING = 1e-4  # seconds
DELIVERY = 5.0  # seconds for a broker
PREVIEW = 40  # characters of a payload that a message shows


@dataclass(frozen=True)
class Command:
    """One command that was sent to the device.

    ``value`` is the decoded payload, or ``problem`` says why it has none; ``answer`` is the CoAP response;
    ``reports`` are the reports of the property over the same transport up to line ``end`` of the trace,
    where the next command or another act follows.
    """

    sent: Decoded[mqtt.Publish, object] | Decoded[coap.Message, object]
    transport: Transport
    payload: bytes
    value: Value
    problem: str | None
    answer: Decoded[coap.Message, object] | None = None
    reports: tuple[Report, ...] = ()
    end: int = 0

    @property
    def time(self) -> float:
        """When it was forwarded to the device, in seconds since the start of the run."""
        return self.sent.time

    @property
    def refused(self) -> bool:
        """Whether the device answered with an error (CoAP only)."""
        return self.answer is not None and self.answer.value.code >= 0x80

    @property
    def text(self) -> str:
        """The payload as readable text, shortened."""
        shown = self.payload.decode("utf-8", "backslashreplace")
        return shown if len(shown) <= PREVIEW else f"{shown[:PREVIEW]}… ({len(self.payload)} bytes)"


def commands(case: Case, name: str, transport: Transport) -> list[Command]:
    """The commands of the window for one property over one transport, in order."""
    everywhere = sorted(
        [*_over_mqtt(case, name), *_over_coap(case, name)], key=lambda command: command.sent.line
    )
    reports = case.reports(name, transport)
    ends = sorted([*_lines_of_other_acts(case, name), case.window[-1].line + 1 if case.window else 0])
    found: list[Command] = []
    for index, command in enumerate(everywhere):
        if command.transport is not transport:
            continue
        line = command.sent.line
        # The next command changes the state, on any transport; so may other acts.
        following = [later.sent.line for later in everywhere[index + 1 : index + 2]]
        end = min([*following, *(other for other in ends if other > line)])
        reported = tuple(report for report in reports if line < report.event.line < end)
        found.append(replace(command, reports=reported, end=end))
    return found


def _lines_of_other_acts(case: Case, name: str) -> list[int]:
    """Lines of the window with acts other than commands to the property."""
    return [
        event.line
        for event in case.window
        if isinstance(event.body, Stimulus)
        and event.body.act in (Act.WRITE, Act.INVOKE, Act.LOCAL, Act.KILL, Act.STOP, Act.START)
        and event.body.name != name
    ]


def command_topic(bound: MqttProperty) -> str:
    """The command topic of a property; without a declared one, the usual ``<state>/set``."""
    return bound.command or f"{bound.state}/set"


def point_of(case: Case) -> Point:
    """Where this run records the packets of the device."""
    return Point.TAP if case.offers(BenchFeature.TAP) else Point.CLIENT


def published(case: Case, topic: str) -> list[Decoded[mqtt.Publish, object]]:
    """Messages forwarded to the device on a topic, without redeliveries of those in the window.

    A message whose first delivery was lost with a connection counts as well: the device gets it once.
    """
    found: list[Decoded[mqtt.Publish, object]] = []
    known: set[tuple[int | None, bytes]] = set()
    for seen in case.mqtt(mqtt.Publish, direction=Direction.TO_DUT, point=point_of(case)):
        key = (seen.value.packet_id, seen.value.payload)
        if seen.value.topic != topic or seen.body.fate is Fate.DROPPED or (seen.value.dup and key in known):
            continue
        known.add(key)
        found.append(Decoded(seen.event, seen.body, seen.value))
    return found


def requested(case: Case, path: str, code: int) -> list[Decoded[coap.Message, object]]:
    """The requests of one method for a path, without retransmissions."""
    first: dict[tuple[str, int], Decoded[coap.Message, object]] = {}
    for seen in case.coap(Direction.TO_DUT):
        if seen.value.code == code and seen.value.uri_path == path:
            first.setdefault((seen.body.local, seen.value.mid), Decoded(seen.event, seen.body, seen.value))
    return list(first.values())


def answer_to(case: Case, request: Decoded[coap.Message, object]) -> Decoded[coap.Message, object] | None:
    """The response to a request: by its token, on the same socket of ours."""
    local = request.event.body.local  # type: ignore[union-attr]  # a CoAP request is a CoapDatagram
    for seen in case.coap():
        if (
            seen.line > request.line
            and seen.body.local == local
            and seen.value.is_response
            and seen.value.token == request.value.token
        ):
            return Decoded(seen.event, seen.body, seen.value)
    return None


def _over_mqtt(case: Case, name: str) -> list[Command]:
    binding = case.profile.bindings.mqtt
    if binding is None or name not in binding.properties:
        return []
    bound = binding.properties[name]
    found = []
    for seen in published(case, command_topic(bound)):
        value = decode_mqtt(seen.value.payload, bound.command_member, bound.words)
        if isinstance(value, Undecoded) and value.absent:
            continue  # a command for another property on the same topic
        found.append(_command(seen, Transport.MQTT, seen.value.payload, value))
    return found


def _over_coap(case: Case, name: str) -> list[Command]:
    binding = case.profile.bindings.coap
    if binding is None or name not in binding.properties:
        return []
    bound, schema = binding.properties[name], case.profile.properties[name]
    found = []
    for seen in requested(case, bound.path, coap.Code.PUT):
        value = decode_coap(seen.value.payload, seen.value.content_format, bound.member, schema=schema)
        command = _command(seen, Transport.COAP, seen.value.payload, value)
        found.append(replace(command, answer=answer_to(case, seen)))
    return found


def _command(
    seen: Decoded[mqtt.Publish, object] | Decoded[coap.Message, object],
    transport: Transport,
    payload: bytes,
    value: Value | Undecoded,
) -> Command:
    if isinstance(value, Undecoded):
        return Command(seen, transport, payload, None, value.why)
    return Command(seen, transport, payload, value, None)


async def send_payload(bench: Bench, name: str, payload: bytes, what: str, transport: Transport) -> bool:
    """Send a raw payload as a command for a property; ``what`` describes it in the trace.

    Over CoAP it returns after the response. False: there was none.
    """
    bench.stimulus(Act.RAW, f"raw payload for {name}: {what}", transport=transport.value)
    mqtt_binding, coap_binding = bench.profile.bindings.mqtt, bench.profile.bindings.coap
    if transport is Transport.MQTT and mqtt_binding is not None:
        bound = mqtt_binding.properties[name]
        await bench.mqtt.publish(command_topic(bound), payload, qos=bound.command_qos)
    elif coap_binding is not None:
        return await put(bench, coap_binding.properties[name], payload) is not None
    return True


async def passed_on(bench: Bench, name: str, payload: bytes, since: int) -> None:
    """Wait until the broker has forwarded a command to the device, where the tap shows that.

    The settle time of the device starts there: a broker may delay messages.
    """
    binding = bench.profile.bindings.mqtt
    if binding is None or not bench.offers(BenchFeature.TAP):
        return
    topic = command_topic(binding.properties[name])

    def arrived(event: Event) -> bool:
        body = event.body
        if not isinstance(body, MqttPacket) or body.point is not Point.TAP or body.fate is Fate.DROPPED:
            return False
        packet = mqtt.decode(body.raw, body.level) if body.direction is Direction.TO_DUT else None
        return isinstance(packet, mqtt.Publish) and (packet.topic, packet.payload) == (topic, payload)

    await bench.wait_for(
        arrived, within=DELIVERY, since=since, what=f"the broker to forward a command for {name}"
    )


async def put(bench: Bench, bound: CoapProperty, payload: bytes) -> coap.Message | None:
    """Send a CON PUT with a raw payload."""
    endpoint = await bench.coap.endpoint()
    try:
        return await endpoint.request(
            coap.request(
                coap.Code.PUT,
                bound.path,
                mid=bench.coap.next_mid(),
                token=bench.coap.next_token(),
                content_format=bound.format.number,
                payload=payload,
            )
        )
    finally:
        endpoint.close()


async def command_and_wait(bench: Bench, name: str, value: Value, transport: Transport) -> bool:
    """Command a legal value and wait for its report. True if it came within the settle time."""
    since = bench.mark()
    await bench.write(name, value, transport=transport.value)
    return await is_reported(bench, name, value, transport, since)


async def is_reported(bench: Bench, name: str, value: Value, transport: Transport, since: int) -> bool:
    """Whether the device reports ``value`` within the settle time; it is read where it is not observed."""
    schema = bench.profile.properties[name]
    return bool(
        await bench.wait_for_report(
            name,
            lambda reported: schema.agrees(reported, value),
            transport=transport.value,
            within=bench.profile.settle(name),
            since=since,
        )
    )


def require_reader(bench: Bench, name: str) -> None:
    """Raise StimulusError if a property is write-only."""
    if bench.profile.properties[name].write_only:
        raise StimulusError(f"{name} is write-only: the effect of a command is not visible")


def had_time(case: Case, since: float, seconds: float) -> bool:
    """Whether the window lasts at least ``seconds`` after ``since``; times in traces are rounded."""
    return case.window[-1].time - since >= seconds - ROUNDING


def mismatch(case: Case, name: str, expected: Sequence[Value], reports: Sequence[Report]) -> Report | None:
    """The first report that is unreadable or agrees with none of the expected values."""
    schema = case.profile.properties[name]
    for report in reports:
        if report.problem is None and schema.self_changing:
            continue
        if report.problem is not None or not any(schema.agrees(report.value, value) for value in expected):
            return report
    return None


def on_the_way(case: Case, report: Report, *ends: Value) -> bool:
    """Whether a report of a number lies between some values: lamps fade, shutters move, step by step."""
    if report.problem is not None or not all(is_number(value) for value in (report.value, *ends)):
        return False
    slack = case.profile.properties[report.name].tolerance
    return bool(min(ends) - slack <= report.value <= max(ends) + slack)


def settled_at(case: Case, name: str, command: Command) -> float:
    """When the settle time of a command is over, in seconds since the start of the run."""
    accepted = command.answer.time if command.answer is not None else command.time
    return accepted + case.profile.settle(name)


def ended_at(case: Case, command: Command) -> float:
    """When the judging of a command ends: at the next act, or at the end of the window."""
    last = case.window[-1]
    return case.trace[command.end - 1].time if command.end <= last.line else last.time


def confirmed_at(case: Case, name: str, command: Command) -> int:
    """The index of the report that confirms a command; the number of its reports where none does."""
    schema = case.profile.properties[name]
    for index, report in enumerate(command.reports):
        if report.problem is None and schema.agrees(report.value, command.value):
            return index
    return len(command.reports)


def described(report: Report) -> str:
    """A report as readable text."""
    if report.problem is not None:
        return f"a payload that {report.problem}"
    try:
        return f"{report.name} = {json_text(report.value)}"
    except ValueError:  # a number too large for any, such as 1e400
        return f"{report.name} = {report.value}"


SETTLE = "profile: behaviour.settle"
