"""``harness check A B --together``, and the parts shared with ``harness scene``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from harness.links.clock.loop import run as run_loop
from harness.model.verdict import ExitStatus
from harness.report.console import terminal
from harness.report.run.progress import ProgressDisplay
from harness.report.run.terminal import print_summary
from harness.report.run.write import (
    trace_path,
    write_report,
)
from harness.session.compat.group_session import (
    GroupMember,
    facts_of,
)
from harness.session.compat.judging import result_of_group_trace
from harness.session.compat.pair import observe_together
from harness.session.compat.plan import group_of_pair, plan_group
from harness.session.compat.setup import (
    ConnectionOptions,
    members_of,
    roles_of,
    runs_virtually,
)
from harness.session.result import Judgement, RunResult, run_status
from harness.session.setup.lanes import SOCKETS_OF_A_LANE
from harness.session.setup.limits import allow_sockets
from harness.session.target import UsageError
from harness.trace.lines import read

Listener = Callable[[str], None]


def run(arguments: argparse.Namespace) -> int:
    """Start the devices on one bus and observe them; returns the exit status."""
    if len(arguments.profiles) < 2:
        raise UsageError("--together needs at least two profiles")
    for name in ("listen", "mqtt", "coap", "mdns", "serial", "power", "hands", "bench"):
        if getattr(arguments, name):
            raise UsageError(f"--{name} is for a single device; with --together use --dut ROLE=… instead")
    if arguments.unit or arguments.count != 1:
        raise UsageError(
            "--unit and --count are for a single device; name the profile once for each device, "
            "and use --dut ROLE=unit:ID to set its unit"
        )
    members = members_of(roles_of(arguments.profiles), reach_of(arguments))

    def play(trace: Path | None, started: Listener, judged: Callable[[Judgement], None]) -> Any:
        return observe_together(
            members,
            seed=arguments.seed,
            trace=trace,
            select=arguments.select,
            on_started=started,
            on_result=judged,
        )

    name = "+".join(member.role for member in members)
    total = len(plan_group(group_of_pair(*facts_of(members)), arguments.select))
    return run_together(arguments, members, name, total, play)


def reach_of(arguments: argparse.Namespace) -> ConnectionOptions:
    """How the devices are reached, from the options."""
    return ConnectionOptions(
        simulate=arguments.simulate,
        duts=arguments.dut,
        faults=arguments.fault,
        broker=arguments.broker,
        ca=arguments.ca,
        interface=arguments.interface,
    )


def run_together(
    arguments: argparse.Namespace,
    members: Sequence[GroupMember],
    name: str,
    total: int,
    play: Callable[[Path | None, Listener, Callable[[Judgement], None]], Coroutine[Any, Any, RunResult]],
) -> int:
    """Run ``play`` with a trace and two listeners, and write the report; returns the exit status.

    ``total`` is the number of expected verdicts.
    """
    allow_sockets(SOCKETS_OF_A_LANE * len(members))
    console = terminal()
    progress = ProgressDisplay(console, quiet=arguments.quiet)
    for member in members:
        if member.target.listen is not None:
            host, port = member.target.listen
            console.print(f"waiting for {member.role}: set its MQTT broker to {host}:{port}")
    folder = Path(arguments.report) if arguments.report else None
    trace = trace_path(folder, name, 1) if folder is not None else None
    progress.started({name: total})
    try:
        result = run_loop(
            play(
                trace,
                lambda check: progress.check_started(name, check),
                lambda judgement: progress.result(name, judgement),
            ),
            virtual=runs_virtually(members, real_time=arguments.real_time),
        )
    except KeyboardInterrupt:
        if trace is None:
            raise
        result = result_of_group_trace(list(read(trace)), trace)  # judge the partial trace
    finally:
        progress.finished()
    page = write_report(folder, [result], lanes=[name]) if folder is not None else None
    print_summary(console, [result], page=page, lanes=[name])
    if not result.judgements:
        console.print("harness: no check is selected, or none applies to these devices")
        return ExitStatus.USAGE
    return run_status(result.judgements)
