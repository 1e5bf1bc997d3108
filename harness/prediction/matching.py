"""Which capability of one device meets a need of another one, and how the two are bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.model.capability import Transport
from harness.model.problems import Path
from harness.model.profile import InvalidValuePolicy
from harness.model.semantics.mapping import (
    Needed,
    Offered,
)
from harness.prediction.candidate import (
    Candidate,
    common_transports,
)
from harness.prediction.delivery.transport import delivery_clashes
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.endpoints import link_of
from harness.prediction.findings import (
    FindingKind,
    PairLink,
    Severity,
)
from harness.prediction.refusals import refusal_clashes
from harness.prediction.reporting import (
    told_part,
    unreachable_reactions,
)
from harness.prediction.routes import (
    Part,
    Route,
    routes,
)
from harness.prediction.values.containment import (
    Aspect,
    Gap,
)

_RANK = (Severity.NOTE, Severity.DEGRADES, Severity.BLOCKS)
_KEYS = {
    FindingKind.UNIT: "unit",
    FindingKind.CONVERSION: "unit",
    FindingKind.STEP: "multipleOf",
    FindingKind.VALUES: "enum",
    FindingKind.TYPE: "type",
    FindingKind.PATTERN: "pattern",
}
_KINDS = {
    Aspect.TYPE: FindingKind.TYPE,
    Aspect.RANGE: FindingKind.RANGE,
    Aspect.STEP: FindingKind.STEP,
    Aspect.VALUES: FindingKind.VALUES,
    Aspect.LENGTH: FindingKind.LENGTH,
    Aspect.PATTERN: FindingKind.PATTERN,
    Aspect.MEMBERS: FindingKind.MEMBERS,
}


@dataclass(frozen=True, slots=True)
class Assessment:
    """How far a need is met by another device."""

    needed: Needed
    clashes: tuple[Conflict, ...]
    links: tuple[PairLink, ...] = ()

    @property
    def worst(self) -> Severity | None:
        """The severity of its worst clash; None where there is none."""
        return worst(self.clashes)


def worst(clashes: Iterable[Conflict]) -> Severity | None:
    """The worst severity among clashes; None where there are none."""
    return max((clash.severity for clash in clashes), key=_RANK.index, default=None)


def severity_rank(clashes: Sequence[Conflict]) -> tuple[int, int]:
    """What the better one of two sets of clashes has less of."""
    severities = [_RANK.index(clash.severity) for clash in clashes]
    return max(severities, default=-1), len(severities)


def assess(needer: Device, needed: Needed, offerer: Device) -> Assessment | None:
    """How far ``needed`` is met by ``offerer``; None where that one offers nothing of the kind."""
    offers = offers_for(needed, offerer)
    if not offers:
        return None
    candidates = [
        _by_transport(needer, needed, offerer, route, transport)
        for route in routes(needed, offers)
        for transport in _transports(Candidate(needer, needed, offerer, route.offered))
    ]
    if not candidates:
        return Assessment(needed, (_absent(needer, needed, offerer, offers),))
    return min(candidates, key=lambda each: severity_rank(each.clashes))


def offers_for(needed: Needed, offerer: Device) -> tuple[Offered, ...]:
    """Everything of the kind that is needed; whether it serves is another question."""
    return tuple(
        each
        for each in offerer.offers.get(needed.term.cluster, ())
        if needed.label is None or each.label == needed.label
    )


def _transports(meeting: Candidate) -> tuple[Transport | None, ...]:
    return common_transports(meeting) or (None,)


def _absent(needer: Device, needed: Needed, offerer: Device, offers: Sequence[Offered]) -> Conflict:
    has = ", ".join(dict.fromkeys(each.term.name for each in offers))
    return Conflict(
        FindingKind.ABSENT,
        Severity.BLOCKS,
        f"{needer.name} needs {needed.term.path}, {offerer.name} has only {has} of {needed.term.cluster}",
        ("capabilities", offers[0].key.split(".")[1]),
        ("needs", needed.name, "uses"),
        f"offer {needed.term.path} at {offerer.name}, or a rule of the home that makes it from the rest",
    )


def _by_transport(
    needer: Device, needed: Needed, offerer: Device, route: Route, transport: Transport | None
) -> Assessment:
    meeting = Candidate(needer, needed, offerer, route.offered)
    parts = parts_of(meeting, route)
    clashes = [*delivery_clashes(meeting, transport), *meaning_clashes(meeting, parts)]
    links = tuple(link_of(meeting, part, transport) for part in parts if part.fit.sendable)
    return Assessment(needed, tuple(clashes), links)


def parts_of(meeting: Candidate, route: Route) -> tuple[Part, ...]:
    """What becomes of all that is commanded, or told."""
    return route.parts(meeting.needed) if meeting.commands else (told_part(meeting),)


def meaning_clashes(meeting: Candidate, parts: Sequence[Part]) -> Iterator[Conflict]:
    """Everything about what is said, however it gets there."""
    yield from _access_clashes(meeting)
    yield from _value_clashes(meeting, parts)
    yield from refusal_clashes(meeting, parts)
    if not meeting.commands:
        yield from unreachable_reactions(meeting)


def _access_clashes(meeting: Candidate) -> Iterator[Conflict]:
    offered = meeting.offered
    own = offered.offer.property_
    if own is None:
        return
    if meeting.commands and not offered.writable:
        yield Conflict(
            FindingKind.READ_ONLY,
            Severity.BLOCKS,
            f"{meeting.needer.name} sets {offered.term.path}, it cannot be set at {meeting.offerer.name}",
            ("properties", own, "readOnly"),
            (*meeting.need, "access"),
            f"{meeting.offerer.name} would have to let others set it",
        )
    elif not meeting.commands and not offered.readable:
        yield Conflict(
            FindingKind.WRITE_ONLY,
            Severity.BLOCKS,
            f"{meeting.needer.name} asks for {offered.term.path}, {meeting.offerer.name} does not tell it",
            ("properties", own, "writeOnly"),
            (*meeting.need, "access"),
            f"{meeting.offerer.name} would have to report it",
        )


def _value_clashes(meeting: Candidate, parts: Sequence[Part]) -> Iterator[Conflict]:
    """What does not fit of the values, said once where several causes send the same."""
    through = any(part.fit.through for part in parts)
    seen: set[tuple[FindingKind, str]] = set()
    for part in parts:
        for clash in _part_clashes(meeting, part, through):
            if (clash.kind, clash.what) not in seen:
                seen.add((clash.kind, clash.what))
                yield clash


def _part_clashes(meeting: Candidate, part: Part, through: bool) -> Iterator[Conflict]:
    sender, taker = meeting.offerer.name, meeting.needer.name
    if meeting.commands:
        sender, taker = taker, sender
    subject = f"what {sender} sends as {meeting.needed.term.path}"
    if part.fit.no_conversion is not None:
        source, target = part.fit.no_conversion
        what = f"{subject} is in {source}, {taker} has {target}, and nothing converts one to the other"
        yield _clash(meeting, part, FindingKind.UNIT, Severity.BLOCKS, what, "units of one quantity")
        return
    for gap in part.fit.gaps:
        severity = Severity.DEGRADES if through else Severity.BLOCKS
        kind = _KINDS[gap.aspect] if gap.certain else FindingKind.UNDECIDED
        what, proposal = f"{subject} {gap.text}", f"values that {taker} knows"
        if gap.aspect is Aspect.RANGE and meeting.commands:
            what, proposal = _beyond(meeting, what)
        yield _clash(meeting, part, kind, severity, what, proposal, gap)
    conversion = part.fit.conversion
    if conversion.source_unit != conversion.target_unit:
        lossy = part.fit.blurred and meeting.commands
        what = f"{subject} is converted from {conversion.source_unit} to {conversion.target_unit}"
        if part.fit.rounded and conversion.step is not None:
            what += f" and rounded to {float(conversion.step):g}"
        what += ": different commands become the same" if lossy else ""
        severity = Severity.DEGRADES if lossy else Severity.NOTE
        yield _clash(meeting, part, FindingKind.CONVERSION, severity, what, "a hub that converts units")


def _beyond(meeting: Candidate, what: str) -> tuple[str, str]:
    clamps = meeting.offerer.profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP
    does = "becomes the nearest limit" if clamps else "is refused"
    return f"{what}; what is beyond {does}", f"the range of {meeting.offerer.name} at {meeting.needer.name}"


def _clash(
    meeting: Candidate,
    part: Part,
    kind: FindingKind,
    severity: Severity,
    what: str,
    proposal: str,
    gap: Gap | None = None,
) -> Conflict:
    left = (*meeting.affordance, *_schema_key(kind, part.offered, gap)) if part.offered.affordance else None
    return Conflict(kind, severity, what, left, part.source, proposal)


def _schema_key(kind: FindingKind, offered: Offered, gap: Gap | None) -> Path:
    """The key in an affordance of its schema, or of what in that a finding is about."""
    base: Path = ("input",) if offered.offer.action is not None else ()
    base = ("data",) if offered.offer.event is not None else base
    if offered.schema is None:
        return ()
    if gap is not None and gap.key:
        return (*base, gap.key)
    if kind is FindingKind.VALUES and offered.schema.enum is None:
        return base
    return (*base, _KEYS[kind]) if kind in _KEYS else base
