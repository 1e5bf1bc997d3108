"""Whether what one device tells is what another one waits for."""

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
from harness.prediction.routes import Part
from harness.prediction.values.containment import range_text
from harness.prediction.values.conversion import (
    Side,
    can_be_told,
    fit,
)


def told_side(meeting: Candidate) -> Side:
    """The values that are told."""
    offered = meeting.offered
    return Side(offered.schema, offered.term.schema, offered.offer.values, offered.offer.data)


def told_part(meeting: Candidate) -> Part:
    """What becomes of everything that is told."""
    needed = meeting.needed
    if meeting.offered.offer.availability:
        return Part(meeting.offered, fit(_availability(meeting), _taken(meeting)), meeting.need)
    key = "takes" if needed.need.takes is not None else "into" if needed.need.into is not None else "uses"
    found = fit(told_side(meeting), _taken(meeting))
    return Part(meeting.offered, found, (*meeting.need, key), when=meeting.offered.offer.data)


def _availability(meeting: Candidate) -> Side:
    common = meeting.offered.term.schema
    return Side(common, common)


def _taken(meeting: Candidate) -> Side:
    needed = meeting.needed
    return Side(needed.schema, needed.term.schema, needed.need.values)


def unreachable_reactions(meeting: Candidate) -> Iterator[Conflict]:
    """Reactions that never come about, because the other one never tells what they wait for."""
    reactions = meeting.needed.need.reactions
    side = _availability(meeting) if meeting.offered.offer.availability else told_side(meeting)
    dead = [index for index, each in enumerate(reactions) if not _comes_about(side, each)]
    for index in dead:
        reaction = reactions[index]
        ranged = reaction.above is not None or reaction.below is not None
        yield Conflict(
            FindingKind.RANGE if ranged else FindingKind.VALUES,
            Severity.BLOCKS if len(dead) == len(reactions) else Severity.DEGRADES,
            f"{meeting.needer.name} reacts when {meeting.needed.term.path} is {_waited_for(reaction)}, "
            f"{meeting.offerer.name} never tells that",
            (*meeting.affordance,) if meeting.offered.affordance else None,
            (*meeting.need, "reactions", index),
            f"another limit at {meeting.needer.name}, or a {meeting.offerer.name} that tells it",
        )


def _comes_about(side: Side, reaction: Reaction) -> bool:
    if all(each is None for each in (reaction.equals, reaction.one_of, reaction.above, reaction.below)):
        return True
    return can_be_told(side, equals=reaction.equals, one_of=reaction.one_of, within=_limits(reaction))


def _limits(reaction: Reaction) -> Numbers:
    def number(bound: float | None) -> Fraction | None:
        return None if bound is None else exact(bound)

    return Numbers(None, number(reaction.above), number(reaction.below), low_open=True, high_open=True)


def _waited_for(reaction: Reaction) -> str:
    if reaction.above is not None or reaction.below is not None:
        return range_text(_limits(reaction))
    wanted: tuple[Value, ...] = reaction.one_of if reaction.one_of is not None else (reaction.equals,)
    return " or ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in wanted)
