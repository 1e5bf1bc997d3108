"""``harness judge``: judges a recorded run again, without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.report.console import terminal
from harness.report.run.terminal import print_summary
from harness.report.run.write import write_report
from harness.session.compat.judging import result_of_group_trace
from harness.session.result import run_status
from harness.session.run.judging import result_of_trace
from harness.trace.events import TogetherStarted
from harness.trace.lines import read


def run(arguments: argparse.Namespace) -> int:
    """Judge the trace again; returns the exit status of the run."""
    trace = Path(arguments.trace)
    events = list(read(trace))
    several = bool(events) and isinstance(events[0].body, TogetherStarted)
    run = (result_of_group_trace if several else result_of_trace)(events, trace)
    page = None
    if arguments.report:
        page = write_report(Path(arguments.report), [run])
    print_summary(terminal(), [run], page=page)
    return run_status(run.judgements)
