"""Whether the reports of one device are what another one waits for."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from harness.model.base import Value
from harness.model.capability import Reaction
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
from harness.prediction.values.containment import range_text
from harness.prediction.values.conversion import (
    Side,
    can_be_reported,
    fit,
)


def reported_side(candidate: Candidate) -> Side:
    """The values that are reported."""
    offered = candidate.offered
    return Side(offered.schema, offered.term.schema, offered.offer.values, offered.offer.data)


def reported_part(candidate: Candidate) -> RoutePart:
    """The part of the route for the reports."""
    needed = candidate.needed
    if candidate.offered.offer.availability:
        return RoutePart(candidate.offered, fit(_availability(candidate), _taken(candidate)), candidate.need)
    key = "takes" if needed.need.takes is not None else "into" if needed.need.into is not None else "uses"
    found = fit(reported_side(candidate), _taken(candidate))
    return RoutePart(candidate.offered, found, (*candidate.need, key), when=candidate.offered.offer.data)


def _availability(candidate: Candidate) -> Side:
    common = candidate.offered.term.schema
    return Side(common, common)


def _taken(candidate: Candidate) -> Side:
    needed = candidate.needed
    return Side(needed.schema, needed.term.schema, needed.need.values)


def unreachable_reactions(candidate: Candidate) -> Iterator[Conflict]:
    """Reactions that can never occur, since the other device never reports their condition."""
    reactions = candidate.needed.need.reactions
    side = _availability(candidate) if candidate.offered.offer.availability else reported_side(candidate)
    dead = [index for index, each in enumerate(reactions) if not _can_occur(side, each)]
    for index in dead:
        reaction = reactions[index]
        ranged = reaction.above is not None or reaction.below is not None
        yield Conflict(
            FindingKind.RANGE if ranged else FindingKind.VALUES,
            Severity.BLOCKS if len(dead) == len(reactions) else Severity.DEGRADES,
            f"{candidate.needer.name} reacts when {candidate.needed.term.path} is {_waited_for(reaction)}, "
            f"{candidate.offerer.name} never reports that",
            (*candidate.affordance,) if candidate.offered.affordance else None,
            (*candidate.need, "reactions", index),
            f"another condition at {candidate.needer.name}, or report the value at {candidate.offerer.name}",
        )


def _can_occur(side: Side, reaction: Reaction) -> bool:
    if all(each is None for each in (reaction.equals, reaction.one_of, reaction.above, reaction.below)):
        return True
    return can_be_reported(side, equals=reaction.equals, one_of=reaction.one_of, within=_limits(reaction))


def _limits(reaction: Reaction) -> Numbers:
    def number(bound: float | None) -> Fraction | None:
        return None if bound is None else exact(bound)

    return Numbers(None, number(reaction.above), number(reaction.below), low_open=True, high_open=True)


def _waited_for(reaction: Reaction) -> str:
    if reaction.above is not None or reaction.below is not None:
        return range_text(_limits(reaction))
    wanted: tuple[Value, ...] = reaction.one_of if reaction.one_of is not None else (reaction.equals,)
    return " or ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in wanted)
