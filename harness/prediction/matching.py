"""Finds the capability of one device that meets a need of another one, and the binding of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.model.capability import CapabilityTransport
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
from harness.prediction.delivery.transport import delivery_conflicts
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
from harness.prediction.refusals import refusal_conflicts
from harness.prediction.reporting import (
    reported_part,
    unreachable_reactions,
)
from harness.prediction.routes import (
    Route,
    RoutePart,
    routes,
)
from harness.prediction.values.containment import (
    ValueAspect,
    ValueGap,
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
    ValueAspect.TYPE: FindingKind.TYPE,
    ValueAspect.RANGE: FindingKind.RANGE,
    ValueAspect.STEP: FindingKind.STEP,
    ValueAspect.VALUES: FindingKind.VALUES,
    ValueAspect.LENGTH: FindingKind.LENGTH,
    ValueAspect.PATTERN: FindingKind.PATTERN,
    ValueAspect.MEMBERS: FindingKind.MEMBERS,
}


@dataclass(frozen=True, slots=True)
class Assessment:
    """How far a need is met by another device."""

    needed: Needed
    conflicts: tuple[Conflict, ...]
    links: tuple[PairLink, ...] = ()

    @property
    def worst(self) -> Severity | None:
        """The severity of its worst conflict; None where there is none."""
        return worst(self.conflicts)


def worst(conflicts: Iterable[Conflict]) -> Severity | None:
    """The worst severity among conflicts; None where there are none."""
    return max((conflict.severity for conflict in conflicts), key=_RANK.index, default=None)


def severity_rank(conflicts: Sequence[Conflict]) -> tuple[int, int]:
    """A sort key for sets of conflicts, the best first: worst severity, then number."""
    severities = [_RANK.index(conflict.severity) for conflict in conflicts]
    return max(severities, default=-1), len(severities)


def assess(needer: Device, needed: Needed, offerer: Device) -> Assessment | None:
    """How far ``offerer`` meets ``needed``; None where it offers nothing of the kind."""
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
    return min(candidates, key=lambda each: severity_rank(each.conflicts))


def offers_for(needed: Needed, offerer: Device) -> tuple[Offered, ...]:
    """All offers of the same cluster and label, suitable or not."""
    return tuple(
        each
        for each in offerer.offers.get(needed.term.cluster, ())
        if needed.label is None or each.label == needed.label
    )


def _transports(candidate: Candidate) -> tuple[CapabilityTransport | None, ...]:
    return common_transports(candidate) or (None,)


def _absent(needer: Device, needed: Needed, offerer: Device, offers: Sequence[Offered]) -> Conflict:
    has = ", ".join(dict.fromkeys(each.term.name for each in offers))
    return Conflict(
        FindingKind.ABSENT,
        Severity.BLOCKS,
        f"{needer.name} needs {needed.term.path}, {offerer.name} has only {has} of {needed.term.cluster}",
        ("capabilities", offers[0].key.split(".")[1]),
        ("needs", needed.name, "uses"),
        f"offer {needed.term.path} at {offerer.name}, or derive it by a rule in the hub",
    )


def _by_transport(
    needer: Device, needed: Needed, offerer: Device, route: Route, transport: CapabilityTransport | None
) -> Assessment:
    candidate = Candidate(needer, needed, offerer, route.offered)
    parts = parts_of(candidate, route)
    conflicts = [*delivery_conflicts(candidate, transport), *meaning_conflicts(candidate, parts)]
    links = tuple(link_of(candidate, part, transport) for part in parts if part.fit.sendable)
    return Assessment(needed, tuple(conflicts), links)


def parts_of(candidate: Candidate, route: Route) -> tuple[RoutePart, ...]:
    """The parts of the route: one for each command, or one for the reports."""
    return route.parts(candidate.needed) if candidate.commands else (reported_part(candidate),)


def meaning_conflicts(candidate: Candidate, parts: Sequence[RoutePart]) -> Iterator[Conflict]:
    """All conflicts about the content of messages, whatever the transport."""
    yield from _access_conflicts(candidate)
    yield from _value_conflicts(candidate, parts)
    yield from refusal_conflicts(candidate, parts)
    if not candidate.commands:
        yield from unreachable_reactions(candidate)


def _access_conflicts(candidate: Candidate) -> Iterator[Conflict]:
    offered = candidate.offered
    own = offered.offer.property_
    if own is None:
        return
    if candidate.commands and not offered.writable:
        yield Conflict(
            FindingKind.READ_ONLY,
            Severity.BLOCKS,
            f"{candidate.needer.name} sets {offered.term.path}, which is read-only at "
            f"{candidate.offerer.name}",
            ("properties", own, "readOnly"),
            (*candidate.need, "access"),
            f"make it writable at {candidate.offerer.name}",
        )
    elif not candidate.commands and not offered.readable:
        yield Conflict(
            FindingKind.WRITE_ONLY,
            Severity.BLOCKS,
            f"{candidate.needer.name} reads {offered.term.path}, {candidate.offerer.name} does not report it",
            ("properties", own, "writeOnly"),
            (*candidate.need, "access"),
            f"report it at {candidate.offerer.name}",
        )


def _value_conflicts(candidate: Candidate, parts: Sequence[RoutePart]) -> Iterator[Conflict]:
    """Values that do not fit, each reported once even if several causes send it."""
    through = any(part.fit.through for part in parts)
    seen: set[tuple[FindingKind, str]] = set()
    for part in parts:
        for conflict in _part_conflicts(candidate, part, through):
            if (conflict.kind, conflict.what) not in seen:
                seen.add((conflict.kind, conflict.what))
                yield conflict


def _part_conflicts(candidate: Candidate, part: RoutePart, through: bool) -> Iterator[Conflict]:
    sender, taker = candidate.offerer.name, candidate.needer.name
    if candidate.commands:
        sender, taker = taker, sender
    subject = f"what {sender} sends as {candidate.needed.term.path}"
    if part.fit.no_conversion is not None:
        source, target = part.fit.no_conversion
        what = f"{subject} is in {source}, {taker} uses {target}, and there is no conversion between the two"
        yield _conflict(candidate, part, FindingKind.UNIT, Severity.BLOCKS, what, "units of one quantity")
        return
    for gap in part.fit.gaps:
        severity = Severity.DEGRADES if through else Severity.BLOCKS
        kind = _KINDS[gap.aspect] if gap.certain else FindingKind.UNDECIDED
        what, proposal = f"{subject} {gap.text}", f"values that {taker} accepts"
        if gap.aspect is ValueAspect.RANGE and candidate.commands:
            what, proposal = _beyond(candidate, what)
        yield _conflict(candidate, part, kind, severity, what, proposal, gap)
    conversion = part.fit.conversion
    if conversion.source_unit != conversion.target_unit:
        lossy = part.fit.blurred and candidate.commands
        what = f"{subject} is converted from {conversion.source_unit} to {conversion.target_unit}"
        if part.fit.rounded and conversion.step is not None:
            what += f" and rounded to {float(conversion.step):g}"
        what += ": different commands become equal" if lossy else ""
        severity = Severity.DEGRADES if lossy else Severity.NOTE
        yield _conflict(candidate, part, FindingKind.CONVERSION, severity, what, "a hub that converts units")


def _beyond(candidate: Candidate, what: str) -> tuple[str, str]:
    clamps = candidate.offerer.profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP
    does = "set to the nearest limit" if clamps else "refused"
    return (
        f"{what}; values beyond are {does}",
        f"the range of {candidate.offerer.name} at {candidate.needer.name}",
    )


def _conflict(
    candidate: Candidate,
    part: RoutePart,
    kind: FindingKind,
    severity: Severity,
    what: str,
    proposal: str,
    gap: ValueGap | None = None,
) -> Conflict:
    left = (*candidate.affordance, *_schema_key(kind, part.offered, gap)) if part.offered.affordance else None
    return Conflict(kind, severity, what, left, part.source, proposal)


def _schema_key(kind: FindingKind, offered: Offered, gap: ValueGap | None) -> Path:
    """The key, within an affordance, of the part of its schema that a finding is about."""
    base: Path = ("input",) if offered.offer.action is not None else ()
    base = ("data",) if offered.offer.event is not None else base
    if offered.schema is None:
        return ()
    if gap is not None and gap.key:
        return (*base, gap.key)
    if kind is FindingKind.VALUES and offered.schema.enum is None:
        return base
    return (*base, _KEYS[kind]) if kind in _KEYS else base
