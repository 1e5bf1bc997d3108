"""Recorded runs, judged again: the verdicts must stay those that were given when they were recorded.

A change of these is a change of what the tool says about devices. If it is meant, record the trace anew and
say in the changelog what changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.verdict import Verdict
from harness.session.run.judging import result_of_trace
from harness.trace.events import Judged
from harness.trace.lines import read

TRACES = sorted((Path(__file__).parent.parent.parent / "fixtures" / "traces").glob("*.jsonl"))


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_the_verdicts_of_a_recorded_run_stand(path: Path) -> None:
    trace = list(read(path))
    then = {
        (event.body.check, event.body.subject, event.body.transport): (event.body.verdict, event.body.events)
        for event in trace
        if isinstance(event.body, Judged)
    }
    result = result_of_trace(trace, path)
    now = {
        (item.result.check, item.result.subject.name, item.result.subject.transport): (
            item.result.outcome.verdict.value,
            item.result.outcome.events,
        )
        for item in result.judgements
    }
    assert now == then
    broken = any(item.result.outcome.verdict is Verdict.FAIL for item in result.judgements)
    assert broken is ("conforming" not in path.stem)


def test_a_trace_cut_off_anywhere_is_judged_without_a_pass_too_many() -> None:
    (path,) = [path for path in TRACES if "conforming" in path.stem]
    trace = list(read(path))
    for end in range(2, len(trace), 37):
        cut = result_of_trace(trace[:end], path)
        for item in cut.judgements:
            assert item.result.outcome.verdict in (
                Verdict.PASS,
                Verdict.INCONCLUSIVE,
                Verdict.NOT_APPLICABLE,
            ), f"cut at line {end}: {item.result.id} {item.result.outcome}"
