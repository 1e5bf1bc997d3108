"""Two devices observed together: what binds them, and whether they get into each other's way.

:func:`observe_pair` is for anybody who has a loop already, and may run many times side by side on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from harness.model.requirement import Level
from harness.model.verdict import Verdict
from harness.session.result import Judgement, RunResult
from harness.session.target import needs_met
from harness.session.together.company import Company, Player, Purpose
from harness.session.together.homes import home_of_pair
from harness.session.together.planning import plan_together
from harness.session.together.programs import BondProgram
from harness.session.together.running import TogetherRun


class Observed(StrEnum):
    """What became of a pair, in one word, from good to bad."""

    UNRELATED = "unrelated"  # neither needs what the other offers; nothing was to be seen but coexistence
    WORKS = "works"
    DEGRADED = "degraded"  # it comes about, but not always, or something else is amiss
    BLOCKED = "blocked"  # something that is needed does not come about at all
    UNDECIDED = "undecided"  # the run could not tell


@dataclass(frozen=True, slots=True)
class PairResult:
    """What was seen of two devices. ``run`` holds the verdicts and the trace, as for any report."""

    roles: tuple[str, str]
    outcome: Observed
    reasons: tuple[str, ...]
    run: RunResult


async def observe_pair(
    a: Player,
    b: Player,
    *,
    seed: int = 1,
    trace: Path | None = None,
    select: Sequence[str] = (),
    both: bool = True,
    on_started: Callable[[str], None] = lambda check: None,
    on_result: Callable[[Judgement], None] = lambda judgement: None,
) -> PairResult:
    """Bring two devices up on one bus, let each do what the other needs, and judge.

    ``both``: what ``b`` needs of ``a`` as well as what ``a`` needs of ``b``; otherwise only the latter.
    ``trace`` is where the trace is written. Raises the links' errors (LinkError, BrokerError, UsageError),
    whose messages are for people, where the devices cannot be brought up at all.
    """
    profiles = {player.role: player.profile for player in (a, b)}
    company = Company([a, b], Purpose("pair"), seed=seed, trace=trace)
    met = {player.role: needs_met(player.profile, player.target) for player in company.players}
    home = home_of_pair(profiles, met)
    plan = plan_together(home, select)
    if not both:
        others = {bond.name for bond in home.bonds if bond.needer != a.role}
        plan = tuple(item for item in plan if item.subject.name not in others)
    run = TogetherRun(home, company, BondProgram(home))
    await run.open()
    try:
        for planned in plan:
            on_started(planned.id)
            on_result(await run.run(planned))
    except BaseException:
        await run.close("interrupted")
        raise
    await run.close()
    return _result((a.role, b.role), bool(home.bonds), run.result())


def _result(roles: tuple[str, str], related: bool, run: RunResult) -> PairResult:
    """The outcome, by the worst verdict, and the reasons in the words of the verdicts."""
    broken = [each for each in run.judgements if each.result.outcome.verdict in (Verdict.FAIL, Verdict.WARN)]
    open_ones = [
        each
        for each in run.judgements
        if each.result.outcome.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)
        and each.requirement.level is Level.MUST
    ]
    reasons = tuple(f"{each.result.id}: {each.result.outcome.message}" for each in broken or open_ones)
    if any(
        each.requirement.id in BLOCKING and each.result.outcome.verdict is Verdict.FAIL for each in broken
    ):
        return PairResult(roles, Observed.BLOCKED, reasons, run)
    if broken:
        return PairResult(roles, Observed.DEGRADED, reasons, run)
    if open_ones or not run.complete:
        return PairResult(roles, Observed.UNDECIDED, reasons, run)
    return PairResult(roles, Observed.WORKS if related else Observed.UNRELATED, reasons, run)


BLOCKING = frozenset({"COMPAT-01", "COMPAT-10", "COMPAT-11", "COMPAT-13"})
"""Checks without whose pass two devices are of no use together, or cannot be in one home."""
