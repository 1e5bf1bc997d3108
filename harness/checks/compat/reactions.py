"""Reactions: a device reacts to commands and reports of another one as its needs or the other's say."""

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
    command_for,
    shown_by,
)
from harness.checks.support.compat.reactions import (
    ReactionOutcome,
    ReactionTrial,
    causes_in,
    trials_of,
)
from harness.checks.support.compat.sleep import (
    sleep_period,
    wait_until_asleep,
)
from harness.checks.support.compat.traffic import published_topics
from harness.checks.support.compat.triggers import (
    TriggerCause,
    causes_of,
    is_never_triggered,
    prepare_source,
    prepare_target,
    trigger_report,
)
from harness.model.base import Value
from harness.model.capability import CapabilityTransport
from harness.model.requirement import Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.prediction.findings import AffordanceKind
from harness.trace.events import Stimulus

SLACK = 1.05  # wait a little longer than allowed before something counts as missing


class _OfInteraction(GroupCheck):
    """Runs on each interaction of the home."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        return tuple(Subject(interaction.name) for interaction in group.interactions)

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        interaction = group.interaction(name_of(subject))
        if interaction.problem is not None:
            return f"nothing can be forwarded: {interaction.problem}"
        for role, names in (
            (interaction.source, interaction.source_names),
            (interaction.target, interaction.target_names),
        ):
            reason = _unseen(group, role, names)
            if reason is not None:
                return reason
        causes = causes_of(interaction)
        if is_never_triggered(interaction):
            return f"no report of {interaction.source} causes a reaction of {interaction.target}"
        if not causes:
            return f"no report of {interaction.source} that {interaction.target} follows can be triggered"
        if not _visible(interaction, causes):
            return f"no report of {interaction.target} shows whether it reacted"
        effects = [each for cause in causes for each in interaction.effects_of(cause.name, cause.value)]
        if interaction.is_passed_on and not any(
            command_for(interaction.target_profile, effect) for effect in effects
        ):
            return f"{interaction.target} has to react by itself: no command over its network has that effect"
        return None


def _visible(interaction: Interaction, causes: Iterable[TriggerCause]) -> tuple[TriggerCause, ...]:
    """The causes for which a reaction of the target is visible."""
    return tuple(
        cause
        for cause in causes
        if any(
            shown_by(interaction.target_profile, each)
            for each in interaction.effects_of(cause.name, cause.value)
        )
    )


def _unseen(group: DeviceGroup, role: str, names: frozenset[str]) -> str | None:
    """The reason if this bench cannot receive reports of these affordances."""
    profile = group.profiles[role]
    for name in names:
        carriers = reporting_transports(profile, name) or command_transports(profile, name)
        if name == AVAILABILITY:
            if group.offers(BenchFeature.BROKER, role):
                return None
        elif not carriers or any(group.offers(NEED_OF[carrier], role) for carrier in carriers):
            return None
    return f"this bench cannot receive {', '.join(sorted(names))} of {role}"


@group_requirement(
    "COMPAT-01",
    standard="the profiles",
    clause="profile: needs, capabilities",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that a device reacts to commands or reports of another one within the need's deadline",
    stimulus="Prepare a visible change; operate, stimulate or set one device; watch the other",
    expect="The other device reports the new state or executes the command within the need's deadline",
    usual_cause="Different topics or units, a command that is refused for its range, a bridge that is too "
    "slow, or an event that is never reported.",
)
class Follows(_OfInteraction):
    """Tests whether there is a reaction at all; COMPAT-02 judges the values."""

    def max_extension(self, group: DeviceGroup, subject: Subject) -> float:
        interaction = group.interaction(name_of(subject))
        rules = [rule for profile in interaction.profiles for rule in profile.behaviour.rules]
        # A report may come at the end of something: a washing machine is done after an hour, and may
        # have to finish its present cycle first.
        longest = max((rule.for_ + rule.within + rule.holds for rule in rules), default=0.0)
        sleep = sleep_period(interaction.target_profile)
        return len(causes_of(interaction)) * (2 * longest + sleep) + 10 * interaction.within

    async def stimulate(self, group_bench: GroupBench, subject: Subject) -> None:
        interaction = group_bench.group.interaction(name_of(subject))
        causes = _visible(interaction, causes_of(interaction))
        reasons: list[StimulusError] = []
        # The target is restored last, since it may react when the source is restored.
        async with (
            precondition(group_bench.bench(interaction.target)) as target,
            precondition(group_bench.bench(interaction.source)) as source,
        ):
            for cause in causes:
                try:
                    await _try(group_bench, interaction, cause, source, target)
                except StimulusError as reason:
                    reasons.append(reason)
        if reasons and len(reasons) == len(causes):
            beyond = next((each for each in reasons if isinstance(each, BenchLimitationError)), None)
            raise beyond or reasons[0]

    def judge(self, case: GroupCase) -> Outcome:
        interaction = case.group.interaction(name_of(case.subject))
        ambiguous = _ambiguous(case, interaction)
        if ambiguous is not None:
            return ambiguous
        found = [each for each in trials_of(case, interaction) if each.outcome is not ReactionOutcome.VOID]
        if not found:
            return _without_trial(case, interaction)
        good = [
            each for each in found if each.outcome in (ReactionOutcome.FOLLOWED, ReactionOutcome.OTHERWISE)
        ]
        if not good:
            worst = found[0]
            text = f"{interaction.target} does not follow {interaction.source}: {_text(interaction, worst)}"
            return failed(text, _lines(worst))
        slowest = max(good, key=lambda each: each.took or 0.0)
        return passed(
            f"{interaction.target} follows {interaction.source}, after {slowest.took or 0.0:.3f} s at most",
            [line for each in good for line in _lines(each)],
        )


@group_requirement(
    "COMPAT-02",
    standard="the profiles",
    clause="profile: needs, capabilities",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that each value that one device sends has the same meaning at the other one",
    stimulus="None; the observation of COMPAT-01 is judged",
    expect="For each tried value the other device reports the equivalent in its own values and units",
    usual_cause="One range is narrower than the other, a mode is missing, or a value is rounded or clamped.",
)
class Agrees(_OfInteraction):
    """Judges each value that the source reported in COMPAT-01."""

    def judge(self, case: GroupCase) -> Outcome:
        interaction = case.group.interaction(name_of(case.subject))
        observed = case.window_of(Follows.requirement.id, case.subject)
        if observed is None:
            return inconclusive("COMPAT-01 was not run for this pair")
        ambiguous = _ambiguous(case, interaction)
        if ambiguous is not None:
            return ambiguous
        found = [
            each for each in trials_of(observed, interaction) if each.outcome is not ReactionOutcome.VOID
        ]
        good = [each for each in found if each.outcome is ReactionOutcome.FOLLOWED]
        bad = [each for each in found if each.outcome is not ReactionOutcome.FOLLOWED]
        if not any(each.outcome in (ReactionOutcome.FOLLOWED, ReactionOutcome.OTHERWISE) for each in found):
            return inconclusive(f"{interaction.target} did not follow {interaction.source} at all")
        if bad:
            texts = "; ".join(dict.fromkeys(_text(interaction, each) for each in bad[:3]))
            return failed(
                f"{interaction.target} does not reach the expected state, {len(bad)} of {len(found)} times: "
                + texts,
                [line for each in bad for line in _lines(each)],
            )
        return passed(
            f"{interaction.target} reached the expected state, each of {len(good)} times",
            [line for each in good for line in _lines(each)],
        )


@group_requirement(
    "COMPAT-03",
    standard="the profiles",
    clause="profile: needs, every",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that a device receives reports as often as it needs them, even without changes",
    stimulus="None; the devices are observed for as long as the need allows between two reports",
    expect="The other device repeats its state before the needing device considers it lost",
    usual_cause="A device that reports only changes, or sleeps for hours to save its battery.",
)
class ReportsOften(GroupCheck):
    """Observes two periods between reports."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        return [
            Subject(interaction.name)
            for interaction in group.interactions
            if interaction.need.every is not None and interaction.links
        ]

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        interaction = group.interaction(name_of(subject))
        return _unseen(group, interaction.source, interaction.source_names)

    def max_extension(self, group: DeviceGroup, subject: Subject) -> float:
        return 4 * (group.interaction(name_of(subject)).need.every or 0.0)

    async def stimulate(self, group_bench: GroupBench, subject: Subject) -> None:
        interaction = group_bench.group.interaction(name_of(subject))
        every = interaction.need.every or 0.0
        bench = group_bench.bench(interaction.source)
        for name in sorted(interaction.source_names):
            for transport in open_readers(bench, name)[:1]:
                for _ in range(2):
                    report = await bench.wait_for_report(
                        name,
                        lambda _: True,
                        transport=transport.value,
                        within=every * SLACK,
                        since=group_bench.mark(),
                        imposed_by=f"profile: needs.{interaction.need_name}.every of {interaction.needer}",
                    )
                    if report is None:
                        return

    def judge(self, case: GroupCase) -> Outcome:
        interaction = case.group.interaction(name_of(case.subject))
        every = interaction.need.every or 0.0
        begin = case.window[0]
        reports = [
            report
            for report in case.of(interaction.source).all_reports
            if report.name in interaction.source_names and not report.asked and not report.is_stored
        ]
        times = [begin.time, *(report.time for report in reports), case.window[-1].time]
        longest = max(later - earlier for earlier, later in pairwise(times))
        if longest > every:
            silence = f"{interaction.source} reported nothing for {longest:.1f} s"
            text = f"{silence}; {interaction.needer} considers it lost after {every:g} s"
            return failed(text, begin, reports[:2], case.window[-1])
        if len(reports) < 2:
            return inconclusive(f"{interaction.source} was not observed for long enough", begin)
        return passed(f"{interaction.source} reports at least every {longest:.1f} s", reports)


async def _try(
    group_bench: GroupBench,
    interaction: Interaction,
    cause: TriggerCause,
    source: StateArranger,
    target: StateArranger,
) -> None:
    """Try one value: prepare both devices, trigger the source, and wait for the target."""
    since = group_bench.mark()
    await source.look()
    if await prepare_source(source, cause):
        await _wait(
            group_bench, interaction, _moved(source, interaction, cause), since
        )  # the target may react to this as well
    effects = interaction.effects_of(cause.name, cause.value)
    await target.look()
    for effect in effects:
        await prepare_target(group_bench, interaction, effect, target)
    await wait_until_asleep(group_bench, interaction.target)
    since = group_bench.mark()
    try:
        await trigger_report(group_bench, interaction.source, cause, source)
    except StimulusError:
        if not _is_done(group_bench, interaction.source, cause, since):
            raise
        # A missing report of the source is for the judge.
    await _wait(group_bench, interaction, effects, since)


def _is_done(group_bench: GroupBench, role: str, cause: TriggerCause, since: int) -> bool:
    """Whether an action addressed the affordance that should report."""
    return any(
        event.device == role and isinstance(event.body, Stimulus) and event.body.name == cause.name
        for event in group_bench.trace[since:]
    )


def _moved(
    source: StateArranger, interaction: Interaction, cause: TriggerCause
) -> tuple[InteractionEffect, ...]:
    if cause.name not in source.state:
        return ()
    return interaction.effects_of(cause.name, source.state[cause.name])


async def _wait(
    group_bench: GroupBench, interaction: Interaction, effects: tuple[InteractionEffect, ...], since: int
) -> None:
    """Wait until the target shows the expected effects, within the deadline."""
    bench = group_bench.bench(interaction.target)
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
                within=interaction.within * SLACK,
                since=since,
                imposed_by=f"profile: needs.{interaction.need_name} of {interaction.needer}",
            )
            break


def _ambiguous(case: GroupCase, interaction: Interaction) -> Outcome | None:
    """The outcome if the reports of both devices cannot be told apart; otherwise None."""
    if not interaction.is_passed_on:
        return None
    theirs = published_topics(case.of(interaction.target))
    for link in interaction.links:
        if link.source.transport is CapabilityTransport.MQTT and link.source.address in theirs:
            topic = link.source.address
            roles = f"{interaction.source} and {interaction.target}"
            text = f"{roles} both publish to {topic}, so their reports cannot be told apart"
            return inconclusive(f"{text} (see COMPAT-11)", theirs[topic])
    return None


def _without_trial(case: GroupCase, interaction: Interaction) -> Outcome:
    acts = causes_in(case, interaction.source)
    reported = [
        report
        for report in case.of(interaction.source).all_reports
        if acts and report.name in interaction.source_names and report.event.line > acts[0].line
    ]
    waited = bool(acts) and case.window[-1].time - acts[0].time >= interaction.within
    if waited and not reported:
        names = ", ".join(sorted(interaction.source_names)) or "its availability"
        return failed(f"{interaction.source} did not report {names} when it was triggered", acts[:3])
    return inconclusive(
        f"nothing happened at {interaction.source} to which {interaction.target} visibly reacts", acts[:3]
    )


def _lines(trial: ReactionTrial) -> list[int]:
    lines = [] if trial.cause is None else [trial.cause.line]
    return [*lines, trial.trigger.line, *(report.event.line for report in trial.shown)]


def _text(interaction: Interaction, trial: ReactionTrial) -> str:
    trigger, effect = trial.trigger, trial.effects[0]
    what = f"{trigger.name} = {_value(trigger.value)}" if trigger.name else "availability"
    wanted = effect.name + (f" = {_value(effect.value)}" if effect.value is not None else "")
    match trial.outcome:
        case ReactionOutcome.OTHERWISE:
            shown = trial.shown[-1]
            return f"after {what} it should report {wanted}, but reports {shown.name} = {_value(shown.value)}"
        case ReactionOutcome.LATE:
            limit = f"{interaction.within:g} s"
            return f"after {what} it should report {wanted} within {limit}, but took {trial.took:.3f} s"
    return f"after {what} it should report {wanted} within {interaction.within:g} s, but did not"


def _value(value: Value) -> str:
    return json_text(value)
