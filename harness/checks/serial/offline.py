"""Without a network, the device keeps working and reports its changes afterwards."""

from __future__ import annotations

from harness.checks.bench import NETWORK, Bench, BenchLimitationError, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Transport
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.commands import described
from harness.checks.support.behaviour.local_operation import (
    moved_by,
    unlock,
)
from harness.checks.support.behaviour.outages import settings
from harness.checks.support.behaviour.transports import (
    name_of,
    open_readers,
    reporting_transports,
)
from harness.checks.support.behaviour.trial_values import other_value
from harness.checks.support.serial.board import (
    ConsoleAnswer,
    answers,
    ask,
    binding_of,
    fresh_reports,
    good,
    require_network,
)
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Connection, ConnectionChange, Event, Point, Stimulus

ETSI = "ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1"


async def leave_network(bench: Bench) -> None:
    """Disconnect the board from its network; the tap shows when it has left. Raises StimulusError."""
    since = bench.mark()
    if binding_of(bench.profile).knows(SerialCommand.NETWORK_OFF):
        await ask(bench, SerialCommand.NETWORK_OFF)
    elif bench.offers(BenchFeature.LOCAL):
        await bench.local.attach(NETWORK, False)
    else:
        raise BenchLimitationError("nothing on this bench can disconnect the device from its network")
    if bench.offers(BenchFeature.TAP):
        gone = await bench.wait_for(
            is_gone, within=bench.profile.behaviour.boot, since=since, what="the board to leave the network"
        )
        if gone is None:
            raise StimulusError("the board did not leave the network on command")


async def join_network(bench: Bench) -> None:
    """Connect the board to its network again. Raises StimulusError if it does not come back."""
    if binding_of(bench.profile).knows(SerialCommand.NETWORK_OFF):
        await ask(bench, SerialCommand.NETWORK_ON)
    else:
        await bench.local.attach(NETWORK, True)
    if not await bench.ready():
        raise StimulusError("the device did not come back to the network")


def is_gone(event: Event) -> bool:
    """Whether the device's connection ended, as seen at the tap."""
    body = event.body
    if not isinstance(body, Connection) or body.point is not Point.TAP:
        return False
    return body.change is not ConnectionChange.OPENED


def _absence(case: Case) -> tuple[Decoded[Stimulus, Stimulus], Decoded[Stimulus, Stimulus]] | None:
    """The commands to leave the network and to join it again; None if they are not both there."""
    left = first(case.stimuli(Act.NETWORK_OFF))
    joined = first(case.stimuli(Act.NETWORK_ON), lambda act: left is not None and act.line > left.line)
    return (left, joined) if left is not None and joined is not None else None


@requirement(
    "SERIAL-24",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.9-2, TC 5.9-2-2; profile: controls",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device responds to its keys while its network is gone",
    stimulus="Disconnect the board from its network, by the console or by hand; press a key, and ask the "
    "board for the effect",
    expect="The board shows the effect of the key",
    ics="SERIAL.PRESS & SERIAL.READ",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The main loop waits for the WiFi driver to connect, and reads no keys meanwhile.",
    phase=Phase.OUTAGE,
)
class KeysWithoutNetwork(Check):
    """A heater that cannot be switched off because the router is down is a danger."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return [Subject(name) for name in _keys(profile)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        control = name_of(subject)
        moved = _moved(bench.profile, control)
        async with precondition(bench) as arranger:
            await unlock(arranger, bench.profile, control)
            await leave_network(bench)
            try:
                for name in moved:
                    await ask(bench, SerialCommand.READ_STATE, name)
                await ask(bench, SerialCommand.PRESS_BUTTON, control)
                for name in moved:
                    await ask(bench, SerialCommand.READ_STATE, name)
            finally:
                await join_network(bench)
            await arranger.look()

    def judge(self, case: Case) -> Outcome:
        control, absence = name_of(case.subject), _absence(case)
        if absence is None:
            return inconclusive("the board was not disconnected from its network and connected again")
        left, joined = absence
        pressed = first(
            case.stimuli(Act.LOCAL),
            lambda act: act.value.name == control and left.line < act.line < joined.line,
        )
        if pressed is None:
            return inconclusive(f"{control} was not pressed while the network was gone", left)
        evidence: list[Evidence] = [left, pressed]
        for name in _moved(case.profile, control):
            answered = good(answers(case, SerialCommand.READ_STATE, name))
            before = [each for each in answered if left.line < each.line < pressed.line]
            after = [each for each in answered if pressed.line < each.line < joined.line]
            if not before or not after:
                return inconclusive(f"the board did not report {name} before and after the key", pressed)
            if same_value(before[-1].value, after[-1].value):
                return failed(
                    f"{control} was pressed without a network, but {name} stayed {after[-1].text}",
                    left,
                    pressed,
                    after[-1].event,
                )
            evidence += [before[-1].event, after[-1].event]
        return passed(f"{control} worked without a network", evidence)


def _moved(profile: Profile, control: str) -> list[str]:
    """The properties that a control changes in any case and that the board reports."""
    binding = binding_of(profile)
    effects = [
        effect for effect in moved_by(profile.controls[control]) if binding.can_read(effect.property_ or "")
    ]
    return [effect.property_ or "" for effect in effects]


def _keys(profile: Profile) -> list[str]:
    binding = binding_of(profile)
    return [name for name in profile.controls if binding.can_press(name) and _moved(profile, name)]


@requirement(
    "SERIAL-25",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.9-2, TC 5.9-2-2; profile: behaviour.reconnect",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device reports changes made while its network was gone when it is back",
    stimulus="Disconnect the board from its network, set each property at the board, and connect it again",
    expect="The reports after the return agree with the board",
    ics="SERIAL.WRITE & SERIAL.READ",
    needs=(BenchFeature.SERIAL,),
    usual_cause="Reports that could not be sent are discarded, and the state is not published again "
    "after the "
    "return: the broker keeps the old state.",
    phase=Phase.OUTAGE,
)
class ReportedAfterReturn(Check):
    """All settings that the console can set, in one absence."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        require_network(bench)
        names = _settable(bench.profile)
        async with precondition(bench) as arranger:
            values: dict[str, Value] = {}
            for name in names:
                try:
                    values[name] = await other_value(bench, arranger, name)
                except StimulusError as reason:
                    bench.note(f"{name} stays as it is: {reason}")
            await leave_network(bench)
            try:
                for name, value in values.items():
                    answer = await bench.serial.command(SerialCommand.WRITE_PROPERTY, name, value)
                    if answer.problem is not None:
                        bench.note(f"{name} stays as it is: {answer.problem}")
                    await ask(bench, SerialCommand.READ_STATE, name)
            finally:
                since = bench.mark()
                await join_network(bench)
            for name in values:
                shown = await ask(bench, SerialCommand.READ_STATE, name)
                for transport in open_readers(bench, name):
                    await _await(bench, name, shown, transport, since)
            await arranger.look()

    def judge(self, case: Case) -> Outcome:
        absence = _absence(case)
        if absence is None:
            return inconclusive("the board was not disconnected from its network and connected again")
        left, joined = absence
        others = [act.line for act in case.stimuli(Act.WRITE, Act.LOCAL) if act.line > joined.line]
        end = min([*others, case.window[-1].line + 1])
        evidence: list[Evidence] = []
        for name in _settable(case.profile):
            answered = good(answers(case, SerialCommand.READ_STATE, name))
            shown = [each for each in answered if left.line < each.line < end]
            before = case.last_report(name, left.line)
            if not shown or before is None or same_value(shown[-1].value, before.value):
                continue
            outcome = self._told(case, name, shown[-1], joined, end)
            if isinstance(outcome, Outcome):
                return outcome
            evidence += [shown[-1].event, outcome]
        if not evidence:
            return inconclusive("nothing changed at the board while the network was gone", left, joined)
        return passed(f"{len(evidence) // 2} changes were reported after the return", left, joined, evidence)

    def _told(
        self, case: Case, name: str, shown: ConsoleAnswer, joined: Decoded[Stimulus, Stimulus], end: int
    ) -> Outcome | Evidence:
        """The report that agrees with the board, or the failure if there is none."""
        schema = case.profile.properties[name]
        after = [r for r in fresh_reports(case, name) if joined.line < r.event.line < end]
        good_ones = [r for r in after if r.problem is None and schema.agrees(r.value, shown.value)]
        if good_ones:
            return good_ones[-1]
        instead = f"; instead {described(after[-1])} was reported" if after else ""
        text = f"{name} became {shown.text} while the network was gone, and was not reported after the return"
        return failed(text + instead, shown.event, joined, after[-1:])


def _settable(profile: Profile) -> list[str]:
    binding = binding_of(profile)
    return [
        name
        for name in settings(profile)
        if binding.can_write(name) and binding.can_read(name) and reporting_transports(profile, name)
    ]


async def _await(bench: Bench, name: str, value: Value, transport: Transport, since: int) -> None:
    if transport is Transport.COAP:
        await bench.read(name, transport=transport.value)
        return
    schema = bench.profile.properties[name]
    await bench.wait_for_report(
        name,
        lambda reported: schema.agrees(reported, value),
        transport=transport.value,
        within=bench.profile.settle(name),
        since=since,
    )
