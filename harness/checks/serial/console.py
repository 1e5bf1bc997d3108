"""The console: it answers as declared, and neither input nor noise stops it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, failed, inconclusive, passed, run_so_far
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.serial.board import (
    answers_in,
    binding_of,
    boots,
    harmless_command,
    is_from_network,
    is_understood,
    line_of,
)
from harness.model.bindings.serial import SerialCommand
from harness.model.bindings.serial_log import crash_in
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, SerialAnswer, SerialData, Stimulus

ASKING = (
    SerialCommand.FIRMWARE_VERSION,
    SerialCommand.MEMORY,
    SerialCommand.READ_CLOCK,
    SerialCommand.CREDENTIALS,
)
"""Commands without an argument that change nothing."""

SHOWN = 8  # events that a pass cites
LONG = 8192  # characters; longer than any command
NOISE = 512  # bytes
SILENCE = 0.5  # seconds without a byte after which the board has finished its output
LONGEST_TALK = 3.0  # seconds to wait for that; a board that never stops logging is asked anyway
PATIENCE = 3
"""Commands after an odd input: leftovers in the input buffer may spoil the first one."""


@requirement(
    "SERIAL-14",
    area=Area.SERIAL,
    standard="profile",
    clause="bindings.serial: answers, answer_within",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device answers commands over its serial line as declared, and in time",
    stimulus="Send each command that only reads",
    expect="Each gets the declared answer within answer_within (inconclusive if nothing at all is seen of "
    "the board)",
    ics="SERIAL.LINE",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The log is printed into the middle of an answer; or the console task has the lowest "
    "priority and waits for the network.",
    runs_when_absent=True,
    phase=Phase.WATCH,
)
class AnswersAsDeclared(Check):
    """All other checks of this area rely on it.

    A board with nothing but a serial line counts as present only when it answers. This check asks it anyway:
    a board that answers wrongly is present, too.
    """

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        binding = binding_of(bench.profile)
        for command in ASKING:
            if binding.knows(command):
                await bench.serial.command(command)
        for name in bench.profile.properties:
            if binding.can_read(name):
                await bench.serial.command(SerialCommand.READ_STATE, name)

    def judge(self, case: Case) -> Outcome:
        answered = answers_in(case.window)
        if not answered:
            return inconclusive("no command was sent over the serial line")
        problems = [each for each in answered if each.problem is not None]
        if len(problems) == len(answered) and not is_alive(case):
            return inconclusive(
                "the board does not answer, and nothing else shows that it is connected", problems[-1].event
            )
        if problems:
            bad = max(problems, key=lambda each: len(each.problem or ""))  # the most detailed one
            body = bad.event.body
            assert isinstance(body, SerialAnswer)
            about = f"{body.command} {body.name}" if body.name else body.command
            return failed(f"{about}: {bad.text}", bad.event, _bytes_before(case.window, bad.event))
        return passed(
            f"{len(answered)} commands were answered as declared", [each.event for each in answered[:SHOWN]]
        )


def is_alive(case: Case) -> bool:
    """Whether something shows that a device is connected: it is on a network, or its output can be read.

    Unreadable bytes may come from an open cable, unless some follow each command.
    """
    run = run_so_far(case)
    is_heard = any(not report.retained for report in case.history)
    if is_heard or any(is_from_network(event) for event in run.window) or is_understood(run):
        return True
    came = False  # any bytes since the last command
    for event in case.window:
        body = event.body
        if isinstance(body, SerialData):
            came = body.direction is Direction.FROM_DUT
        elif isinstance(body, SerialAnswer):
            if not came:
                return False
            came = False
    return True


def _bytes_before(events: Sequence[Event], at: Event) -> list[Event]:
    """The last bytes on the line before an event."""
    return [event for event in events if event.line < at.line and isinstance(event.body, SerialData)][-3:]


class Unbroken(Check):
    """Odd input is sent; afterwards the board still answers and has not restarted."""

    odd = ""  # what is sent, for messages

    def oddities(self, bench: Bench) -> list[tuple[bytes, str]]:
        """The bytes to send, each with its name in the trace."""
        raise NotImplementedError

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        command = harmless_command(bench.profile)
        if command is None:
            raise StimulusError("the profile declares no command that the board can be asked")
        await bench.serial.command(*command)
        for raw, what in self.oddities(bench):
            await bench.serial.send(raw, what)
            for _ in range(PATIENCE):
                # Otherwise a late answer to one command would count as the answer to the next.
                await _until_silent(bench)
                if (await bench.serial.command(*command)).problem is None:
                    break

    def judge(self, case: Case) -> Outcome:
        sent = [act for act in case.stimuli(Act.RAW) if act.value.transport == "serial"]
        answered = answers_in(case.window)
        if not sent or not answered or answered[0].line > sent[0].line:
            return inconclusive(f"no {self.odd} was sent")
        if answered[0].problem is not None:
            return inconclusive("the board did not answer before either", answered[0].event)
        broken = _broken(case, sent)
        if broken is not None:
            return broken
        for index, act in enumerate(sent):
            end = sent[index + 1].line if index + 1 < len(sent) else case.window[-1].line
            after = [each for each in answered if act.line < each.line <= end]
            if not any(each.problem is None for each in after):
                if len(after) < PATIENCE:
                    return inconclusive("the board was not asked often enough afterwards", act)
                return failed(f"after {act.value.name} the board answered no command", act, after[-1].event)
        return passed(f"the board still answers after {self.odd}", sent, answered[-1].event)


async def _until_silent(bench: Bench) -> None:
    """Wait until the board has worked off its input and stops sending."""
    deadline = bench.now + LONGEST_TALK
    while bench.now < deadline:
        since = bench.mark()
        what = "the board to finish its output"
        if not await bench.wait_for(_is_said, within=SILENCE, since=since, what=what):
            return


def _is_said(event: Event) -> bool:
    body = event.body
    return isinstance(body, SerialData) and body.direction is Direction.FROM_DUT


def _broken(case: Case, sent: Sequence[Decoded[Stimulus, Stimulus]]) -> Outcome | None:
    """The failure, if the board crashed or restarted after an input."""
    binding = binding_of(case.profile)
    for event in case.window:
        line = line_of(event)
        if line is None or event.line < sent[0].line:
            continue
        before = [act for act in sent if act.line < event.line][-1]
        if crash_in(binding, line) is not None:
            return failed(f'after {before.value.name} the board crashed: "{line}"', before, event)
    starts = [event for event in boots(case, case.window) if event.line > sent[0].line]
    if starts:
        before = [act for act in sent if act.line < starts[0].line][-1]
        return failed(f"after {before.value.name} the board restarted", before, starts[0])
    return None


def _ending(profile: Profile) -> bytes:
    """What ends a line of the console; empty if it has no lines.

    Where the profile declares ``cancel``, it is added: a shell may take odd input for the start of more.
    """
    text = binding_of(profile).text
    return text.line_ending.raw + bytes.fromhex(text.cancel or "") if text is not None else b""


@requirement(
    "SERIAL-15",
    area=Area.SERIAL,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.13-1, TC 5.13-1-2; profile: bindings.serial.text",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device keeps its console alive after unknown and mistyped commands",
    stimulus="Type an unknown command, a known one followed by nonsense, format characters, an empty line",
    expect="The board neither crashes nor restarts, and answers the next command",
    ics="SERIAL.TEXT",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The search in the command table runs past its end; or the text is passed to printf as the "
    "format.",
    phase=Phase.MALFORMED,
)
class UnknownCommands(Unbroken):
    """Typing mistakes."""

    odd = "unknown commands"

    def oddities(self, bench: Bench) -> list[tuple[bytes, str]]:
        ending = _ending(bench.profile)
        text = binding_of(bench.profile).text
        known = next(iter(text.commands.values())).send.split()[0] if text and text.commands else "help"
        typed = {
            "an unknown command": "xyzzy 12",
            "a known command followed by nonsense": f'{known} "?? -1 0x {{}}',
            "format characters": "%s%n%x%p",
            "an empty line": "",
            "a line of blanks and tabs": " \t \t",
            "letters beyond ASCII": "größe ☃",
        }
        return [(line.encode() + ending, what) for what, line in typed.items()]


@requirement(
    "SERIAL-16",
    area=Area.SERIAL,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.13-1, TC 5.13-1-2; profile: bindings.serial",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device survives noise on its serial line",
    stimulus=f"Send {NOISE} random bytes, zeros, and bytes of the other parity, as a loose plug does",
    expect="The board neither crashes nor restarts, and answers one of the next commands",
    ics="SERIAL.LINE",
    needs=(BenchFeature.SERIAL,),
    usual_cause="A framing error is not cleared and stops the receiver; a zero byte ends the text early and "
    "the rest is never read.",
    phase=Phase.MALFORMED,
)
class Noise(Unbroken):
    """Bytes as a loose plug makes them."""

    odd = "noise"

    def oddities(self, bench: Bench) -> list[tuple[bytes, str]]:
        ending = _ending(bench.profile)
        noise = bytes(bench.random.randrange(256) for _ in range(NOISE))
        return [
            (noise + ending, f"{NOISE} random bytes"),
            (bytes(64) + ending, "64 bytes of zero"),
            (bytes(0x80 | byte for byte in b"version") + ending, "letters with the eighth bit set"),
        ]


@requirement(
    "SERIAL-17",
    area=Area.SERIAL,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.13-1, TC 5.13-1-2; profile: bindings.serial.text",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device survives a line that is longer than any command",
    stimulus=f"Type a line of 300 characters, and one of {LONG}",
    expect="The board neither crashes nor restarts, and answers one of the next commands",
    ics="SERIAL.TEXT",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The line is collected in a buffer of 128 bytes, and the rest is written past its end.",
    phase=Phase.MALFORMED,
)
class OverlongLines(Unbroken):
    """Buffer overflows."""

    odd = "overlong lines"

    def oddities(self, bench: Bench) -> list[tuple[bytes, str]]:
        ending = _ending(bench.profile)
        return [
            (b"A" * 300 + ending, "a line of 300 characters"),
            (b"A" * LONG + ending, f"a line of {LONG} characters"),
        ]
