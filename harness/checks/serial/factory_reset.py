"""Factory reset: what a device that changes hands must have forgotten.

One reset serves all these checks: the first that is run carries it out, and the others judge the same.
They come last of what drives the board: one that cannot be joined to its network again is lost to the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed, run_so_far
from harness.checks.catalogue import Check, requirement
from harness.checks.payloads import json_text
from harness.checks.serial.log_monitoring import search
from harness.checks.support.behaviour.arrange import precondition
from harness.checks.support.behaviour.commands import had_time
from harness.checks.support.behaviour.outages import (
    await_settings,
    settings,
)
from harness.checks.support.networks import is_opened, kept_states
from harness.checks.support.serial.board import (
    answers_in,
    ask,
    binding_of,
    fresh_reports,
    good,
    hear_boot,
    require_network,
    shown_start,
)
from harness.checks.support.serial.settings import (
    leave_defaults,
    shown_settings,
)
from harness.model.bindings.serial import SerialCommand
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import (
    Act,
    CheckEnded,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    Point,
    Stimulus,
)

ETSI = "ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1"
NOTHING = ("", "none", "(none)", "null")
"""How a board says that it keeps no credentials."""

SETTLED = "profile: behaviour.reconnect"


class AfterReset(Check):
    """Judges the reset of the run, and what came after it."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        if not _was_reset(bench.trace):
            await reset(bench)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        act = first(run.stimuli(Act.FACTORY_RESET))
        if act is None:
            return inconclusive("the board was not reset to the state of the factory")
        if not self.took_effect(run, act):
            return inconclusive("nothing shows that the board really started anew", act)
        joined = first(
            run.stimuli(Act.CONSOLE), lambda seen: seen.line > act.line and is_provision(seen.value)
        )
        end = joined.line if joined is not None else run.window[-1].line
        bare = [event for event in run.window if act.line < event.line < end]
        return self.judge_reset(run, act, bare)

    def took_effect(self, run: Case, act: Decoded[Stimulus, Stimulus]) -> bool:
        """Whether it shows that the reset was more than a word."""
        return shown_start(run, run.window, act.line) is not None

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        """Decide by the run, the reset, and the events between it and the device's next set-up."""
        raise NotImplementedError


def is_provision(act: Stimulus) -> bool:
    """Whether the device was joined to the network by that."""
    return act.act is Act.CONSOLE and act.name == SerialCommand.PROVISION


def _was_reset(trace: Sequence[Event]) -> bool:
    """Whether the run has a reset already that was brought to its end."""
    reset_at = next(
        (event.line for event in trace if _is_act(event, Act.FACTORY_RESET)),
        None,
    )
    if reset_at is None:
        return False
    end = next((e.body for e in trace if e.line > reset_at and isinstance(e.body, CheckEnded)), None)
    return isinstance(end, CheckEnded) and end.problem is None


def _is_act(event: Event, act: Act) -> bool:
    return isinstance(event.body, Stimulus) and event.body.act is act


async def reset(bench: Bench) -> None:
    """Put the settings away from their defaults, reset, look at board and network, and set it up again."""
    profile, binding = bench.profile, binding_of(bench.profile)
    async with precondition(bench) as arranger:
        await leave_defaults(bench, arranger)
        await _look(bench)
        since = bench.mark()
        await ask(bench, SerialCommand.FACTORY_RESET)
        await hear_boot(bench, since)
        await _look(bench)
        if binding.knows(SerialCommand.PROVISION):
            # A device that has kept its credentials would be back by then.
            await bench.watch_silence(
                profile.behaviour.reconnect, imposed_by=SETTLED, what="no attempt to join the old network"
            )
            await _look_at_broker(bench)
            since = bench.mark()
            await ask(bench, SerialCommand.PROVISION)
        if await bench.ready():
            await await_settings(bench, since)
            await arranger.look()


async def _look(bench: Bench) -> None:
    """What the board tells of its settings and of what it knows of its owner."""
    binding = binding_of(bench.profile)
    for name in shown_settings(bench.profile):
        await ask(bench, SerialCommand.READ_STATE, name)
    if binding.knows(SerialCommand.CREDENTIALS):
        await ask(bench, SerialCommand.CREDENTIALS)


async def _look_at_broker(bench: Bench) -> None:
    """What the broker still keeps of the device, as somebody new would be told."""
    mqtt_binding = bench.profile.bindings.mqtt
    if mqtt_binding is not None and bench.offers(BenchFeature.BROKER):
        await bench.mqtt.late_subscriber(f"{mqtt_binding.base}/#")


@requirement(
    "SERIAL-18",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, TC 5.11-1-2; profile: properties.*.default",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that a factory reset puts every setting of the user back to its default",
    stimulus="Put the settings to other values than their defaults, reset to the state of the factory, and "
    "ask the board",
    expect="Each setting that has a default is at it",
    ics="SERIAL.RESET & SERIAL.READ & DEV.ACTUATOR",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The reset erases the network's settings only; or those of the user lie in a second "
    "partition that was added later.",
)
class SettingsForgotten(AfterReset):
    """The board's own word, before it is on any network."""

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        evidence: list[Evidence] = []
        earlier = answers_in([e for e in run.window if e.line < act.line], SerialCommand.READ_STATE)
        later = answers_in(bare, SerialCommand.READ_STATE)
        changed = 0
        for name in shown_settings(run.profile):
            default = run.profile.properties[name].default
            before = [each for each in good(earlier) if each.name == name]
            after = first(good(later), lambda each, name=name: each.name == name)  # type: ignore[misc]
            if default is None or after is None or not before:
                continue
            if not run.profile.properties[name].agrees(after.value, default):
                return failed(
                    f"after the reset the board shows {name} = {after.text}, not {json_text(default)}",
                    before[-1].event,
                    act,
                    after.event,
                )
            changed += not same_value(before[-1].value, after.value)
            evidence += [before[-1].event, after.event]
        if not changed:
            return inconclusive(
                "no setting was at another value before the reset, so that it could show", act
            )
        return passed(f"{len(evidence) // 2} settings are at their defaults after the reset", act, evidence)


@requirement(
    "SERIAL-19",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, TC 5.11-1-2",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that a factory reset forgets the credentials of networks and accounts",
    stimulus="Ask the board what credentials it keeps, before and after a factory reset",
    expect="None afterwards",
    ics="SERIAL.RESET & SERIAL.CREDENTIALS",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The credentials lie in a partition of the WiFi driver, which the application's reset does "
    "not touch.",
)
class CredentialsForgotten(AfterReset):
    """For trade-in, and for the next tenant."""

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        earlier = good(answers_in([e for e in run.window if e.line < act.line], SerialCommand.CREDENTIALS))
        later = good(answers_in(bare, SerialCommand.CREDENTIALS))
        if not earlier or is_nothing(earlier[-1].value):
            return inconclusive("the board kept no credentials before the reset, either", act)
        if not later:
            return inconclusive("the board did not tell what credentials it keeps after the reset", act)
        kept = first(later, lambda each: not is_nothing(each.value))
        if kept is not None:
            return failed(
                "the board keeps credentials over a factory reset", earlier[-1].event, act, kept.event
            )
        return passed("the credentials are gone", earlier[-1].event, act, later[-1].event)


def is_nothing(value: object) -> bool:
    """Whether the board says that it keeps no credentials."""
    return value is None or (isinstance(value, str) and value.strip().lower() in NOTHING)


@requirement(
    "SERIAL-20",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, TC 5.11-1-2",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that a device that was reset does not go back to the network of its former owner",
    stimulus="Reset to the state of the factory, and watch for the time that it has to reconnect",
    expect="No connection to the old broker until it is set up anew",
    ics="SERIAL.RESET & SERIAL.PROVISION & MQTT.CLIENT",
    needs=(BenchFeature.SERIAL, BenchFeature.TAP),
    usual_cause="The address and login of the broker are compiled in, or kept apart from the WiFi settings.",
)
class OldNetworkLeft(AfterReset):
    """Seen at the tap."""

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        gone = first(
            bare,
            lambda event: (
                isinstance(event.body, Connection)
                and event.body.point is Point.TAP
                and event.body.change is not ConnectionChange.OPENED
            ),
        )
        after = [event for event in bare if gone is not None and event.line > gone.line]
        back = first(after, is_opened)
        if gone is None:
            return inconclusive("the device's connection did not end with the reset", act)
        if back is not None:
            return failed("the device connected to the old broker after a factory reset", act, back)
        watched = (bare[-1].time if bare else act.time) - act.time
        if watched < run.profile.behaviour.reconnect:
            return inconclusive("the device was not watched for as long as it may take to reconnect", act)
        return passed(f"no connection in {watched:.3g} s after the reset", act, gone, bare[-1])


@requirement(
    "SERIAL-21",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, TC 5.11-1-2 (retained messages)",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that a factory reset leaves no retained state of the user at the broker",
    stimulus="Reset to the state of the factory; then subscribe to the device's topics as somebody new",
    expect="No retained message but that it is offline",
    ics="SERIAL.RESET & SERIAL.PROVISION & MQTT.RETAIN",
    needs=(BenchFeature.SERIAL, BenchFeature.BROKER),
    usual_cause="Nobody thought of the broker: what was published with RETAIN stays there for years, with "
    "the name and habits of whoever had the device.",
)
class RetainedForgotten(AfterReset):
    """What the next one to subscribe is told."""

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        binding = run.profile.bindings.mqtt
        newest = [event for event in bare if is_opened_by_us(event.body)]
        if binding is None or not newest:
            return inconclusive("nobody new subscribed after the reset", act)
        connection = newest[-1].body.connection  # type: ignore[union-attr]
        told = kept_states(run, connection)
        availability = binding.availability.topic if binding.availability is not None else None
        state = first(told, lambda seen: seen.value.topic != availability and bool(seen.value.payload))
        if state is not None:
            return failed(f"the broker keeps {state.value.topic} of before the reset", act, state)
        return passed("the broker keeps no state of the device", act, newest[-1], told)


def is_opened_by_us(body: object) -> bool:
    """Whether a client of ours connected to the broker."""
    is_ours = isinstance(body, Connection) and body.point is Point.CLIENT
    return is_ours and isinstance(body, Connection) and body.change is ConnectionChange.OPENED


@requirement(
    "SERIAL-22",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, 5.4-1, TC 5.11-1-2; profile: security.secrets",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that no secret comes over the console of a device that was reset",
    stimulus="Reset to the state of the factory; every byte that the board sends until it is set up anew "
    "counts",
    expect="None of it holds a declared secret",
    ics="SERIAL.RESET & SEC.CSP",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The boot log prints the last network that it knew, from a copy that the reset forgot.",
)
class SecretsForgotten(AfterReset):
    """Whoever buys it used has all the time in the world to look."""

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        return search(run, bare, "came over the console after the factory reset")


@requirement(
    "SERIAL-23",
    area=Area.SERIAL,
    standard="profile",
    clause="bindings.serial: factory_reset, provision; behaviour.boot",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that a device that was reset can be set up again, and is as good as new",
    stimulus="Reset to the state of the factory, join it to the network again, and listen",
    expect="It comes back to the network and tells its settings, those at which the board shows them",
    ics="SERIAL.RESET & SERIAL.PROVISION & SERIAL.READ",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The reset erases the identity or the calibration along with the settings; or the first "
    "connection after it fails until the board is rebooted by hand.",
)
class SetUpAgain(AfterReset):
    """A reset that makes a brick helps nobody."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        require_network(bench)
        await super().stimulate(bench, subject)

    def took_effect(self, run: Case, act: Decoded[Stimulus, Stimulus]) -> bool:
        """That it left the network is enough: one that never comes back shows no start."""
        left = any(
            seen.line > act.line
            and seen.value.by is Direction.FROM_DUT
            and seen.value.change is not ConnectionChange.OPENED
            for seen in run.connections()
        )
        return left or super().took_effect(run, act)

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        joined = first(
            run.stimuli(Act.CONSOLE), lambda seen: seen.line > act.line and is_provision(seen.value)
        )
        if joined is None:
            return inconclusive("the device was not set up again", act)
        evidence: list[Evidence] = []
        shown = {each.name: each for each in good(answers_in(bare, SerialCommand.READ_STATE))}
        acts = [
            seen.line for seen in run.stimuli(Act.WRITE, Act.LOCAL, Act.INVOKE) if seen.line > joined.line
        ]
        end = acts[0] if acts else run.window[-1].line
        for name in settings(run.profile):
            told = first(
                fresh_reports(run, name),
                lambda r: joined.line < r.event.line < end and r.problem is None,
            )
            if told is None or name not in shown:
                continue
            if not run.profile.properties[name].agrees(told.value, shown[name].value):
                return failed(
                    f"the board showed {name} = {shown[name].text} when it was set up again, the network "
                    f"tells {json_text(told.value)}",
                    shown[name].event,
                    joined,
                    told,
                )
            evidence += [told]
        behaviour = run.profile.behaviour
        if not evidence and not had_time(run, joined.time, max(behaviour.boot, behaviour.reconnect)):
            return inconclusive("the device was not waited for after it was set up again", joined)
        if not evidence:
            return failed("the device told nothing after it was set up again", act, joined)
        return passed("it came back and told its settings", act, joined, evidence)
