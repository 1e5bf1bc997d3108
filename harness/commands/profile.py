"""``harness profile``: validates, shows and creates profiles."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.model.explain import describe
from harness.model.loading.profiles import load_profile
from harness.model.loading.template import new_profile_text
from harness.model.problems import ProfileError
from harness.model.verdict import ExitStatus
from harness.session.target import UsageError


def run(arguments: argparse.Namespace) -> int:
    """Validate, show, or create a profile."""
    return {"validate": _validate, "show": _show, "new": _new}[arguments.profile_command](arguments)


def _validate(arguments: argparse.Namespace) -> int:
    status = ExitStatus.OK
    for name in arguments.profiles:
        try:
            profile = load_profile(Path(name))
        except ProfileError as problem:
            print(problem, file=sys.stderr)
            count = len(problem.problems)
            print(f"{name}: {count} mistake{'s' if count != 1 else ''}", file=sys.stderr)
            status = ExitStatus.USAGE
        else:
            print(f"{name}: valid ({profile.title})")
    return status


def _show(arguments: argparse.Namespace) -> int:
    print(describe(load_profile(Path(arguments.profile))))
    return ExitStatus.OK


def _new(arguments: argparse.Namespace) -> int:
    path = Path(arguments.output or f"{arguments.name}.yaml")
    if path.exists():
        raise UsageError(f"{path}: exists already; choose another name or --output FILE")
    text = new_profile_text(arguments.name, arguments.kind)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"{path}: cannot be written: {problem.strerror}; choose another --output") from None
    print(f"{path}: written; edit it, then `harness profile validate {path}`")
    return ExitStatus.OK
