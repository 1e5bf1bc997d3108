"""``harness export``: a trace for Wireshark."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.model.verdict import ExitStatus
from harness.trace.lines import read
from harness.trace.pcapng import export


def run(arguments: argparse.Namespace) -> int:
    """Write the pcapng file."""
    file = Path(arguments.file)
    events = list(read(Path(arguments.trace)))
    export(events, file)
    print(f"{file}: written from {len(events)} events")
    return ExitStatus.OK
