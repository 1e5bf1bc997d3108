"""Rules by which a device temporarily refuses commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.base import Value
from harness.model.profile import Profile
from harness.model.rule import Condition, Rule
from harness.model.schema import same_value
from harness.prediction.candidate import Candidate
from harness.prediction.device import Conflict
from harness.prediction.findings import (
    FindingKind,
    Severity,
)
from harness.prediction.numbers import (
    Numbers,
    exact,
)
from harness.prediction.routes import RoutePart
from harness.prediction.values.containment import NUMERIC


def refusing_rules(profile: Profile, name: str) -> Iterator[tuple[int, Rule]]:
    """The rules that refuse commands for a property, with their numbers."""
    for index, rule in enumerate(profile.behaviour.rules):
        if any(condition.property_ == name for condition in rule.refuse):
            yield index, rule


def refusal_conflicts(candidate: Candidate, parts: Sequence[RoutePart]) -> Iterator[Conflict]:
    """Commands of the needer that a rule of the offerer refuses."""
    own = candidate.offered.offer.property_
    if own is None or not candidate.commands:
        return
    for index, rule in refusing_rules(candidate.offerer.profile, own):
        refused = [condition for condition in rule.refuse if condition.property_ == own]
        if not any(_can_be_sent(candidate, part, condition) for part in parts for condition in refused):
            continue
        while_ = " and ".join(map(str, rule.while_))
        what = " or ".join(map(str, refused))
        yield Conflict(
            FindingKind.REFUSAL,
            Severity.NOTE,
            f"{candidate.offerer.name} refuses commands after which {what}, while {while_}",
            ("behaviour", "rules", index),
            candidate.need,
            f"{candidate.needer.name} has to handle refused commands",
        )


def _can_be_sent(candidate: Candidate, part: RoutePart, condition: Condition) -> bool:
    """Whether the condition holds for a value that the needer can send, after conversion; True in doubt."""
    conversion = part.fit.conversion
    if conversion.constant is not None:
        return _holds(condition, conversion.constant)
    if conversion.values:
        return any(_holds(condition, arrived) for _, arrived in conversion.values)
    schema = candidate.needed.sendings[part.index].schema
    if schema is None or schema.type not in NUMERIC:
        return True
    sent = Numbers.of(schema)
    if conversion.reciprocal:
        sent = sent.inverted()
    bounds = (condition.above, condition.below)
    if (
        condition.equals is not None
        or condition.one_of is not None
        or any(isinstance(b, str) for b in bounds)
    ):
        return True
    low, high = (None if bound is None else exact(float(bound)) for bound in bounds)
    refused = Numbers(None, low, high, low_open=True, high_open=True)
    return sent.converted(conversion.factor, conversion.offset).meets(refused)


def _holds(condition: Condition, value: Value) -> bool:
    if condition.equals is not None and not same_value(value, condition.equals):
        return False
    if condition.one_of is not None and not any(same_value(value, each) for each in condition.one_of):
        return False
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    for bound, beyond in ((condition.above, 1), (condition.below, -1)):
        # A limit that another property sets is not known here.
        if bound is not None and not isinstance(bound, str) and numeric and (value - bound) * beyond <= 0:
            return False
    return True
