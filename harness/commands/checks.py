"""``harness checks``: the catalogue."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator

from harness.checks.catalogue import Check, all_checks, check_named
from harness.checks.support.compat.catalogue import (
    GroupCheck,
    group_checks,
)
from harness.model.verdict import ExitStatus


def run(arguments: argparse.Namespace) -> int:
    """List all checks, or explain one."""
    if arguments.id is None:
        print("\n".join(_listing()))
    else:
        print("\n".join(_explanation(_named(arguments.id))))
    return ExitStatus.OK


def _named(check_id: str) -> Check | GroupCheck:
    for several in group_checks():
        if several.requirement.id == check_id:
            return several
    return check_named(check_id)


def _listing() -> Iterator[str]:
    checks: list[Check | GroupCheck] = [*all_checks(), *group_checks()]
    for check in checks:
        requirement = check.requirement
        purpose = requirement.purpose.removeprefix("ensure that ")
        phase = check.declaration.phase
        yield f"{requirement.id:<14} {requirement.level:<6} {requirement.basis:<10} {phase:<9} {purpose}"
    yield f"{len(checks)} checks, COMPAT-… are for several devices; `harness checks ID` explains one"


def _explanation(check: Check | GroupCheck) -> Iterator[str]:
    requirement = check.requirement
    yield f"{requirement.id}  ({requirement.level}, {requirement.basis})"
    together = isinstance(check, GroupCheck)
    driven = "devices" if together else "device"
    kind = "passive: judges the whole run" if check.passive else f"drives the {driven}"
    rows = {
        "standard": f"{requirement.standard}, {requirement.clause}",
        "purpose": requirement.purpose,
        "stimulus": requirement.stimulus,
        "expected": requirement.expect,
        "usual cause": requirement.usual_cause,
        "applies to": "several devices: harness check A B --together, harness scene"
        if together
        else f"profiles that declare {requirement.ics}",
        "needs": ", ".join(sorted(check.needs)) or "nothing" if isinstance(check, Check) else "",
        "kind": kind,
        "phase": check.declaration.phase,
        "written in": f"{type(check).__module__}.{type(check).__qualname__}",
        "how": " ".join((type(check).__doc__ or "").split()),
    }
    for label, text in rows.items():
        if text:
            yield textwrap.fill(text, 100, initial_indent=f"  {label:<12} ", subsequent_indent=" " * 15)
