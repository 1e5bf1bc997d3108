"""Starts of the board: how long they take, what they keep, and power cuts at bad moments."""

from __future__ import annotations

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.commands import had_time
from harness.checks.support.behaviour.outages import (
    await_settings,
    compare,
    cut_power,
    settings,
)
from harness.checks.support.behaviour.transports import open_writers
from harness.checks.support.behaviour.trial_values import other_value
from harness.checks.support.networks import ping_coap, shown_on_mqtt
from harness.checks.support.serial.board import (
    UNREADABLE,
    ConsoleAnswer,
    answers,
    ask,
    binding_of,
    boots,
    fresh_reports,
    good,
    is_start,
    is_understood,
    line_of,
    reboot,
    require_network,
    sign_of_restart,
    starts_board,
    value_of,
    wait_for_boot,
)
from harness.checks.support.serial.settings import (
    change_settings,
    shown_settings,
)
from harness.model.affordance import PowerUp
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.bindings.serial_log import (
    tells_boot,
    tells_ready,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import is_number
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Event, Stimulus

CUTS = 4
"""Power cuts for one property: at once, and at moments up to the settle time."""

RESOLUTION = 0.25  # seconds between two pings of a board that starts
ATTEMPTS = 3  # boot times to wait for a late board


@requirement(
    "SERIAL-07",
    area=Area.SERIAL,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.9-2, TC 5.9-2-2; profile: properties.*.power_up",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device has the old or the new value after a power cut during a write, never "
    "a third",
    stimulus="Command another value and cut the power at once, and at random moments of the settle time; "
    "restore the power, and ask the board and the network",
    expect="Both report the value before the command or the commanded one; with power_up default, the "
    "default",
    ics="SERIAL.READ & DEV.ACTUATOR",
    needs=(BenchFeature.SERIAL, BenchFeature.POWER),
    usual_cause="The record in flash is overwritten in place: when the power fails in the middle, it is half "
    "old and half new, and has no checksum.",
    phase=Phase.OUTAGE,
)
class PowerCutDuringWrite(Check):
    """Each writable property that the board reports."""

    def subjects(self, profile: Profile) -> list[Subject]:
        binding = binding_of(profile)
        return [Subject(name) for name in settings(profile) if binding.can_read(name)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = subject.name or ""
        transports = open_writers(bench, name)
        if not transports:
            raise StimulusError(f"this bench has no transport to command {name}")
        async with precondition(bench, transports[0]) as arranger:
            for cut in range(CUTS):
                value = await other_value(bench, arranger, name)
                await ask(bench, SerialCommand.READ_STATE, name)
                await bench.write(name, value, transport=transports[0].value)
                if cut:
                    moment = bench.random.uniform(0, bench.profile.settle(name))
                    what = "the moment at which the power fails"
                    await bench.wait_for(
                        lambda _: False, within=moment, imposed_by="profile: settle", what=what
                    )
                since = bench.mark()
                await cut_power(bench)
                await wait_for_boot(bench, since)
                await await_settings(bench, since)
                await ask(bench, SerialCommand.READ_STATE, name)
                await arranger.look()

    def judge(self, case: Case) -> Outcome:
        name = case.subject.name or ""
        answered = good(answers(case, SerialCommand.READ_STATE, name))
        evidence: list[Evidence] = []
        for cut in case.stimuli(Act.KILL):
            write = _write_before(case, name, cut.line)
            start = first(case.stimuli(Act.START), lambda act, cut=cut: act.line > cut.line)  # type: ignore[misc]
            if write is None or start is None:
                continue
            before = [each for each in answered if each.line < write.line]
            after = first(answered, lambda each, start=start: each.line > start.line)  # type: ignore[misc]
            if not before or after is None:
                continue
            allowed = _allowed(case, name, before[-1].value, value_of(write))
            if _moves_in_steps(case, name):  # a lamp that fades may stop at any of them
                seen = [after.value, *(report.value for report in case.reports(name) if not report.problem)]
                allowed += [value for value in seen if _is_between(value, *allowed[:2])]
            outcome = self._third_value(case, name, allowed, start.line, after)
            if outcome is not None:
                return outcome
            evidence += [write, cut, after.event]
        if not evidence:
            return inconclusive(f"the power was not cut after a command for {name}")
        return passed(f"{name} had the old or the new value after {len(evidence) // 3} power cuts", evidence)

    def _third_value(
        self, case: Case, name: str, allowed: list[Value], start: int, after: ConsoleAnswer
    ) -> Outcome | None:
        """The failure, if the board or the network reports a value that is not allowed."""
        schema = case.profile.properties[name]
        shown = " or ".join(json_text(value) or "null" for value in allowed[:2])
        if not any(schema.agrees(after.value, value) for value in allowed):
            text = f"after the power cut the board shows {name} = {after.text}, not {shown}"
            return failed(text, case.window[start - case.window[0].line], after.event)
        end = next((act.line for act in case.stimuli(Act.WRITE, Act.KILL) if act.line > start), None)
        for report in fresh_reports(case, name):
            line = report.event.line
            if line <= start or (end is not None and line >= end) or report.problem is not None:
                continue
            if any(schema.agrees(report.value, value) for value in allowed):
                continue
            text = f"after the power cut the network reports {name} = {json_text(report.value)}, not {shown}"
            return failed(text, case.window[start - case.window[0].line], report)
        return None


def _write_before(case: Case, name: str, line: int) -> Decoded[Stimulus, Stimulus] | None:
    """The command for a property right before a line, with no other start of the board in between."""
    for act in reversed(case.stimuli()):
        if act.line >= line:
            continue
        if act.value.act is Act.WRITE and act.value.name == name:
            return act
        if starts_board(act.value) or act.value.act in (Act.WRITE, Act.LOCAL, Act.KILL):
            return None
    return None


def _moves_in_steps(case: Case, name: str) -> bool:
    """Whether the device reported a value between the old and the new one, before any power was cut."""
    schema = case.profile.properties[name]
    for cut in case.stimuli(Act.KILL):
        write = _write_before(case, name, cut.line)
        before = case.last_report(name, write.line) if write is not None else None
        if write is None or before is None:
            continue
        ends = (before.value, value_of(write))
        for report in case.reports(name):
            on_time = write.line < report.event.line < cut.line and _is_between(report.value, *ends)
            if on_time and not any(schema.agrees(report.value, end) for end in ends):
                return True
    return False


def _is_between(value: Value, start: Value, end: Value) -> bool:
    numbers = all(is_number(each) for each in (value, start, end))
    return numbers and bool(min(start, end) <= value <= max(start, end))


def _allowed(case: Case, name: str, before: Value, commanded: Value) -> list[Value]:
    schema = case.profile.properties[name]
    is_default = schema.power_up is PowerUp.DEFAULT and schema.default is not None
    return [before, commanded, *([schema.default] if is_default else [])]


@requirement(
    "SERIAL-08",
    area=Area.SERIAL,
    standard="profile",
    clause="properties.*.power_up",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device keeps or resets each setting over a reboot as declared",
    stimulus="Change the settings, reboot by the console, and ask the board and the network",
    expect="Each setting is as power_up declares, at the board and on the network",
    ics="SERIAL.REBOOT & SERIAL.READ & DEV.ACTUATOR",
    needs=(BenchFeature.SERIAL,),
    usual_cause="Settings are written to flash minutes after they change; or the network module "
    "remembers the "
    "old state, and the main controller starts with its own.",
    phase=Phase.OUTAGE,
)
class RebootKeepsState(Check):
    """All settings at once, one reboot."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        async with precondition(bench) as arranger:
            await change_settings(bench, arranger)
            for name in shown_settings(bench.profile):
                await ask(bench, SerialCommand.READ_STATE, name)
            since = await reboot(bench)
            await await_settings(bench, since)
            for name in shown_settings(bench.profile):
                await ask(bench, SerialCommand.READ_STATE, name)

    def judge(self, case: Case) -> Outcome:
        act = first(case.stimuli(Act.REBOOT))
        if act is None:
            return inconclusive("the board was not rebooted")
        evidence: list[Evidence] = []
        fell_back = False  # a setting went to its default, which only a start does
        for name in shown_settings(case.profile):
            answered = good(answers(case, SerialCommand.READ_STATE, name))
            before = [each for each in answered if each.line < act.line]
            after = first(answered, lambda each: each.line > act.line)
            if not before or after is None:
                continue
            expected = after_power(case.profile, name, before[-1].value)
            if not case.profile.properties[name].agrees(after.value, expected):
                return failed(
                    f"the board showed {name} = {before[-1].text} before the reboot and {after.text} after "
                    f"it, not {json_text(expected)}",
                    before[-1].event,
                    act,
                    after.event,
                )
            evidence += [before[-1].event, after.event]
            fell_back = fell_back or not case.profile.properties[name].agrees(before[-1].value, expected)
        on_network = compare(
            case, act.line, act.line, lambda name, value: after_power(case.profile, name, value), "the reboot"
        )
        if on_network.verdict == "fail" or not evidence:
            return on_network
        if not fell_back and sign_of_restart(case, case.window, act.line) is None:
            return inconclusive("nothing shows that the board restarted", act)
        return passed(f"{len(evidence) // 2} settings are as declared after a reboot", act, evidence)


def after_power(profile: Profile, name: str, before: Value) -> Value:
    """What a property should be after a restart, according to the profile."""
    schema = profile.properties[name]
    has_default = schema.power_up is PowerUp.DEFAULT and schema.default is not None
    return schema.default if has_default else before


@requirement(
    "SERIAL-09",
    area=Area.SERIAL,
    standard="profile",
    clause="behaviour.boot",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device is back on its networks within the declared time after a restart",
    stimulus="Reboot by the console, and wait for the device on its networks",
    expect="It is connected and subscribed over MQTT, and answers over CoAP, within behaviour.boot",
    ics="SERIAL.REBOOT & (MQTT.CLIENT | COAP.SERVER)",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The firmware waits for a time server, for a cloud, or for its log to be written before it "
    "opens its connections.",
    phase=Phase.OUTAGE,
)
class BootTime(Check):
    """From the command to the first sign on each network."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        require_network(bench)
        binding, since = binding_of(bench.profile), bench.mark()
        limit = ATTEMPTS * bench.profile.behaviour.boot
        deadline = bench.now + limit
        await ask(bench, SerialCommand.REBOOT)
        what = "the board to restart"
        if not await bench.wait_for(
            lambda event: is_start(binding, event), within=limit, since=since, what=what
        ):
            raise StimulusError("nothing shows that the board restarted")
        if bench.offers(BenchFeature.COAP):
            await ping_coap(bench, within=RESOLUTION, what="is it up?", until=deadline)
        if not await bench.ready(within=max(deadline - bench.now, 0.0)):
            raise StimulusError("the device did not come back to the network")

    def judge(self, case: Case) -> Outcome:
        act, limit = first(case.stimuli(Act.REBOOT)), case.profile.behaviour.boot
        if act is None:
            return inconclusive("the board was not rebooted")
        signs = _signs_of_life(case, act.line)
        if not signs:
            return inconclusive("nothing showed that the device was back on the network", act)
        for network, event in signs.items():
            # Over CoAP, the time is known to the interval between two pings.
            if event.time - act.time > limit + (RESOLUTION if network == "CoAP" else 0.0):
                took = event.time - act.time
                return failed(
                    f"the device was back on {network} after {took:.3g} s, not {limit:g} s", act, event
                )
        times = ", ".join(
            f"{network} after {event.time - act.time:.3g} s" for network, event in signs.items()
        )
        return passed(f"the device was back on {times}", act, list(signs.values()))


def _signs_of_life(case: Case, line: int) -> dict[str, Event]:
    """The first event after a reboot that shows the device on a network, for each watched network."""
    found: dict[str, Event] = {}
    connected = shown_on_mqtt(case, line)
    if connected is not None:
        found["MQTT"] = connected
    started = sign_of_restart(case, case.window, line)
    if started is not None and case.offers(BenchFeature.COAP):
        answer = first(case.coap(), lambda seen: seen.line > started.line)
        if answer is not None:
            found["CoAP"] = answer.event
    return found


@requirement(
    "SERIAL-10",
    area=Area.SERIAL,
    standard="profile",
    clause="bindings.serial.patterns.ready; behaviour.boot",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device restarts once on a reboot command, and prints when it is ready",
    stimulus="Reboot by the console",
    expect="One start and the line that it is ready, within behaviour.boot",
    ics="SERIAL.REBOOT & SERIAL.READY",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The reboot command restarts only the application and leaves the peripherals as they "
    "were; or "
    "the board starts twice because its watchdog keeps running through the boot loader.",
    phase=Phase.OUTAGE,
)
class RebootReboots(Check):
    """Test benches rely on this."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        binding, since = binding_of(bench.profile), bench.mark()
        await ask(bench, SerialCommand.REBOOT)
        limit = bench.profile.behaviour.boot
        ready = await bench.serial.line(lambda line: tells_ready(binding, line), within=limit, since=since)
        if ready is not None:
            await bench.wait_for(
                lambda event: tells_boot(binding, line_of(event) or ""),
                within=limit,
                since=ready.line,
                imposed_by="profile: behaviour.boot",
                what="no second start",
            )
        await bench.ready()

    def judge(self, case: Case) -> Outcome:
        act, binding = first(case.stimuli(Act.REBOOT)), binding_of(case.profile)
        if act is None:
            return inconclusive("the board was not rebooted")
        starts = [event for event in boots(case, case.window) if event.line > act.line]
        ready = first(
            case.window,
            lambda event: event.line > act.line and tells_ready(binding, line_of(event) or ""),
        )
        limit = case.profile.behaviour.boot
        if ready is None:
            if not had_time(case, act.time, limit):
                return inconclusive("the board was not watched for its boot time", act)
            if not is_understood(case):
                return inconclusive(UNREADABLE, act)
            return failed(f"the board did not print within {limit:g} s that it is ready", act, starts)
        if ready.time - act.time > limit:
            return failed(
                f"the board was ready after {ready.time - act.time:.3g} s, not {limit:g} s", act, ready
            )
        if len(starts) > 1:
            return failed(f"the board restarted {len(starts)} times on one reboot command", act, starts)
        if not starts and _tells_boots(case.profile):
            return failed("the board printed that it is ready, but did not restart", act, ready)
        return passed("the board restarted once and printed that it is ready", act, starts, ready)


def _tells_boots(profile: Profile) -> bool:
    """Whether the profile says what a start looks like."""
    return bool(binding_of(profile).patterns.boot)
