"""Observes two devices together: their interactions, and whether one disturbs the other.

:func:`observe_pair` runs on the caller's loop, where many of them may run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.interactions import Interaction
from harness.checks.support.compat.triggers import is_never_triggered
from harness.model.verdict import Verdict
from harness.session.compat.automations import InteractionAutomation
from harness.session.compat.group_run import GroupRun
from harness.session.compat.group_session import (
    GroupMember,
    GroupSession,
    Purpose,
    facts_of,
)
from harness.session.compat.plan import group_of_pair, plan_group
from harness.session.result import Judgement, RunResult


class Observed(StrEnum):
    """The outcome of a pair, in one word, from good to bad."""

    UNRELATED = "unrelated"  # neither needs what the other offers; only coexistence was observed
    WORKS = "works"
    DEGRADED = "degraded"  # it works, but not always, or something else is wrong
    BLOCKED = "blocked"  # something that is needed does not work at all
    UNDECIDED = "undecided"  # the run could not decide


class Harm(StrEnum):
    """How much an observation harms a pair."""

    NONE = "none"
    DEGRADES = "degrades"
    BLOCKS = "blocks"


OF_NEEDS = ("COMPAT-01", "COMPAT-02", "COMPAT-03")
"""The checks of what one device needs of the other; all others are about both being on one bus."""

FATAL = frozenset({"COMPAT-10", "COMPAT-11"})
"""Checks that have to pass for two devices to be used together at all."""


@dataclass(frozen=True, slots=True)
class PairResult:
    """The result of observing two devices. ``run`` holds the verdicts and the trace, as for any report."""

    roles: tuple[str, str]
    outcome: Observed
    reasons: tuple[str, ...]
    run: RunResult


async def observe_pair(
    a: GroupMember,
    b: GroupMember,
    *,
    seed: int = 1,
    trace: Path | None = None,
    select: Sequence[str] = (),
    both: bool = True,
    on_started: Callable[[str], None] = lambda check: None,
    on_result: Callable[[Judgement], None] = lambda judgement: None,
) -> PairResult:
    """Start two devices on one bus, let each do what the other needs, and judge.

    ``both``: what ``b`` needs of ``a`` as well as what ``a`` needs of ``b``; otherwise only the latter.
    ``trace`` is the path for the trace. Raises LinkError, BrokerError or UsageError, whose messages are for
    users, if the devices cannot be started.
    """
    group, run = await _observed([a, b], seed, trace, select, both, on_started, on_result)
    return _result(group, run)


async def observe_together(
    members: Sequence[GroupMember],
    *,
    seed: int = 1,
    trace: Path | None = None,
    select: Sequence[str] = (),
    on_started: Callable[[str], None] = lambda check: None,
    on_result: Callable[[Judgement], None] = lambda judgement: None,
) -> RunResult:
    """The same for two devices or more, in every direction, with the verdicts alone."""
    _, run = await _observed(members, seed, trace, select, True, on_started, on_result)
    return run


async def _observed(
    members: Sequence[GroupMember],
    seed: int,
    trace: Path | None,
    select: Sequence[str],
    both: bool,
    on_started: Callable[[str], None],
    on_result: Callable[[Judgement], None],
) -> tuple[DeviceGroup, RunResult]:
    session = GroupSession(members, Purpose("pair"), seed=seed, trace=trace)
    group = group_of_pair(*facts_of(members))
    if not both:
        group = replace(
            group,
            interactions=tuple(
                interaction for interaction in group.interactions if interaction.needer == members[0].role
            ),
        )
    run = GroupRun(group, session, InteractionAutomation(group))
    await run.open()
    try:
        for planned in plan_group(group, select):
            on_started(planned.id)
            on_result(await run.run(planned))
    except BaseException:
        await run.close("interrupted")
        raise
    await run.close()
    return group, run.result()


def _result(group: DeviceGroup, run: RunResult) -> PairResult:
    """The outcome: which needs are met, and any other problem between the two."""
    outcomes = {each.result.id: each for each in run.judgements}
    needs = [(interaction.need.optional, _harm(interaction, outcomes)) for interaction in group.interactions]
    served = any(harm is not Harm.BLOCKS for _, harm in needs)
    harms = [_milder(harm) if optional and served else harm for optional, harm in needs]
    harms += [
        Harm.BLOCKS if each.requirement.id in FATAL else Harm.DEGRADES
        for each in run.judgements
        if each.requirement.id not in OF_NEEDS and each.result.outcome.verdict in (Verdict.FAIL, Verdict.WARN)
    ]
    open_ones = [
        each
        for each in run.judgements
        if each.result.outcome.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)
        and not (each.requirement.id == "COMPAT-02" and _follows_not(each, outcomes))
    ]
    follows = [outcomes.get(f"COMPAT-01[{interaction.name}]") for interaction in group.interactions]
    unseen = bool(follows) and all(
        each is not None and each.result.outcome.verdict is Verdict.NOT_APPLICABLE for each in follows
    )
    if Harm.BLOCKS in harms:
        outcome = Observed.BLOCKED
    elif open_ones or unseen or not run.complete:
        outcome = Observed.UNDECIDED
    elif Harm.DEGRADES in harms:
        outcome = Observed.DEGRADED
    else:
        outcome = Observed.WORKS if group.interactions else Observed.UNRELATED
    broken = [each for each in run.judgements if each.result.outcome.verdict in (Verdict.FAIL, Verdict.WARN)]
    reasons = [f"{each.result.id}: {each.result.outcome.message}" for each in broken or open_ones]
    for interaction in group.interactions:
        if interaction.problem is not None:
            reasons.append(f"{interaction.name}: {interaction.problem}")
        elif is_never_triggered(interaction):
            reasons.append(
                f"{interaction.name}: nothing that {interaction.source} ever reports causes a command "
                f"to {interaction.target}"
            )
    one, other = group.roles
    return PairResult((one, other), outcome, tuple(reasons), run)


def _harm(interaction: Interaction, outcomes: Mapping[str, Judgement]) -> Harm:
    """The harm from what was observed of one need."""
    if interaction.problem is not None or is_never_triggered(interaction):
        return Harm.BLOCKS
    follows, agrees, often = (outcomes.get(f"{check}[{interaction.name}]") for check in OF_NEEDS)
    if often is not None and often.result.outcome.verdict is Verdict.FAIL:
        return Harm.BLOCKS
    if follows is not None and follows.result.outcome.verdict is Verdict.FAIL:
        return Harm.BLOCKS
    if agrees is not None and agrees.result.outcome.verdict is Verdict.FAIL:
        return Harm.DEGRADES
    return Harm.NONE


def _milder(harm: Harm) -> Harm:
    return Harm.DEGRADES if harm is Harm.BLOCKS else Harm.NONE


def _follows_not(judgement: Judgement, outcomes: Mapping[str, Judgement]) -> bool:
    """Whether COMPAT-02 is undecided because COMPAT-01 has already failed."""
    follows = outcomes.get(f"COMPAT-01[{judgement.result.subject.label}]")
    return follows is not None and follows.result.outcome.verdict is Verdict.FAIL
