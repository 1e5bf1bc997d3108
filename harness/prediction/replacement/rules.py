"""Compares the rules of two versions of one profile, since users may rely on them."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.problems import Path
from harness.model.rule import Rule, RuleKind
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


def rule_losses(old: Device, new: Device) -> Iterator[Conflict]:
    """Rules that were removed or weakened, and new ones that refuse commands."""
    before, after = _by_id(old), _by_id(new)
    for name, (index, rule) in before.items():
        left: Path = ("behaviour", "rules", index)
        if name not in after:
            what = f"the rule {name} was removed, and users may rely on it ({rule.purpose})"
            yield _conflict(what, left, ("behaviour", "rules"))
            continue
        there, now = after[name]
        if weaker := ", ".join(_weaker(rule, now)):
            yield _conflict(f"the rule {name} has changed: {weaker}", left, ("behaviour", "rules", there))
    for name, (index, rule) in after.items():
        if name not in before and rule.kind is RuleKind.REFUSAL:
            refused = " or ".join(map(str, rule.refuse))
            what = f"the new rule {name} refuses commands after which {refused}; they were accepted before"
            yield _conflict(what, ("behaviour", "rules"), ("behaviour", "rules", index))


def _by_id(device: Device) -> dict[str, tuple[int, Rule]]:
    return {rule.id: (index, rule) for index, rule in enumerate(device.profile.behaviour.rules)}


def _weaker(before: Rule, after: Rule) -> Iterator[str]:
    if (before.when, before.while_, before.then, before.refuse) != (
        after.when,
        after.while_,
        after.then,
        after.refuse,
    ):
        yield "other conditions"
    if after.within > before.within:
        yield f"within {after.within:g} s instead of {before.within:g} s"
    if after.for_ != before.for_:
        yield f"after {after.for_:g} s instead of {before.for_:g} s"
    if after.holds < before.holds:
        yield f"for {after.holds:g} s instead of {before.holds:g} s"


def _conflict(what: str, left: Path, right: Path) -> Conflict:
    return Conflict(
        FindingKind.RULES, Severity.DEGRADES, what, left, right, "the behaviour of the old version"
    )
