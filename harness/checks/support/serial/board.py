"""The board behind the serial line: asking it, and reading in the trace what it answered and printed."""

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
    """The serial line of a profile that has one."""
    assert profile.bindings.serial is not None, "planned without a serial line"
    return profile.bindings.serial


# Driving


async def ask(bench: Bench, command: SerialCommand, name: str | None = None, value: Value = None) -> Value:
    """Tell the board something, and take what it tells. Raises CannotStimulateError without a good answer."""
    answer = await bench.serial.command(command, name, value)
    if answer.problem is not None:
        about = f"{command} {name}" if name else str(command)
        raise StimulusError(f"the board gave no good answer to {about}: {answer.problem}")
    return answer.value


def require_network(bench: Bench) -> None:
    """Raise BeyondBenchError where nothing is seen of the device but its serial line."""
    if not bench.offers(BenchFeature.BROKER) and not bench.offers(BenchFeature.COAP):
        raise BenchLimitationError(
            "only the serial line of the DUT is watched; use --listen, --mqtt or --coap for its network, too"
        )


def require_transport(bench: Bench, transport: Transport) -> None:
    """Raise BeyondBenchError where nobody watches what the device tells over a transport."""
    if not bench.offers(NEED_OF[transport]):
        raise BenchLimitationError(f"what the DUT tells over {transport} is not watched here")


async def board_shows(bench: Bench, name: str, wanted: Callable[[Value], bool], *, within: float) -> bool:
    """Ask the board for a property again and again until it is as wanted, or the time is over.

    The last time it is asked is not before that.
    """
    deadline, pause = bench.now + within, 0.0
    while True:
        is_last = bench.now >= deadline
        if wanted(await ask(bench, SerialCommand.READ_STATE, name)):
            return True
        if is_last:
            return False
        pause = min(max(2 * pause, 0.01), max(deadline - bench.now, 0.0), 0.5)
        await bench.wait_for(lambda _: False, within=pause, what=f"the board to show {name} as it should be")


async def reboot(bench: Bench, *, within: float | None = None) -> int:
    """Reboot by the console, and wait until the board is up again; returns the mark before.

    Raises CannotStimulateError when it does not go down, or does not come up.
    """
    since = bench.mark()
    await ask(bench, SerialCommand.REBOOT)
    await hear_boot(bench, since, within=within)
    return since


async def hear_boot(bench: Bench, since: int, *, within: float | None = None) -> None:
    """Wait until the board has started anew since a mark, and takes commands again.

    It says that it is ready. Where the profile has no pattern for that, a new connection to the broker shows
    it, or the boot time is waited out. Raises CannotStimulateError when it does not come up.
    """
    behaviour, binding = bench.profile.behaviour, binding_of(bench.profile)
    limit = max(behaviour.boot, behaviour.reconnect) if within is None else within
    if binding.patterns.ready:
        if not await bench.serial.line(lambda line: tells_ready(binding, line), within=limit, since=since):
            raise StimulusError("the board did not say that it is ready")
        return
    await bench.wait_for(
        is_opened,
        within=behaviour.boot,
        since=since,
        imposed_by="profile: behaviour.boot",
        what="the board to be up again; nothing on its line tells",
    )
    telling, deadline = first_telling(bench.profile), bench.now + limit
    while telling is not None and (await bench.serial.command(*telling)).problem is not None:
        if bench.now >= deadline:
            raise StimulusError("the board did not answer after its start")


def first_telling(profile: Profile) -> tuple[SerialCommand, str | None] | None:
    """A command that does no harm, to see whether the board answers; None where it has none."""
    binding = binding_of(profile)
    readable = next((name for name in profile.properties if binding.can_read(name)), None)
    if readable is not None:
        return SerialCommand.READ_STATE, readable
    asking = (SerialCommand.READ_CLOCK, SerialCommand.MEMORY, SerialCommand.FIRMWARE_VERSION)
    return next(((command, None) for command in asking if binding.knows(command)), None)


async def until_reported(bench: Bench, name: str, value: Value, transport: Transport, since: int) -> bool:
    """Whether the network reports within its deadline what was done at the board."""
    if transport not in reporting_transports(bench.profile, name):
        return False
    schema = bench.profile.properties[name]
    return bool(
        await bench.wait_for_report(
            name,
            lambda told: schema.agrees(told, value),
            transport=transport.value,
            within=bench.profile.behaviour.report_local,
            since=since,
        )
    )


# Reading the trace


def fresh_reports(case: Case, name: str) -> list[Report]:
    """The reports of a property in the window that the device itself made then.

    At the tap, RETAIN is what the device asks of the broker; at our client, that the broker kept it.
    """
    return [report for report in case.reports(name) if not report.retained or case.offers(BenchFeature.TAP)]


def value_of(act: Decoded[Stimulus, Stimulus]) -> Value:
    """The value of an act."""
    return json.loads(act.value.value or "null")


@dataclass(frozen=True)
class ConsoleAnswer:
    """What the board answered to one command; ``problem`` says why that is no good answer."""

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
        """For people."""
        if self.problem is not None:
            return self.problem
        return json_text(self.value) or ""


def answers(case: Case, command: SerialCommand, name: str | None = None) -> list[ConsoleAnswer]:
    """The answers to a command in the window, in order; to one about that property or control, if named."""
    return [told for told in answers_in(case.window, command) if name is None or told.name == name]


def answers_in(events: Sequence[Event], command: SerialCommand | None = None) -> list[ConsoleAnswer]:
    """The answers to a command, or to all, in order."""
    found = []
    for event in events:
        body = event.body
        if isinstance(body, SerialAnswer) and command in (None, body.command):
            value = None if body.value is None else json.loads(body.value)
            found.append(ConsoleAnswer(event, body.name, value, body.problem))
    return found


def good(told: Sequence[ConsoleAnswer]) -> list[ConsoleAnswer]:
    """Those that say something."""
    return [each for each in told if each.problem is None]


def is_understood(case: Case) -> bool:
    """Whether what came over the line in the window can be read at all: at another speed, it is noise.

    What cannot be read must not be taken for a board that prints nothing wrong.
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


UNREADABLE = "what came over the serial line cannot be read; look at bindings.serial.line, and at the cable"


def printed(events: Sequence[Event]) -> list[Event]:
    """The lines that the board printed."""
    return [event for event in events if line_of(event) is not None]


def line_of(event: Event) -> str | None:
    """The line that the board completed with an event; None where it did not."""
    body = event.body
    if isinstance(body, SerialData) and body.direction is Direction.FROM_DUT:
        return body.line
    return None


def shown_start(case: Case, events: Sequence[Event], line: int) -> Event | None:
    """What shows that the board really started anew after a line: its word, a connection, a probe of names.

    A board that says that it reboots, and does not, would keep everything.
    """
    binding = binding_of(case.profile)
    return next((event for event in events if event.line > line and is_start(binding, event)), None)


def is_start(binding: SerialBinding, event: Event) -> bool:
    """Whether an event shows that the device started a moment ago."""
    text = line_of(event)
    if text is not None and (tells_boot(binding, text) or tells_ready(binding, text)):
        return True
    return is_opened(event) or is_probe(event)


def is_from_network(event: Event) -> bool:
    """Whether an event is something that the device itself did on a network."""
    body = event.body
    if isinstance(body, Connection):
        return is_opened(event)
    if isinstance(body, MqttPacket) and body.point is not Point.TAP:
        return False  # it comes from the broker
    return isinstance(body, MqttPacket | CoapDatagram | MdnsPacket) and body.direction is Direction.FROM_DUT


def starts_board(act: Stimulus) -> bool:
    """Whether a board may start anew after that."""
    if act.act is Act.CONSOLE:
        return act.name == SerialCommand.PROVISION
    return act.act in (Act.REBOOT, Act.FACTORY_RESET, Act.START)


def boots(case: Case, events: Sequence[Event]) -> list[Event]:
    """The lines by which the board says that it starts, one for each start.

    A loader and the firmware both say so; what comes within the boot time of the first is the same start,
    unless the board had said that it is ready, or was started again.
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
