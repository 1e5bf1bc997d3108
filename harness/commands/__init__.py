"""The commands of the command line, one module each."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback

FAILED_TO_RUN = 2
UNDECIDED = 3
BROKEN_PIPE = 0


def run(arguments: argparse.Namespace) -> int:
    """Run the command that was chosen; what people got wrong becomes one message on standard error."""
    from harness.links.errors import LinkError
    from harness.links.mqtt.brokers.address import BrokerError
    from harness.model.problems import ProfileError
    from harness.registry import ExtensionError
    from harness.report.files import ReportError
    from harness.session.target import UsageError
    from harness.trace.lines import TraceError

    command = importlib.import_module(f"harness.commands.{arguments.command}")
    try:
        status: int = command.run(arguments)
    except (
        UsageError,
        ProfileError,
        TraceError,
        LinkError,
        BrokerError,
        ReportError,
        ExtensionError,
    ) as problem:
        print(f"harness: {problem}", file=sys.stderr)
        return FAILED_TO_RUN
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return UNDECIDED
    except BrokenPipeError:
        # The reader of our output (head, less) has had enough.
        sys.stderr.close()
        return BROKEN_PIPE
    except Exception as problem:  # a mistake of ours: one line to report, not a page of frames
        place = traceback.extract_tb(problem.__traceback__)[-1]
        text = f"{type(problem).__name__}: {problem} ({place.filename}:{place.lineno})"
        print(f"harness: the harness itself failed, please report it: {text}", file=sys.stderr)
        return UNDECIDED
    return status
