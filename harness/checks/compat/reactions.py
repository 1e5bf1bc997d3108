"""Whether a device follows what another one tells, as the need of one of the two says."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from harness.checks.bench import BenchLimitationError, StimulusError
from harness.checks.case import failed, inconclusive, passed
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import (
    StateArranger,
    precondition,
)
from harness.checks.support.behaviour.transports import (
    NEED_OF,
    command_transports,
    name_of,
    open_readers,
    reporting_transports,
)
from harness.checks.support.compat.bench import GroupBench
from harness.checks.support.compat.catalogue import (
    GroupCase,
    GroupCheck,
    group_requirement,
)
from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.interactions import (
    AVAILABILITY,
    Interaction,
    InteractionEffect,
    order_for,
    shown_by,
)
from harness.checks.support.compat.reactions import (
    ReactionOutcome,
    ReactionTrial,
    causes_in,
    occasions_of,
)
from harness.checks.support.compat.sleep import (
    asleep_for,
    until_asleep,
)
from harness.checks.support.compat.traffic import published_topics
from harness.checks.support.compat.triggers import (
    TriggerCause,
    causes_of,
    is_never_set_off,
    put_aside,
    set_aside,
    set_off,
)
from harness.model.base import Value
from harness.model.capability import Transport
from harness.model.requirement import Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.prediction.findings import AffordanceKind
from harness.trace.events import Stimulus

SLACK = 1.05  # what is missing is waited for a little longer than allowed, so that it is missing for certain


class _OfBond(GroupCheck):
    """On each bond of the home."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        return tuple(Subject(bond.name) for bond in home.bonds)

    def missing(self, home: DeviceGroup, subject: Subject) -> str | None:
        bond = home.bond(name_of(subject))
        if bond.problem is not None:
            return f"there is nothing that could be passed on: {bond.problem}"
        for role, names in ((bond.source, bond.source_names), (bond.target, bond.target_names)):
            reason = _unseen(home, role, names)
            if reason is not None:
                return reason
        causes = causes_of(bond)
        if is_never_set_off(bond):
            return f"nothing that {bond.source} ever tells makes {bond.target} do anything"
        if not causes:
            return f"nothing can be made to happen at {bond.source} that {bond.target} is to follow"
        if not _visible(bond, causes):
            return f"nothing that {bond.target} tells shows whether it did what it is asked to"
        effects = [each for cause in causes for each in bond.effects_of(cause.name, cause.value)]
        if bond.is_passed_on and not any(order_for(bond.target_profile, effect) for effect in effects):
            return f"only {bond.target} itself could follow: nothing that it takes over its network does that"
        return None


def _visible(bond: Interaction, causes: Iterable[TriggerCause]) -> tuple[TriggerCause, ...]:
    """The causes of which the target would show that it followed."""
    return tuple(
        cause
        for cause in causes
        if any(shown_by(bond.target_profile, each) for each in bond.effects_of(cause.name, cause.value))
    )


def _unseen(home: DeviceGroup, role: str, names: frozenset[str]) -> str | None:
    """Why this bench does not see what a device tells of these affordances, if so."""
    profile = home.profiles[role]
    for name in names:
        carriers = reporting_transports(profile, name) or command_transports(profile, name)
        if name == AVAILABILITY:
            if home.offers(BenchFeature.BROKER, role):
                return None
        elif not carriers or any(home.offers(NEED_OF[carrier], role) for carrier in carriers):
            return None
    return f"nothing here hears of {', '.join(sorted(names))} of {role}"


@group_requirement(
    "COMPAT-01",
    standard="the profiles",
    clause="profile: needs, capabilities",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that a device follows what another one sends or tells, by the deadline of the need",
    stimulus="Bring about that it can be seen; operate, stimulate or set the one; watch the other",
    expect="The other one reports a new state, or does what is asked, within the time that the need gives",
    usual_cause="Other topics or units; a command that is refused for its range; a bridge that is too slow; "
    "or the event is never told.",
)
class Follows(_OfBond):
    """What comes about at all. What becomes of each value is for COMPAT-02 to say."""

    def max_extension(self, home: DeviceGroup, subject: Subject) -> float:
        bond = home.bond(name_of(subject))
        rules = [rule for profile in bond.profiles for rule in profile.behaviour.rules]
        # What is told may be the end of something: a washing machine is done after an hour, and before it
        # can be started it may have to end what it is at.
        longest = max((rule.for_ + rule.within + rule.holds for rule in rules), default=0.0)
        sleep = asleep_for(bond.target_profile)
        return len(causes_of(bond)) * (2 * longest + sleep) + 10 * bond.within

    async def stimulate(self, stage: GroupBench, subject: Subject) -> None:
        bond = stage.home.bond(name_of(subject))
        causes = _visible(bond, causes_of(bond))
        reasons: list[StimulusError] = []
        # What follows when the source is put back is put back after it.
        async with (
            precondition(stage.bench(bond.target)) as target,
            precondition(stage.bench(bond.source)) as source,
        ):
            for cause in causes:
                try:
                    await _try(stage, bond, cause, source, target)
                except StimulusError as reason:
                    reasons.append(reason)
        if reasons and len(reasons) == len(causes):
            beyond = next((each for each in reasons if isinstance(each, BenchLimitationError)), None)
            raise beyond or reasons[0]

    def judge(self, case: GroupCase) -> Outcome:
        bond = case.home.bond(name_of(case.subject))
        blurred = _blurred(case, bond)
        if blurred is not None:
            return blurred
        found = [each for each in occasions_of(case, bond) if each.fate is not ReactionOutcome.VOID]
        if not found:
            return _without_occasion(case, bond)
        good = [each for each in found if each.fate in (ReactionOutcome.FOLLOWED, ReactionOutcome.OTHERWISE)]
        if not good:
            worst = found[0]
            return failed(f"{bond.target} does not follow {bond.source}: {_text(bond, worst)}", _lines(worst))
        slowest = max(good, key=lambda each: each.took or 0.0)
        return passed(
            f"{bond.target} follows {bond.source}, after {slowest.took or 0.0:.3f} s at most",
            [line for each in good for line in _lines(each)],
        )


@group_requirement(
    "COMPAT-02",
    standard="the profiles",
    clause="profile: needs, capabilities",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that each value that one device sends or tells arrives at the other one as what it means",
    stimulus="The same as for COMPAT-01, whose observation serves here too",
    expect="For each value that was tried the other one reports what it means in its own words and units",
    usual_cause="One range is narrower than the other, a mode is missing, or a value is rounded or clamped.",
)
class Agrees(_OfBond):
    """Looks at each value that COMPAT-01 had the source tell."""

    def judge(self, case: GroupCase) -> Outcome:
        bond = case.home.bond(name_of(case.subject))
        observed = case.window_of(Follows.requirement.id, case.subject)
        if observed is None:
            return inconclusive("what the two do was not observed")
        blurred = _blurred(case, bond)
        if blurred is not None:
            return blurred
        found = [each for each in occasions_of(observed, bond) if each.fate is not ReactionOutcome.VOID]
        good = [each for each in found if each.fate is ReactionOutcome.FOLLOWED]
        bad = [each for each in found if each.fate is not ReactionOutcome.FOLLOWED]
        if not any(each.fate in (ReactionOutcome.FOLLOWED, ReactionOutcome.OTHERWISE) for each in found):
            return inconclusive(f"{bond.target} did not follow {bond.source} at all")
        if bad:
            told = "; ".join(dict.fromkeys(_text(bond, each) for each in bad[:3]))
            return failed(
                f"{bond.target} does not become what {bond.source} means, {len(bad)} of {len(found)} times: "
                + told,
                [line for each in bad for line in _lines(each)],
            )
        return passed(
            f"{bond.target} became what {bond.source} means, each of {len(good)} times",
            [line for each in good for line in _lines(each)],
        )


@group_requirement(
    "COMPAT-03",
    standard="the profiles",
    clause="profile: needs, every",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that a device is told as often as it needs to be told, whether something changes or not",
    stimulus="None: the devices are left alone for as long as the need allows between two messages",
    expect="The other device tells the state again before the one that needs it takes it for lost",
    usual_cause="A device that tells its state only when it changes, or saves its battery for hours.",
)
class ToldOften(GroupCheck):
    """Two periods: from one message to the next, and to the one after it."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        return [Subject(bond.name) for bond in home.bonds if bond.need.every is not None and bond.links]

    def missing(self, home: DeviceGroup, subject: Subject) -> str | None:
        bond = home.bond(name_of(subject))
        return _unseen(home, bond.source, bond.source_names)

    def max_extension(self, home: DeviceGroup, subject: Subject) -> float:
        return 4 * (home.bond(name_of(subject)).need.every or 0.0)

    async def stimulate(self, stage: GroupBench, subject: Subject) -> None:
        bond = stage.home.bond(name_of(subject))
        every = bond.need.every or 0.0
        bench = stage.bench(bond.source)
        for name in sorted(bond.source_names):
            for transport in open_readers(bench, name)[:1]:
                for _ in range(2):
                    told = await bench.wait_for_report(
                        name,
                        lambda _: True,
                        transport=transport.value,
                        within=every * SLACK,
                        since=stage.mark(),
                        imposed_by=f"profile: needs.{bond.need_name}.every of {bond.needer}",
                    )
                    if told is None:
                        return

    def judge(self, case: GroupCase) -> Outcome:
        bond = case.home.bond(name_of(case.subject))
        every = bond.need.every or 0.0
        begin = case.window[0]
        reports = [
            report
            for report in case.of(bond.source).all_reports
            if report.name in bond.source_names and not report.asked and not report.is_stored
        ]
        times = [begin.time, *(report.time for report in reports), case.window[-1].time]
        longest = max(later - earlier for earlier, later in pairwise(times))
        if longest > every:
            told = f"{bond.source} told nothing for {longest:.1f} s"
            text = f"{told}; {bond.needer} takes it for lost after {every:g} s"
            return failed(text, begin, reports[:2], case.window[-1])
        if len(reports) < 2:
            return inconclusive(f"{bond.source} was not watched for long enough", begin)
        return passed(f"{bond.source} tells at least every {longest:.1f} s", reports)


async def _try(
    stage: GroupBench, bond: Interaction, cause: TriggerCause, source: StateArranger, target: StateArranger
) -> None:
    """One value: both are put aside, it happens at the source, and the target has its time."""
    since = stage.mark()
    await source.look()
    if await set_aside(source, cause):
        await _wait(stage, bond, _moved(source, bond, cause), since)  # that may be followed as well
    effects = bond.effects_of(cause.name, cause.value)
    await target.look()
    for effect in effects:
        await put_aside(stage, bond, effect, target)
    await until_asleep(stage, bond.target)
    since = stage.mark()
    try:
        await set_off(stage, bond.source, cause, source)
    except StimulusError:
        if not _is_done(stage, bond.source, cause, since):
            raise
        # That it does not tell what was done to it is for the judge to say.
    await _wait(stage, bond, effects, since)


def _is_done(stage: GroupBench, role: str, cause: TriggerCause, since: int) -> bool:
    """Whether something was done to the very affordance that is to tell."""
    return any(
        event.device == role and isinstance(event.body, Stimulus) and event.body.name == cause.name
        for event in stage.trace[since:]
    )


def _moved(source: StateArranger, bond: Interaction, cause: TriggerCause) -> tuple[InteractionEffect, ...]:
    if cause.name not in source.state:
        return ()
    return bond.effects_of(cause.name, source.state[cause.name])


async def _wait(
    stage: GroupBench, bond: Interaction, effects: tuple[InteractionEffect, ...], since: int
) -> None:
    """Wait until the target shows what is to follow, as long as it may take."""
    bench = stage.bench(bond.target)
    for effect in effects:
        for shown in shown_by(bench.profile, effect):
            readers = open_readers(bench, shown.name)
            if not readers:
                continue

            def wanted(value: Value, shown: InteractionEffect = shown) -> bool:
                if shown.value is None:
                    return True
                if shown.kind is AffordanceKind.PROPERTY:
                    return bench.profile.properties[shown.name].agrees(value, shown.value)
                return bool(value == shown.value)

            await bench.wait_for_report(
                shown.name,
                wanted,
                transport=readers[0].value,
                within=bond.within * SLACK,
                since=since,
                imposed_by=f"profile: needs.{bond.need_name} of {bond.needer}",
            )
            break


def _blurred(case: GroupCase, bond: Interaction) -> Outcome | None:
    """What is to be said where nobody can tell which of the two spoke; None where it can be told."""
    if not bond.is_passed_on:
        return None
    theirs = published_topics(case.of(bond.target))
    for link in bond.links:
        if link.source.transport is Transport.MQTT and link.source.address in theirs:
            topic = link.source.address
            text = f"{bond.source} and {bond.target} both publish to {topic}, and nobody can tell them apart"
            return inconclusive(f"{text} (see COMPAT-11)", theirs[topic])
    return None


def _without_occasion(case: GroupCase, bond: Interaction) -> Outcome:
    acts = causes_in(case, bond.source)
    told = [
        report
        for report in case.of(bond.source).all_reports
        if acts and report.name in bond.source_names and report.event.line > acts[0].line
    ]
    waited = bool(acts) and case.window[-1].time - acts[0].time >= bond.within
    if waited and not told:
        names = ", ".join(sorted(bond.source_names)) or "its going"
        return failed(f"{bond.source} told nothing of {names} when it was set off", acts[:3])
    return inconclusive(
        f"nothing happened at {bond.source} that {bond.target} could be seen to follow", acts[:3]
    )


def _lines(occasion: ReactionTrial) -> list[int]:
    lines = [] if occasion.cause is None else [occasion.cause.line]
    return [*lines, occasion.telling.line, *(report.event.line for report in occasion.shown)]


def _text(bond: Interaction, occasion: ReactionTrial) -> str:
    telling, effect = occasion.telling, occasion.effects[0]
    what = f"{telling.name} = {_value(telling.value)}" if telling.name else "its coming and going"
    wanted = effect.name + (f" = {_value(effect.value)}" if effect.value is not None else "")
    match occasion.fate:
        case ReactionOutcome.OTHERWISE:
            shown = occasion.shown[-1]
            return f"{what} was to make it {wanted}, it reports {shown.name} = {_value(shown.value)}"
        case ReactionOutcome.LATE:
            return f"{what} was to make it {wanted} within {bond.within:g} s, it took {occasion.took:.3f} s"
    return f"{what} was to make it {wanted}, and within {bond.within:g} s it did not"


def _value(value: Value) -> str:
    return json_text(value)
