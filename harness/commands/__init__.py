"""The commands of the command line, one module each."""

from __future__ import annotations

import argparse
import importlib
import sys

from harness.errors import explain

BROKEN_PIPE = 0


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen command; returns its exit status. An error becomes one message on standard error."""
    command = importlib.import_module(f"harness.commands.{arguments.command}")
    try:
        status: int = command.run(arguments)
    except BrokenPipeError:
        # The reader of our output, such as head, has stopped reading.
        sys.stderr.close()
        return BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as problem:
        message, status = explain(problem)
        print(message, file=sys.stderr)
    return status
