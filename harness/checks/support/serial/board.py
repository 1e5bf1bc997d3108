"""The board behind the serial line: commands to it, and its answers and output in the trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.checks.bench import Bench, BenchLimitationError, StimulusError
from harness.checks.case import Case, Decoded
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.transports import (
    NEED_OF,
    reporting_transports,
)
from harness.checks.support.networks import is_opened, is_probe
from harness.model.base import Value
from harness.model.bindings.serial import (
    SerialBinding,
    SerialCommand,
)
from harness.model.bindings.serial_log import (
    tells_boot,
    tells_ready,
)
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.trace.events import (
    Act,
    CoapDatagram,
    Connection,
    Direction,
    Event,
    MdnsPacket,
    MqttPacket,
    Point,
    SerialAnswer,
    SerialData,
    Stimulus,
)
from harness.wire.serial.lines import Quality

REPORT_LOCAL = "profile: behaviour.report_local"
ANSWER = "profile: bindings.serial"


def binding_of(profile: Profile) -> SerialBinding:
    """The serial binding of a profile that has one."""
    assert profile.bindings.serial is not None, "planned without a serial line"
    return profile.bindings.serial


# Driving


async def ask(bench: Bench, command: SerialCommand, name: str | None = None, value: Value = None) -> Value:
    """Send the board a command, and return its answer. Raises StimulusError without a good answer."""
    answer = await bench.serial.command(command, name, value)
    if answer.problem is not None:
        about = f"{command} {name}" if name else str(command)
        raise StimulusError(f"the board did not answer {about} properly: {answer.problem}")
    return answer.value


def require_network(bench: Bench) -> None:
    """Raise BenchLimitationError if only the serial line of the device is watched."""
    if not bench.offers(BenchFeature.BROKER) and not bench.offers(BenchFeature.COAP):
        raise BenchLimitationError(
            "only the serial line of the device is watched; add --listen, --mqtt or --coap for its network"
        )


def require_transport(bench: Bench, transport: Transport) -> None:
    """Raise BenchLimitationError if a transport is not watched."""
    if not bench.offers(NEED_OF[transport]):
        raise BenchLimitationError(f"{transport} is not watched on this bench")


async def board_shows(bench: Bench, name: str, wanted: Callable[[Value], bool], *, within: float) -> bool:
    """Read a property from the board until it is as wanted, or ``within`` seconds are over.

    The last reading is after that time.
    """
    deadline, pause = bench.now + within, 0.0
    while True:
        is_last = bench.now >= deadline
        if wanted(await ask(bench, SerialCommand.READ_STATE, name)):
            return True
        if is_last:
            return False
        pause = min(max(2 * pause, 0.01), max(deadline - bench.now, 0.0), 0.5)
        await bench.wait_for(lambda _: False, within=pause, what=f"the board to show the new {name}")


async def reboot(bench: Bench, *, within: float | None = None) -> int:
    """Reboot by the console, and wait until the board has started; returns the mark before the command.

    Raises StimulusError if it does not restart.
    """
    since = bench.mark()
    await ask(bench, SerialCommand.REBOOT)
    await wait_for_boot(bench, since, within=within)
    return since


async def wait_for_boot(bench: Bench, since: int, *, within: float | None = None) -> None:
    """Wait until the board has restarted since a mark and accepts commands again.

    The board prints that it is ready. If the profile has no pattern for that, a new connection to the broker
    or the end of the boot time counts instead. Raises StimulusError if the board does not come up.
    """
    behaviour, binding = bench.profile.behaviour, binding_of(bench.profile)
    limit = max(behaviour.boot, behaviour.reconnect) if within is None else within
    if binding.patterns.ready:
        if not await bench.serial.line(lambda line: tells_ready(binding, line), within=limit, since=since):
            raise StimulusError("the board did not print that it is ready")
        return
    await bench.wait_for(
        is_opened,
        within=behaviour.boot,
        since=since,
        imposed_by="profile: behaviour.boot",
        what="the board to restart, which its console does not show",
    )
    command, deadline = harmless_command(bench.profile), bench.now + limit
    while command is not None and (await bench.serial.command(*command)).problem is not None:
        if bench.now >= deadline:
            raise StimulusError("the board did not answer after its restart")


def harmless_command(profile: Profile) -> tuple[SerialCommand, str | None] | None:
    """A command that changes nothing, to see whether the board answers; None if it has none."""
    binding = binding_of(profile)
    readable = next((name for name in profile.properties if binding.can_read(name)), None)
    if readable is not None:
        return SerialCommand.READ_STATE, readable
    asking = (SerialCommand.READ_CLOCK, SerialCommand.MEMORY, SerialCommand.FIRMWARE_VERSION)
    return next(((command, None) for command in asking if binding.knows(command)), None)


async def until_reported(bench: Bench, name: str, value: Value, transport: Transport, since: int) -> bool:
    """Wait for the report of a change at the board; returns whether it came within its deadline."""
    if transport not in reporting_transports(bench.profile, name):
        return False
    schema = bench.profile.properties[name]
    return bool(
        await bench.wait_for_report(
            name,
            lambda reported: schema.agrees(reported, value),
            transport=transport.value,
            within=bench.profile.behaviour.report_local,
            since=since,
        )
    )


# Reading the trace


def fresh_reports(case: Case, name: str) -> list[Report]:
    """The reports of a property that the device itself sent in the window.

    At the tap, RETAIN is a request of the device; at our client, it marks a message that was stored.
    """
    return [report for report in case.reports(name) if not report.retained or case.offers(BenchFeature.TAP)]


def value_of(act: Decoded[Stimulus, Stimulus]) -> Value:
    """The value of an act."""
    return json.loads(act.value.value or "null")


@dataclass(frozen=True)
class ConsoleAnswer:
    """The board's answer to one command; ``problem`` says what is wrong with it, if anything."""

    event: Event
    name: str | None
    value: Value
    problem: str | None

    @property
    def line(self) -> int:
        """Its line in the trace."""
        return self.event.line

    @property
    def text(self) -> str:
        """The value or the problem, as text."""
        if self.problem is not None:
            return self.problem
        return json_text(self.value) or ""


def answers(case: Case, command: SerialCommand, name: str | None = None) -> list[ConsoleAnswer]:
    """The answers to a command in the window, in order; ``name`` selects a property or control."""
    return [each for each in answers_in(case.window, command) if name is None or each.name == name]


def answers_in(events: Sequence[Event], command: SerialCommand | None = None) -> list[ConsoleAnswer]:
    """The answers to one command, or to all commands, in order."""
    found = []
    for event in events:
        body = event.body
        if isinstance(body, SerialAnswer) and command in (None, body.command):
            value = None if body.value is None else json.loads(body.value)
            found.append(ConsoleAnswer(event, body.name, value, body.problem))
    return found


def good(answered: Sequence[ConsoleAnswer]) -> list[ConsoleAnswer]:
    """The answers without a problem."""
    return [each for each in answered if each.problem is None]


def is_understood(case: Case) -> bool:
    """Whether the board's output in the window can be decoded; at the wrong speed it is noise.

    A board whose output is unreadable must not pass for one that prints nothing wrong.
    """
    binding, quality = binding_of(case.profile), Quality()
    has_line = False
    for event in case.window:
        body, line = event.body, line_of(event)
        if isinstance(body, SerialAnswer) and body.problem is None:
            return True
        if line is not None and (tells_boot(binding, line) or tells_ready(binding, line)):
            return True
        if isinstance(body, SerialData) and body.direction is Direction.FROM_DUT:
            quality.feed(body.raw)
            has_line = has_line or line is not None
    return binding.text is not None and has_line and not quality.is_bad


UNREADABLE = "the output on the serial line cannot be decoded; check bindings.serial.line and the cable"


def printed(events: Sequence[Event]) -> list[Event]:
    """The events that complete a line of the board."""
    return [event for event in events if line_of(event) is not None]


def line_of(event: Event) -> str | None:
    """The line of text that an event completes; None if it completes none."""
    body = event.body
    if isinstance(body, SerialData) and body.direction is Direction.FROM_DUT:
        return body.line
    return None


def sign_of_restart(case: Case, events: Sequence[Event], line: int) -> Event | None:
    """The event that shows a restart after a line: printed text, a connection, or an mDNS probe.

    Without one, a board that only confirms the reboot would pass for one that keeps everything.
    """
    binding = binding_of(case.profile)
    return next((event for event in events if event.line > line and is_start(binding, event)), None)


def is_start(binding: SerialBinding, event: Event) -> bool:
    """Whether an event shows that the device has just started."""
    text = line_of(event)
    if text is not None and (tells_boot(binding, text) or tells_ready(binding, text)):
        return True
    return is_opened(event) or is_probe(event)


def is_from_network(event: Event) -> bool:
    """Whether an event is a packet or a connection of the device on a network."""
    body = event.body
    if isinstance(body, Connection):
        return is_opened(event)
    if isinstance(body, MqttPacket) and body.point is not Point.TAP:
        return False  # the broker sent it
    return isinstance(body, MqttPacket | CoapDatagram | MdnsPacket) and body.direction is Direction.FROM_DUT


def starts_board(act: Stimulus) -> bool:
    """Whether a board may restart after an act."""
    if act.act is Act.CONSOLE:
        return act.name == SerialCommand.PROVISION
    return act.act in (Act.REBOOT, Act.FACTORY_RESET, Act.START)


def boots(case: Case, events: Sequence[Event]) -> list[Event]:
    """The lines that show a start of the board, one for each start.

    Boot loader and firmware may both print one: those within the boot time of the first are the same start,
    unless the board was ready in between or was started again.
    """
    binding, found = binding_of(case.profile), list[Event]()
    is_open, opened = False, 0.0
    for event in events:
        body = event.body
        if isinstance(body, Stimulus) and starts_board(body):
            is_open = False
        line = line_of(event)
        if line is None:
            continue
        if tells_ready(binding, line):
            is_open = False
        elif tells_boot(binding, line):
            if not is_open or event.time - opened > case.profile.behaviour.boot:
                found.append(event)
                opened = event.time
            is_open = True
    return found
