from __future__ import annotations

import asyncio
from pathlib import Path

from harness.model.verdict import Verdict
from harness.session.compat.jobs import (
    CheckResult,
    PairJob,
    PairJobOutcome,
)
from harness.session.compat.pool import (
    PoolResult,
    observe_all,
)

PROFILES = Path(__file__).parent.parent.parent.parent / "profiles"
PLUG, REMOTE = PROFILES / "smart-plug.yaml", PROFILES / "remote-control.yaml"


class Heard:
    """What the listener was told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, job: PairJob) -> None:
        self.told.append(f"started {job.name}")

    def ended(self, job: PairJob, observed: PoolResult) -> None:
        self.told.append(f"ended {job.name}")


def job(first: Path, second: Path, trace: Path | None = None, *, twins: bool = False) -> PairJob:
    roles = (first.stem, second.stem + ("-2" if twins else ""))
    return PairJob(roles, (str(first), str(second)), str(trace) if trace else None, 1, twins)


def observed(jobs: list[PairJob], **settings: float) -> tuple[dict[PairJob, PoolResult], Heard]:
    found: dict[PairJob, PoolResult] = {}
    heard = Heard()
    asyncio.run(observe_all(jobs, found, heard, processes=1, **settings))  # type: ignore[arg-type]
    return found, heard


def test_couples_are_observed_in_another_process_with_a_trace_for_each(tmp_path: Path) -> None:
    jobs = [
        job(PLUG, REMOTE, tmp_path / "one.jsonl"),
        job(REMOTE, REMOTE, tmp_path / "two.jsonl", twins=True),
    ]
    found, heard = observed(jobs)
    assert [found[each].outcome.ended for each in jobs] == ["complete", "complete"]
    assert sorted(heard.told) == sorted(
        f"{word} {each.name}" for each in jobs for word in ("started", "ended")
    )
    for each in jobs:
        assert each.trace is not None
        assert '"RunEnded"' in Path(each.trace).read_text(encoding="utf-8").splitlines()[-1]
    told = found[jobs[0]].outcome.direction("smart-plug", "remote-control", trace="", seconds=1)
    follows = [check for check in told.checks if check.check == "COMPAT-01"]
    assert [(check.need, check.verdict) for check in follows] == [("switched", Verdict.PASS)]


def test_a_couple_that_cannot_be_observed_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    gone = job(tmp_path / "gone.yaml", REMOTE)
    found, _ = observed([gone, job(PLUG, REMOTE)])
    assert "gone.yaml" in found[gone].outcome.ended
    assert found[job(PLUG, REMOTE)].outcome.ended == "complete"


def test_a_couple_that_comes_to_no_end_is_given_up() -> None:
    jobs = [job(PLUG, REMOTE), job(PLUG, PLUG, twins=True)]
    found, _ = observed(jobs, deadline=0.0)
    assert all(found[each].outcome.ended == "not finished within 0 s" for each in jobs)


def test_the_two_directions_of_a_couple_have_the_verdicts_of_their_needs_and_share_the_others() -> None:
    seen = [
        CheckResult("COMPAT-01", "a.light/b", Verdict.PASS, "", (1,)),
        CheckResult("COMPAT-01", "b.heat/a", Verdict.FAIL, "", (1,)),
        CheckResult("COMPAT-10", "", Verdict.PASS, "", (1,)),
    ]
    outcome = PairJobOutcome(tuple(seen))
    told = outcome.direction("b", "a", trace="", seconds=1).checks
    assert [(check.check, check.need) for check in told] == [("COMPAT-01", "light"), ("COMPAT-10", "")]
    told = outcome.direction("a", "b", trace="", seconds=1).checks
    assert [(check.check, check.need) for check in told] == [("COMPAT-01", "heat"), ("COMPAT-10", "")]
