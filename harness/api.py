"""What the public face of the package does: run checks, judge traces, read them. See ``import harness``."""

from __future__ import annotations

from pathlib import Path

from harness.session.compat.judging import result_of_group_trace
from harness.session.result import RunResult
from harness.session.run.judging import result_of_trace
from harness.session.run.runner import InterruptedRunError
from harness.session.setup.lanes import Options, Setup
from harness.session.target import UsageError
from harness.trace.events import TogetherStarted
from harness.trace.lines import read
from harness.trace.trace import Trace


def run(options: Options) -> tuple[RunResult, ...]:
    """Check devices, as ``harness check`` does, and return the result of each device in order.

    The call returns when all checks are done; it runs an event loop of its own, so call it from code that is
    not asynchronous. Raises UsageError for options that cannot be, and KeyboardInterrupt on Ctrl-C; a device
    that cannot be reached is no error but has inconclusive verdicts.
    """
    setup = Setup(options)
    files = [options.bench] if options.bench else options.profile
    lanes = [lane for file in files for lane in setup.lanes_of(Path(file))]
    plans = {lane: setup.plan_of(lane) for lane in lanes}
    if not any(plans.values()):
        raise UsageError("no check is selected; `harness checks` lists them")
    runner = setup.runner()
    try:
        for lane, plan in plans.items():
            for planned in plan:
                runner.enqueue(lane, planned)
            runner.seal(lane)
        for lane, plan in plans.items():
            for planned in plan:
                runner.result(lane, planned)
    except InterruptedRunError:
        raise KeyboardInterrupt from None
    finally:
        setup.finish(runner)
    return tuple(setup.results)


def read_trace(path: Path) -> Trace:
    """The events of a trace file. Raises TraceError."""
    return Trace(read(path))


def judge_trace(path: Path) -> RunResult:
    """Recompute every verdict of a recorded run, of one device or of several. Raises TraceError."""
    trace = read_trace(path)
    together = bool(trace) and isinstance(trace[0].body, TogetherStarted)
    return (result_of_group_trace if together else result_of_trace)(trace, path)
