"""Behaviour on which users of a device may have come to rely: the rules of two versions of one profile."""

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
    """Rules that are gone or have become weaker, and new ones by which commands are refused."""
    before, after = _by_id(old), _by_id(new)
    for name, (index, rule) in before.items():
        left: Path = ("behaviour", "rules", index)
        if name not in after:
            what = f"the rule {name} is gone: users may rely on it ({rule.purpose})"
            yield _clash(what, left, ("behaviour", "rules"))
            continue
        there, now = after[name]
        if weaker := ", ".join(_weaker(rule, now)):
            yield _clash(f"the rule {name} is another one: {weaker}", left, ("behaviour", "rules", there))
    for name, (index, rule) in after.items():
        if name not in before and rule.kind is RuleKind.REFUSAL:
            refused = " or ".join(map(str, rule.refuse))
            what = f"the new rule {name} refuses commands after which {refused}; they were obeyed"
            yield _clash(what, ("behaviour", "rules"), ("behaviour", "rules", index))


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
        yield f"within {after.within:g} s, it was {before.within:g} s"
    if after.for_ != before.for_:
        yield f"after {after.for_:g} s, it was {before.for_:g} s"
    if after.holds < before.holds:
        yield f"for {after.holds:g} s, it was {before.holds:g} s"


def _clash(what: str, left: Path, right: Path) -> Conflict:
    return Conflict(
        FindingKind.RULES, Severity.DEGRADES, what, left, right, "the behaviour of the old version"
    )
