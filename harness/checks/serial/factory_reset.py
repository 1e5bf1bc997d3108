"""Factory reset: what a device that changes hands must have forgotten.

One reset serves all these checks: the first that is run carries it out, and the others judge the same.
They come last of what drives the board: one that cannot be joined to its network again is lost to the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed, run_so_far
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
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
    require_network,
    sign_of_restart,
    wait_for_boot,
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
    """Judges the factory reset of the run and what followed."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        if not _was_reset(bench.trace):
            await reset(bench)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        act = first(run.stimuli(Act.FACTORY_RESET))
        if act is None:
            return inconclusive("there was no factory reset")
        if not self.took_effect(run, act):
            return inconclusive("nothing shows that the board restarted", act)
        joined = first(
            run.stimuli(Act.CONSOLE), lambda seen: seen.line > act.line and is_provision(seen.value)
        )
        end = joined.line if joined is not None else run.window[-1].line
        bare = [event for event in run.window if act.line < event.line < end]
        return self.judge_reset(run, act, bare)

    def took_effect(self, run: Case, act: Decoded[Stimulus, Stimulus]) -> bool:
        """Whether something shows that the reset really happened."""
        return sign_of_restart(run, run.window, act.line) is not None

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        """Decide from the run, the reset, and the events up to the device's next provisioning."""
        raise NotImplementedError


def is_provision(act: Stimulus) -> bool:
    """Whether an act provisions the device."""
    return act.act is Act.CONSOLE and act.name == SerialCommand.PROVISION


def _was_reset(trace: Sequence[Event]) -> bool:
    """Whether the run already has a complete reset."""
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
    """Change the settings, reset, read board and network, and provision the device again."""
    profile, binding = bench.profile, binding_of(bench.profile)
    async with precondition(bench) as arranger:
        await leave_defaults(bench, arranger)
        await _look(bench)
        since = bench.mark()
        await ask(bench, SerialCommand.FACTORY_RESET)
        await wait_for_boot(bench, since)
        await _look(bench)
        if binding.knows(SerialCommand.PROVISION):
            # A device that kept its credentials would have reconnected by then.
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
    """Read the settings and the credentials from the board."""
    binding = binding_of(bench.profile)
    for name in shown_settings(bench.profile):
        await ask(bench, SerialCommand.READ_STATE, name)
    if binding.knows(SerialCommand.CREDENTIALS):
        await ask(bench, SerialCommand.CREDENTIALS)


async def _look_at_broker(bench: Bench) -> None:
    """Read the retained messages of the device, as a new subscriber."""
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
    purpose="ensure that the device resets every setting to its default on a factory reset",
    stimulus="Change the settings from their defaults, do a factory reset, and ask the board",
    expect="Each setting with a declared default has that value",
    ics="SERIAL.RESET & SERIAL.READ & DEV.ACTUATOR",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The reset erases the network settings only; or the user's settings are in a second "
    "partition "
    "that was added later.",
    phase=Phase.RESET,
)
class SettingsForgotten(AfterReset):
    """Read at the board, before it is on any network."""

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
            return inconclusive("no setting differed from its default before the reset", act)
        return passed(f"{len(evidence) // 2} settings have their defaults after the reset", act, evidence)


@requirement(
    "SERIAL-19",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, TC 5.11-1-2",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device erases the credentials of networks and accounts on a factory reset",
    stimulus="Ask the board for its credentials before and after a factory reset",
    expect="None afterwards",
    ics="SERIAL.RESET & SERIAL.CREDENTIALS",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The credentials are in a partition of the WiFi driver, which the application's reset "
    "does not "
    "touch.",
    phase=Phase.RESET,
)
class CredentialsForgotten(AfterReset):
    """Matters when a device is sold or a tenant moves out."""

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        earlier = good(answers_in([e for e in run.window if e.line < act.line], SerialCommand.CREDENTIALS))
        later = good(answers_in(bare, SerialCommand.CREDENTIALS))
        if not earlier or is_nothing(earlier[-1].value):
            return inconclusive("the board had no credentials before the reset either", act)
        if not later:
            return inconclusive("the board did not report its credentials after the reset", act)
        kept = first(later, lambda each: not is_nothing(each.value))
        if kept is not None:
            return failed(
                "the board still has credentials after a factory reset", earlier[-1].event, act, kept.event
            )
        return passed("the credentials were erased", earlier[-1].event, act, later[-1].event)


def is_nothing(value: object) -> bool:
    """Whether the board reports no credentials."""
    return value is None or (isinstance(value, str) and value.strip().lower() in NOTHING)


@requirement(
    "SERIAL-20",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, TC 5.11-1-2",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device does not connect to its former owner's network after a factory reset",
    stimulus="Do a factory reset, and watch the tap for the time in which the device would reconnect",
    expect="No connection to the old broker until it is provisioned again",
    ics="SERIAL.RESET & SERIAL.PROVISION & MQTT.CLIENT",
    needs=(BenchFeature.SERIAL, BenchFeature.TAP),
    usual_cause="Address and login of the broker are compiled in, or stored apart from the WiFi settings.",
    phase=Phase.RESET,
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
            return inconclusive("the device was not watched for its reconnection time", act)
        return passed(
            f"the device did not connect within {watched:.3g} s after the reset", act, gone, bare[-1]
        )


@requirement(
    "SERIAL-21",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, TC 5.11-1-2 (retained messages)",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that a factory reset leaves no retained state of the user at the broker",
    stimulus="Do a factory reset; then subscribe to the device's topics with a new client",
    expect="No retained message except its availability",
    ics="SERIAL.RESET & SERIAL.PROVISION & MQTT.RETAIN",
    needs=(BenchFeature.SERIAL, BenchFeature.BROKER),
    usual_cause="The reset does not clear the broker: retained messages stay there for years, with the name "
    "and habits of the former owner.",
    phase=Phase.RESET,
)
class RetainedForgotten(AfterReset):
    """Judges what a new subscriber gets."""

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        binding = run.profile.bindings.mqtt
        newest = [event for event in bare if is_opened_by_us(event.body)]
        if binding is None or not newest:
            return inconclusive("no new client subscribed after the reset", act)
        connection = newest[-1].body.connection  # type: ignore[union-attr]
        kept = kept_states(run, connection)
        availability = binding.availability.topic if binding.availability is not None else None
        state = first(kept, lambda seen: seen.value.topic != availability and bool(seen.value.payload))
        if state is not None:
            return failed(f"the broker still has {state.value.topic} from before the reset", act, state)
        return passed("the broker has no state of the device", act, newest[-1], kept)


def is_opened_by_us(body: object) -> bool:
    """Whether a client of the harness connected to the broker."""
    is_ours = isinstance(body, Connection) and body.point is Point.CLIENT
    return is_ours and isinstance(body, Connection) and body.change is ConnectionChange.OPENED


@requirement(
    "SERIAL-22",
    area=Area.SERIAL,
    standard=ETSI,
    clause="5.11-1, 5.4-1, TC 5.11-1-2; profile: security.secrets",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device prints no secret on its console after a factory reset",
    stimulus="Do a factory reset; every byte that the board sends until it is provisioned again is judged",
    expect="No declared secret in it",
    ics="SERIAL.RESET & SEC.CSP",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The boot log prints the last known network, from a copy that the reset does not erase.",
    phase=Phase.RESET,
)
class SecretsForgotten(AfterReset):
    """The next owner can read the console at leisure."""

    def judge_reset(self, run: Case, act: Decoded[Stimulus, Stimulus], bare: Sequence[Event]) -> Outcome:
        return search(run, bare, "was printed on the console after the factory reset")


@requirement(
    "SERIAL-23",
    area=Area.SERIAL,
    standard="profile",
    clause="bindings.serial: factory_reset, provision; behaviour.boot",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device can be provisioned again after a factory reset, and works",
    stimulus="Do a factory reset, provision the device again, and watch its network",
    expect="The device comes back to the network and reports the settings that the board shows",
    ics="SERIAL.RESET & SERIAL.PROVISION & SERIAL.READ",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The reset erases identity or calibration along with the settings; or the first connection "
    "fails until the board is rebooted by hand.",
    phase=Phase.RESET,
)
class SetUpAgain(AfterReset):
    """A reset must not brick the device."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        require_network(bench)
        await super().stimulate(bench, subject)

    def took_effect(self, run: Case, act: Decoded[Stimulus, Stimulus]) -> bool:
        """Leaving the network is enough: a device that never comes back shows no restart."""
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
            return inconclusive("the device was not provisioned again", act)
        evidence: list[Evidence] = []
        shown = {each.name: each for each in good(answers_in(bare, SerialCommand.READ_STATE))}
        acts = [
            seen.line for seen in run.stimuli(Act.WRITE, Act.LOCAL, Act.INVOKE) if seen.line > joined.line
        ]
        end = acts[0] if acts else run.window[-1].line
        for name in settings(run.profile):
            report = first(
                fresh_reports(run, name),
                lambda r: joined.line < r.event.line < end and r.problem is None,
            )
            if report is None or name not in shown:
                continue
            if not run.profile.properties[name].agrees(report.value, shown[name].value):
                return failed(
                    f"the board showed {name} = {shown[name].text} when it was provisioned again, but the "
                    f"network reports {json_text(report.value)}",
                    shown[name].event,
                    joined,
                    report,
                )
            evidence += [report]
        behaviour = run.profile.behaviour
        if not evidence and not had_time(run, joined.time, max(behaviour.boot, behaviour.reconnect)):
            return inconclusive(
                "the run ended before the device could come back after it was provisioned again", joined
            )
        if not evidence:
            return failed("the device reported nothing after it was provisioned again", act, joined)
        return passed("the device came back and reported its settings", act, joined, evidence)
