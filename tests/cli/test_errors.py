"""Every mistake of a user ends a command with one message and its exit status, whichever part notices it."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

import harness
from harness import cli
from harness.errors import UNDECIDED, WRONG_USAGE, HarnessError, UndecidedError, explain

INTERNAL = {
    "StimulusError",  # becomes `inconclusive`
    "SubscriptionRefusedError",  # belongs to the device
    "HeldError",  # crosses a pipe, and becomes LabgridError
    "InterruptedRunError",  # becomes KeyboardInterrupt
    "UntranslatableError",
    "UnofferedError",
    "DomainNameError",
    "LinkFormatError",
    "PayloadError",
    "UnfitError",
    "_NewerFormatError",  # becomes a TraceError with file and line
}
"""Errors that some caller of ours always catches."""


def _main(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = cli.main(arguments)
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("profile", "show", "no-such.yaml"),
        ("judge", "no-such.jsonl"),
        ("checks", "DEV-99"),
        ("simulate", "profiles/smart-plug.yaml", "--fault", "no-such"),
        ("simulate", "profiles/smart-plug.yaml", "--broker", "ftp://nowhere"),
        ("matrix",),
        ("scene", "profiles/scenes/coming-home.yaml", "--cast", "door"),
    ],
)
def test_a_mistake_is_one_message_and_exit_status_2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status, message = _main(capsys, *arguments)
    assert status == WRONG_USAGE
    assert message.startswith("harness: ")
    assert "Traceback" not in message
    assert "internal error" not in message


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "missing" / "lamp.yaml"
    status, message = _main(capsys, "profile", "new", "lamp", "--output", str(path))
    assert status == WRONG_USAGE
    assert str(path) in message


def test_every_error_for_users_has_one_root() -> None:
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            is_ours = isinstance(value, type) and issubclass(value, Exception)
            if is_ours and value.__module__.startswith("harness.") and name.endswith("Error"):
                root = {each.__name__ for each in value.__mro__}
                assert issubclass(value, HarnessError) or root & INTERNAL, f"{value.__module__}.{name}"


def test_only_an_undecided_run_and_a_defect_of_ours_have_exit_status_3() -> None:
    assert explain(HarnessError("no such file")) == ("harness: no such file", WRONG_USAGE)
    assert explain(UndecidedError("the clock stands")) == ("harness: the clock stands", UNDECIDED)
    message, status = explain(ZeroDivisionError("by zero"))
    assert status == UNDECIDED
    assert "please report it: ZeroDivisionError: by zero" in message
