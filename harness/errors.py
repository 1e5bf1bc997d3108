"""The base class of all errors for users, with a message and an exit status. Imports nothing of ours."""

from __future__ import annotations

import traceback
from typing import ClassVar

WRONG_USAGE = 2
UNDECIDED = 3


class HarnessError(Exception):
    """The base class of all errors for users: the message says what is wrong, where, and what to do.

    ``exit_status`` is the exit status of a command that ends with the error: 2 for wrong usage or wrong
    input, 3 if there is no verdict.
    """

    exit_status: ClassVar[int] = WRONG_USAGE


class UndecidedError(HarnessError):
    """The harness cannot come to a verdict, through no fault of the user or the device."""

    exit_status = UNDECIDED


def explain(problem: BaseException) -> tuple[str, int]:
    """The message for the user, beginning with ``harness:``, and the exit status of an error.

    An error that is not ours is a defect of the harness: the message names its type, file and line.
    """
    if isinstance(problem, HarnessError):
        return f"harness: {problem}", problem.exit_status
    if isinstance(problem, KeyboardInterrupt):
        return "harness: interrupted", UNDECIDED
    text = f"{type(problem).__name__}: {problem}"
    frames = traceback.extract_tb(problem.__traceback__)
    if frames:
        text += f" ({frames[-1].filename}:{frames[-1].lineno})"
    return own_failure(text), UNDECIDED


def own_failure(what: str) -> str:
    """The message for a defect of the harness itself."""
    return f"harness: internal error, please report it: {what}"
