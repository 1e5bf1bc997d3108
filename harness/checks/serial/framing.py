"""Binary frames and Modbus messages: the board ignores damaged ones."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.trial_values import other_value
from harness.checks.support.serial.board import (
    answers,
    ask,
    binding_of,
    good,
)
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Direction, Event, SerialData

PATIENCE = 3
"""Commands after a damaged frame: at first the board may wait for the rest of the frame."""

TRIED = 2  # properties


@requirement(
    "SERIAL-29",
    area=Area.SERIAL,
    standard="profile",
    clause="bindings.serial: frames.checksum, modbus (Modbus over serial line 1.02, 2.5.1.2)",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device ignores a frame with a wrong checksum, and accepts the next good one",
    stimulus="Set a property at the board twice; send the first frame again with one bit flipped, in its "
    "checksum and elsewhere; then ask the board",
    expect="The property stays as the good frame left it, and the board answers",
    ics="SERIAL.CHECKSUM & SERIAL.WRITE & SERIAL.READ",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The checksum is computed and logged, but the frame is handled anyway; or it is compared in "
    "debug builds only.",
    phase=Phase.MALFORMED,
)
class DamagedFrames(Check):
    """Up to two properties that can be set over the line."""

    def subjects(self, profile: Profile) -> list[Subject]:
        binding = binding_of(profile)
        names = [
            name
            for name, schema in profile.properties.items()
            if schema.writable and binding.can_write(name) and binding.can_read(name)
        ]
        return [Subject(name) for name in names[:TRIED]]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = subject.name or ""
        async with precondition(bench) as arranger:
            original = await ask(bench, SerialCommand.READ_STATE, name)
            value = await other_value(bench, arranger, name)
            since = bench.mark()
            await ask(bench, SerialCommand.WRITE_PROPERTY, name, value)
            sent = _sent(bench.trace[since:])
            if sent is None:
                raise StimulusError("no frame was seen on the line")
            await ask(bench, SerialCommand.WRITE_PROPERTY, name, original)
            await ask(bench, SerialCommand.READ_STATE, name)
            for raw, what in damaged(sent):
                await bench.serial.send(raw, f"the frame that sets {name} = {value}, {what}")
                for _ in range(PATIENCE):
                    if (await bench.serial.command(SerialCommand.READ_STATE, name)).problem is None:
                        break
            await arranger.look()

    def judge(self, case: Case) -> Outcome:
        name = case.subject.name or ""
        replies = answers(case, SerialCommand.READ_STATE, name)
        evidence: list[Evidence] = []
        sent = [act for act in case.stimuli(Act.RAW) if act.value.transport == "serial"]
        for index, act in enumerate(sent):
            end = sent[index + 1].line if index + 1 < len(sent) else case.window[-1].line
            before = [each for each in good(replies) if each.line < sent[0].line]
            after = [each for each in replies if act.line < each.line <= end]
            answered = first(after, lambda each: each.problem is None)
            if len(before) < 2:
                return inconclusive(f"the board did not report {name} before the damaged frame", act)
            if answered is None:
                if len(after) < PATIENCE:
                    return inconclusive("the board was not asked often enough after a damaged frame", act)
                return failed("the board answered no command after a damaged frame", act, after[-1].event)
            if not same_value(answered.value, before[-1].value):
                return failed(
                    f"the board accepted a damaged frame: {name} changed from {before[-1].text} to "
                    f"{answered.text}",
                    before[-1].event,
                    act,
                    answered.event,
                )
            evidence += [act, answered.event]
        if not evidence:
            return inconclusive("no damaged frame was sent")
        return passed(f"{len(sent)} damaged frames did not change {name}", evidence)


def _sent(events: Sequence[Event]) -> bytes | None:
    """The first frame that was sent to the board."""
    for event in events:
        body = event.body
        if isinstance(body, SerialData) and body.direction is Direction.TO_DUT:
            return body.raw
    return None


def damaged(raw: bytes) -> list[tuple[bytes, str]]:
    """A frame with one bit flipped: in its last byte, and in the middle of its second half."""
    inner = len(raw) * 3 // 4 - 1
    return [
        (raw[:-1] + bytes([raw[-1] ^ 0x01]), "with one bit flipped in its last byte"),
        (
            raw[:inner] + bytes([raw[inner] ^ 0x04]) + raw[inner + 1 :],
            f"with one bit flipped in byte {inner + 1}",
        ),
    ]
