"""``harness checks``: the catalogue."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator

from harness.checks.catalogue import Check, UnknownCheckError, all_checks, check_named
from harness.model.verdict import ExitStatus
from harness.session.target import UsageError


def run(arguments: argparse.Namespace) -> int:
    """List all checks, or explain one."""
    if arguments.id is None:
        print("\n".join(_listing()))
        return ExitStatus.OK
    try:
        check = check_named(arguments.id)
    except UnknownCheckError as problem:
        raise UsageError(str(problem)) from None
    print("\n".join(_explanation(check)))
    return ExitStatus.OK


def _listing() -> Iterator[str]:
    for check in all_checks():
        requirement = check.requirement
        purpose = requirement.purpose.removeprefix("ensure that ")
        yield f"{requirement.id:<14} {requirement.level:<6} {requirement.basis:<10} {purpose}"
    yield f"{len(all_checks())} checks; `harness checks ID` explains one"


def _explanation(check: Check) -> Iterator[str]:
    requirement = check.requirement
    yield f"{requirement.id}  ({requirement.level}, {requirement.basis})"
    passive = "watches the whole run, drives nothing" if check.passive else "drives the device"
    rows = {
        "standard": f"{requirement.standard}, {requirement.clause}",
        "purpose": requirement.purpose,
        "stimulus": requirement.stimulus,
        "expected": requirement.expect,
        "usual cause": requirement.usual_cause,
        "applies to": f"profiles that declare {requirement.ics}",
        "needs": ", ".join(sorted(check.needs)) or "nothing",
        "kind": passive,
        "written in": f"{type(check).__module__}.{type(check).__qualname__}",
        "how": " ".join((type(check).__doc__ or "").split()),
    }
    for label, text in rows.items():
        yield textwrap.fill(text, 100, initial_indent=f"  {label:<12} ", subsequent_indent=" " * 15)
