"""Losses of network and power: settings and counters are kept, and controls keep working."""

from __future__ import annotations

from itertools import pairwise

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.action_effects import resets
from harness.checks.support.behaviour.arrange import (
    precondition,
)
from harness.checks.support.behaviour.boundary_values import resting
from harness.checks.support.behaviour.commands import (
    ROUNDING,
    described,
)
from harness.checks.support.behaviour.local_operation import unlock
from harness.checks.support.behaviour.outages import (
    await_settings,
    compare,
    cut_power,
    lose_connection,
    vary_settings,
)
from harness.checks.support.behaviour.planner import (
    effect_value,
)
from harness.checks.support.behaviour.transports import (
    name_of,
    reporting_transports,
    subjects_for,
    transport_of,
)
from harness.checks.support.mqtt.sessions import (
    is_loss,
    is_opened,
)
from harness.model.affordance import PowerUp
from harness.model.base import Value
from harness.model.profile import Effect, Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Refusal, Stimulus
from harness.wire import mqtt


@requirement(
    "PROFILE-63",
    area=Area.BEHAVIOUR,
    standard="profile",
    clause="properties; bindings.mqtt.reconnect",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device keeps its settings when it loses the broker",
    stimulus="Change all settings, cut the MQTT connection, and wait until the device reconnects",
    expect="Every setting reported afterwards is as it was before",
    ics="MQTT.CLIENT & DEV.ACTUATOR",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="A watchdog restarts the firmware when the connection is lost, and the settings were only in "
    "RAM; or the connect routine also initialises the settings.",
    phase=Phase.OUTAGE,
)
class SettingsOutliveReconnect(Check):
    """All settings at once, one loss."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        async with precondition(bench) as arranger:
            await vary_settings(bench, arranger)
            since = bench.mark()
            await lose_connection(bench)
            await await_settings(bench, since)

    def judge(self, case: Case) -> Outcome:
        lost = first(case.stimuli(Act.DROP_LINK))
        back = [seen for seen in case.mqtt(mqtt.Connect) if lost is not None and seen.line > lost.line]
        if lost is None or not back:
            return inconclusive("the connection was not cut, or the device did not come back")
        return compare(case, lost.line, back[0].line, lambda name, value: value, "the connection was lost")


@requirement(
    "DEV-14",
    area=Area.BEHAVIOUR,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.9-2, TC 5.9-2-2; profile: properties.*.power_up",
    level=Level.SHOULD,
    purpose="ensure that the device comes back by itself after a power loss, in the declared state",
    stimulus="Change all settings, cut the power, and restore it",
    expect="The device comes back within behaviour.boot; each setting is as power_up declares",
    ics="DEV.ACTUATOR & (MQTT.CLIENT | COAP.SERVER)",
    needs=(BenchFeature.POWER,),
    usual_cause="Settings are written to flash seconds after a change, or never; or the reported state is "
    "read "
    "from flash at start, but the output is not set.",
    phase=Phase.OUTAGE,
)
class PowerUpState(Check):
    """All settings at once, one cut."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        async with precondition(bench) as arranger:
            await vary_settings(bench, arranger)
            since = bench.mark()
            await cut_power(bench)
            await await_settings(bench, since)

    def judge(self, case: Case) -> Outcome:
        cut, started = first(case.stimuli(Act.KILL)), first(case.stimuli(Act.START))
        if cut is None or started is None:
            return inconclusive("the power was not cut and restored")
        properties = case.profile.properties

        def expected(name: str, value: Value) -> Value:
            schema = properties[name]
            has_default = schema.power_up is PowerUp.DEFAULT and schema.default is not None
            return schema.default if has_default else value

        return compare(case, cut.line, started.line, expected, "the power was cut")


@requirement(
    "DEV-13",
    area=Area.BEHAVIOUR,
    standard="good practice (profile)",
    clause="profile: properties.*.counter",
    level=Level.MUST,
    basis=Basis.PRACTICE,
    purpose="ensure that the device lowers a cumulative counter only by declared resets, not by a power loss",
    stimulus="Read the counter, command the settings, cut the power, read it again; every report of the run "
    "so far counts",
    expect="No report is lower than the one before it, unless an action reset the counter in between",
    ics="any",
    needs=(BenchFeature.POWER,),
    usual_cause="The counter is saved only every hour; or the flash page that was being written at the "
    "power cut "
    "is read back half old, half new.",
    phase=Phase.OUTAGE,
)
class CounterNeverFalls(Check):
    """All reports of the run so far, and one power cut per subject."""

    def subjects(self, profile: Profile) -> list[Subject]:
        names = [name for name, schema in profile.properties.items() if schema.counter]
        return subjects_for(names, lambda name: reporting_transports(profile, name))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        transport = transport_of(reporting_transports(bench.profile, name), subject)
        async with precondition(bench) as arranger:
            if not await bench.read(name, transport=transport.value):
                await _count_up(bench, name, transport)
            await vary_settings(bench, arranger)
            since = bench.mark()
            await cut_power(bench)
            await _read_again(bench, name, transport, since)

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        transport = transport_of(reporting_transports(case.profile, name), case.subject)
        reports = [
            r for r in case.history if r.name == name and r.transport == transport and _is_number(r.value)
        ]
        started = first(case.stimuli(Act.START))
        after = [r for r in reports if started is not None and r.event.line > started.line]
        earlier = reports[: len(reports) - len(after)]
        for former, latter in pairwise(reports):
            if latter.value < former.value and not _was_reset(case, name, former, latter):
                return failed(
                    f"{name} fell from {json_text(former.value)} to {json_text(latter.value)}", former, latter
                )
        if earlier and not earlier[-1].value:
            return inconclusive(f"{name} was 0 before the power cut, so a loss would not show", earlier[-1:])
        if not after or not earlier:
            return inconclusive(f"{name} was not reported both before and after the power cut", reports[-1:])
        return passed(
            f"{name} never fell in {len(reports)} reports, including the power cut", earlier[-1], after[0]
        )


async def _count_up(bench: Bench, name: str, transport: Transport) -> None:
    """Let a counter show more than zero, so that losing it is visible. Raises StimulusError."""
    if not bench.offers(BenchFeature.LOCAL):
        raise StimulusError(f"{name} is 0, so a loss would not show: let the device count something first")
    value = next(value for value in resting(bench.profile.properties[name]) if value)
    since = bench.mark()
    await bench.local.sense(name, value)
    await bench.wait_for_report(
        name,
        bool,
        transport=transport.value,
        within=bench.profile.behaviour.report_local,
        since=since,
    )


async def _read_again(bench: Bench, name: str, transport: Transport, since: int) -> None:
    if not await bench.ready():
        raise StimulusError("the device did not come back after the power was cut")
    if transport is Transport.COAP:
        await bench.read(name, transport=transport.value)
        return
    settle = bench.profile.behaviour.settle
    await bench.wait_for_report(name, lambda _: True, transport=transport.value, within=settle, since=since)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _was_reset(case: Case, name: str, former: Report, latter: Report) -> bool:
    """Whether the harness did something between two reports that may lower the counter."""
    for event in case.trace[former.event.line - 1 : latter.event.line]:
        body = event.body
        if not isinstance(body, Stimulus):
            continue
        if body.act is Act.INVOKE and resets(case.profile, body.name or "", name):
            return True
        if body.act in (Act.LOCAL, Act.WRITE) and body.name == name:
            return True
        if body.act is Act.START and case.profile.properties[name].power_up is PowerUp.DEFAULT:
            return True
    return False


@requirement(
    "DEV-15",
    area=Area.BEHAVIOUR,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.9-2, TC 5.9-2-2",
    level=Level.SHOULD,
    purpose="ensure that the controls of the device work without a broker, and that it reports their effect "
    "after it reconnects",
    stimulus="Cut the MQTT connection and refuse new ones; once the device has noticed, operate a control; "
    "then accept connections again",
    expect="The state reported after the reconnection is the one that the control set",
    ics="MQTT.CLIENT & DEV.LOCAL_UI",
    needs=(BenchFeature.TAP, BenchFeature.LOCAL),
    usual_cause="The loop that reads the buttons is blocked while the device connects to the broker.",
    phase=Phase.OUTAGE,
)
class ControlsWithoutBroker(Check):
    """One subject per control with an effect that MQTT reports."""

    def subjects(self, profile: Profile) -> list[Subject]:
        sleeps = profile.bindings.mqtt is not None and profile.bindings.mqtt.sleep is not None
        moving = [name for name in profile.controls if _effect_over_mqtt(profile, name)]
        return [] if sleeps else [Subject(name) for name in moving]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        effect = _effect_over_mqtt(bench.profile, name)
        assert effect is not None and effect.property_ is not None
        async with precondition(bench) as arranger:
            await unlock(arranger, bench.profile, name)
            schema = bench.profile.properties[effect.property_]
            expected = effect_value(schema, effect, arranger.state)
            bench.tap.refuse(Refusal.RESET)
            await lose_connection(bench)
            await bench.wait_for(
                is_opened,
                within=bench.profile.behaviour.settle,
                imposed_by="profile: behaviour.settle",
                what="the device to notice that the broker is away",
            )
            await bench.local.operate(name)
            since = bench.mark()
            bench.tap.accept()
            if not await bench.ready():
                raise StimulusError("the device did not come back to the broker")
            await bench.wait_for_report(
                effect.property_,
                lambda seen: schema.agrees(seen, expected),
                transport=Transport.MQTT.value,
                within=bench.profile.behaviour.settle,
                since=since,
            )

    def judge(self, case: Case) -> Outcome:
        name = name_of(case.subject)
        effect = _effect_over_mqtt(case.profile, name)
        operated = first(case.stimuli(Act.LOCAL), lambda act: act.value.name == name)
        if effect is None or effect.property_ is None or operated is None:
            return inconclusive(f"{name} was not operated")
        ends = [event for event in case.window if is_loss(event) and event.line < operated.line]
        attempted = any(is_opened(event) and event.line < operated.line for event in case.window)
        accepted = first(case.stimuli(Act.ACCEPT))
        noticed = attempted or (
            bool(ends) and operated.time - ends[-1].time >= case.profile.behaviour.settle - ROUNDING
        )
        if not ends or accepted is None or not noticed:
            return inconclusive(f"the device did not notice an outage before {name} was operated", operated)
        before = case.last_report(effect.property_, operated.line)
        seen = [r for r in case.reports(effect.property_, Transport.MQTT) if r.event.line > accepted.line]
        if before is None or not seen:
            return inconclusive(f"{effect.property_} was not reported before or after the outage", operated)
        # Redelivered messages of a kept session are older than the outage.
        after = [report for report in seen if not report.repeated]
        if not after:
            return failed(
                f"after the reconnection, only messages from before {name} was operated arrived", seen
            )
        schema = case.profile.properties[effect.property_]
        expected = effect_value(schema, effect, {effect.property_: before.value})
        if same_value(expected, before.value):
            return inconclusive(f"{effect.property_} was already {json_text(expected)}", before)
        evidence: list[Evidence] = [before, ends[-1], operated, after[0]]
        if not schema.agrees(after[0].value, expected):
            return failed(
                f"{name} was operated without the broker, but the device reported {described(after[0])} "
                f"afterwards",
                evidence,
            )
        return passed(f"{name} worked without the broker, and its effect was reported afterwards", evidence)


def _effect_over_mqtt(profile: Profile, control: str) -> Effect | None:
    """The first effect of a control on a property that MQTT reports."""
    for effect in profile.controls[control].effects:
        if effect.property_ is not None and Transport.MQTT in reporting_transports(profile, effect.property_):
            return effect
    return None
