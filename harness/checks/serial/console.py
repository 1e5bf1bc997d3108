"""The console itself: it answers as declared, and nothing that is typed, or comes as noise, ends it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, failed, inconclusive, passed, run_so_far
from harness.checks.catalogue import Check, requirement
from harness.checks.support.serial.board import (
    answers_in,
    binding_of,
    boots,
    first_telling,
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

SHOWN = 8  # events that a pass names
LONG = 8192  # characters of a line that nobody types
NOISE = 512  # bytes
SILENCE = 0.5  # seconds without a byte after which a board has said all that it had to say
LONGEST_TALK = 3.0  # seconds that it may go on; a board that logs without end is asked all the same
PATIENCE = 3
"""So many times it is asked after something odd: what stood in its input may spoil the first command."""


@requirement(
    "SERIAL-14",
    area=Area.SERIAL,
    standard="profile",
    clause="bindings.serial: answers, answer_within",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that what the board is asked over the serial line is answered as declared, and in time",
    stimulus="Give each command that only asks",
    expect="Each has the declared answer within answer_within (a board of which nothing at all is seen is "
    "left undecided)",
    ics="SERIAL.LINE",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The log is printed into the middle of an answer; or the task of the console has the lowest "
    "priority, and waits for the network.",
    runs_when_absent=True,
)
class AnswersAsDeclared(Check):
    """What all other checks of this area rely on.

    A board of which nothing but its line is seen is not taken to be there before it answers. This check asks
    it all the same: one that answers wrongly is there.
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
        told = answers_in(case.window)
        if not told:
            return inconclusive("nothing was asked over the serial line")
        problems = [each for each in told if each.problem is not None]
        if len(problems) == len(told) and not is_alive(case):
            return inconclusive(
                "the board answers nothing, and nothing else shows that it is there", problems[-1].event
            )
        if problems:
            bad = max(problems, key=lambda each: len(each.problem or ""))  # the one that says most
            body = bad.event.body
            assert isinstance(body, SerialAnswer)
            about = f"{body.command} {body.name}" if body.name else body.command
            return failed(f"{about}: {bad.text}", bad.event, _bytes_before(case.window, bad.event))
        return passed(
            f"{len(told)} commands were answered as declared", [each.event for each in told[:SHOWN]]
        )


def is_alive(case: Case) -> bool:
    """Whether something shows that there is a device: it is on a network, or says something on its line.

    Bytes that cannot be read may come from a cable that ends in the air, unless they follow each question.
    """
    run = run_so_far(case)
    is_heard = any(not report.retained for report in case.history)
    if is_heard or any(is_from_network(event) for event in run.window) or is_understood(run):
        return True
    came = False  # something, since the last question
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
    """The last bytes that went over the line before an event."""
    return [event for event in events if event.line < at.line and isinstance(event.body, SerialData)][-3:]


class Unbroken(Check):
    """Something odd goes over the line; the board answers afterwards, and has not started anew."""

    odd = ""  # what it is, for people

    def oddities(self, bench: Bench) -> list[tuple[bytes, str]]:
        """What is sent, and what the trace calls it."""
        raise NotImplementedError

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        command = first_telling(bench.profile)
        if command is None:
            raise StimulusError("the profile declares nothing that the board can be asked")
        await bench.serial.command(*command)
        for raw, what in self.oddities(bench):
            await bench.serial.send(raw, what)
            for _ in range(PATIENCE):
                # Otherwise a late answer to an earlier question would pass for one to the next.
                await _until_silent(bench)
                if (await bench.serial.command(*command)).problem is None:
                    break

    def judge(self, case: Case) -> Outcome:
        sent = [act for act in case.stimuli(Act.RAW) if act.value.transport == "serial"]
        told = answers_in(case.window)
        if not sent or not told or told[0].line > sent[0].line:
            return inconclusive(f"{self.odd} was not sent")
        if told[0].problem is not None:
            return inconclusive("the board did not answer before, either", told[0].event)
        broken = _broken(case, sent)
        if broken is not None:
            return broken
        for index, act in enumerate(sent):
            end = sent[index + 1].line if index + 1 < len(sent) else case.window[-1].line
            after = [each for each in told if act.line < each.line <= end]
            if not any(each.problem is None for each in after):
                if len(after) < PATIENCE:
                    return inconclusive("the board was not asked often enough afterwards", act)
                return failed(
                    f"after {act.value.name} the board answered nothing it was asked", act, after[-1].event
                )
        return passed(f"the board answers as before after {self.odd}", sent, told[-1].event)


async def _until_silent(bench: Bench) -> None:
    """Let a board finish that is behind with what it was sent."""
    deadline = bench.now + LONGEST_TALK
    while bench.now < deadline:
        since = bench.mark()
        what = "the board to have said all that it had to say"
        if not await bench.wait_for(_is_said, within=SILENCE, since=since, what=what):
            return


def _is_said(event: Event) -> bool:
    body = event.body
    return isinstance(body, SerialData) and body.direction is Direction.FROM_DUT


def _broken(case: Case, sent: Sequence[Decoded[Stimulus, Stimulus]]) -> Outcome | None:
    """The failure, if the board crashed or started anew after something was sent."""
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
        return failed(f"after {before.value.name} the board started anew", before, starts[0])
    return None


def _ending(profile: Profile) -> bytes:
    """What ends a line of the console; nothing where it has no lines.

    A shell may rightly take it for the beginning of something longer, which is dropped then.
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
    purpose="ensure that unknown commands and mistyped ones do not end the console",
    stimulus="Type an unknown command, a known one with nonsense behind it, format characters, an empty line",
    expect="The board crashes at none of them, does not start anew, and answers the next command",
    ics="SERIAL.TEXT",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The table of commands is searched to its end and beyond; or the text is passed to printf as "
    "the format.",
)
class UnknownCommands(Unbroken):
    """What fingers do."""

    odd = "unknown commands"

    def oddities(self, bench: Bench) -> list[tuple[bytes, str]]:
        ending = _ending(bench.profile)
        text = binding_of(bench.profile).text
        known = next(iter(text.commands.values())).send.split()[0] if text and text.commands else "help"
        typed = {
            "an unknown command": "xyzzy 12",
            "a known command with nonsense behind it": f'{known} "?? -1 0x {{}}',
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
    purpose="ensure that noise on the serial line is survived",
    stimulus=f"Send {NOISE} random bytes, zeros, and bytes of the other parity, as a loose plug makes them",
    expect="The board does not crash or start anew, and answers one of the next commands",
    ics="SERIAL.LINE",
    needs=(BenchFeature.SERIAL,),
    usual_cause="A framing error is not cleared in the receiver and stops it; a zero byte ends a text early "
    "and the rest is never read.",
)
class Noise(Unbroken):
    """What a loose plug does."""

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
    purpose="ensure that a line that is longer than any command is survived",
    stimulus=f"Type a line of {LONG} characters, and one of 300 without an end, followed by an end",
    expect="The board does not crash or start anew, and answers one of the next commands",
    ics="SERIAL.TEXT",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The line is gathered in a buffer of 128 bytes, and what comes after that is written behind "
    "it.",
)
class OverlongLines(Unbroken):
    """The oldest fault there is."""

    odd = "over-long lines"

    def oddities(self, bench: Bench) -> list[tuple[bytes, str]]:
        ending = _ending(bench.profile)
        return [
            (b"A" * 300 + ending, "a line of 300 characters"),
            (b"A" * LONG + ending, f"a line of {LONG} characters"),
        ]
