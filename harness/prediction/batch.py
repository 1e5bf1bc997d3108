"""Predictions for every ordered pair of many devices, in compact form: outcomes and kinds of findings.

The outcome of a pair is that of :func:`harness.prediction.predict.predict`, which gives the details.
Two things make it fast: an index by cluster finds the pairs that have a cluster in common, and the inputs of
a comparison are interned, so that each combination of a need and a capability is compared once, whatever the
number of devices that have it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.model.capability import CapabilityTransport
from harness.model.ratings import Rating
from harness.model.schema import DataSchema
from harness.model.semantics.mapping import (
    Needed,
    Offered,
)
from harness.prediction.candidate import (
    Candidate,
    common_transports,
)
from harness.prediction.coexistence import (
    claims_of,
    collisions,
)
from harness.prediction.delivery.transport import ASPECTS
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.electric import plugged
from harness.prediction.findings import (
    FindingKind,
    PairOutcome,
    Severity,
)
from harness.prediction.matching import (
    meaning_conflicts,
    offers_for,
    parts_of,
    severity_rank,
)
from harness.prediction.predict import summarize
from harness.prediction.refusals import refusing_rules
from harness.prediction.routes import routes

_OUTCOMES = tuple(PairOutcome)
_BITS = {kind: 1 << index for index, kind in enumerate(FindingKind)}
_RANKS = {Severity.NOTE: 0, Severity.DEGRADES: 1, Severity.BLOCKS: 2}

# The state of a pair as bits, so that the results of several needs are combined by OR.
_RELATED, _SERVED, _PLUGS = 1, 2, 4
_REQUIRED, _OPTIONAL, _SHARED = 3, 6, 9  # position of the three bits for severities: note, degrades, blocks
_SEVERITIES = (Severity.NOTE, Severity.DEGRADES, Severity.BLOCKS)
_KINDS = 12  # position of the bits for kinds of findings


@dataclass(frozen=True, slots=True)
class Score:
    """The conflicts of a comparison in short: worst rank, number, and kinds as bits."""

    rank: int = -1
    count: int = 0
    kinds: int = 0

    def with_(self, other: Score) -> Score:
        """The combination of both scores."""
        return Score(max(self.rank, other.rank), self.count + other.count, self.kinds | other.kinds)


_NOTHING = Score()


def _score(conflicts: Iterable[Conflict]) -> Score:
    rank, count, kinds = -1, 0, 0
    for conflict in conflicts:
        rank, count, kinds = max(rank, _RANKS[conflict.severity]), count + 1, kinds | _BITS[conflict.kind]
    return Score(rank, count, kinds) if count else _NOTHING


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of all ordered pairs; devices are named by their numbers."""

    names: tuple[str, ...]
    outcomes: bytearray
    kinds_: array[int]

    def outcome(self, offerer: int, needer: int) -> PairOutcome:
        """The outcome of a pair."""
        return _OUTCOMES[self.outcomes[needer * len(self.names) + offerer]]

    def kinds(self, offerer: int, needer: int) -> frozenset[FindingKind]:
        """The kinds of findings of a pair."""
        bits = self.kinds_[needer * len(self.names) + offerer]
        return frozenset(kind for kind, bit in _BITS.items() if bits & bit)

    def counts(self) -> dict[PairOutcome, int]:
        """How many pairs have each outcome."""
        found = Counter(self.outcomes)
        return {outcome: found[index] for index, outcome in enumerate(_OUTCOMES)}


@dataclass(frozen=True, slots=True)
class _NeedFacts:
    """A need, with an interned number for its meaning, and one for each aspect of delivery."""

    needer: Device
    needed: Needed
    meaning: int
    aspects: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _OfferFacts:
    """What a device offers of one cluster, numbered in the same way; ``aspects`` has a row for each offer."""

    offerer: Device
    offers: tuple[Offered, ...]
    meaning: int
    aspects: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to meet a need: the index of the offer, and the score of its meaning."""

    offer: int
    meaning: Score


class _Interned:
    """Gives equal values the same number."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def __call__(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))


class _Comparisons:
    """Compares needs with offers, and each combination of relevant inputs once."""

    def __init__(self) -> None:
        self._intern = _Interned()
        self._ways: dict[tuple[int, int], tuple[_Way, ...] | None] = {}
        self._transports: dict[tuple[int, int], tuple[CapabilityTransport | None, ...]] = {}
        self._deliveries: dict[tuple[int, int, int, CapabilityTransport | None], Score] = {}

    def need(self, needer: Device, needed: Needed) -> _NeedFacts:
        """A need, ready to be compared."""
        aspects = tuple(self._intern(aspect.needs(needer, needed)) for aspect in ASPECTS)
        return _NeedFacts(needer, needed, self._intern(_need_text(needed)), aspects)

    def offers(self, offerer: Device, offers: tuple[Offered, ...]) -> _OfferFacts:
        """What a device offers of one cluster, ready to be compared."""
        aspects = tuple(
            tuple(self._intern(aspect.offers(offerer, each)) for aspect in ASPECTS) for each in offers
        )
        meaning = self._intern("\n".join(_offer_text(offerer, each) for each in offers))
        return _OfferFacts(offerer, offers, meaning, aspects)

    def score(self, need: _NeedFacts, facts: _OfferFacts) -> Score | None:
        """How far the need is met; None where nothing of the kind is offered."""
        key = need.meaning, facts.meaning
        if key not in self._ways:
            self._ways[key] = _ways(need, facts)
        ways = self._ways[key]
        if ways is None:
            return None
        best: Score | None = None
        for way in ways:
            for transport in self._transports_of(need, facts, way.offer):
                found = way.meaning.with_(self._delivery(need, facts, way.offer, transport))
                if best is None or (found.rank, found.count) < (best.rank, best.count):
                    best = found
        return best or _ABSENT

    def _transports_of(
        self, need: _NeedFacts, facts: _OfferFacts, offer: int
    ) -> tuple[CapabilityTransport | None, ...]:
        key = need.aspects[0], facts.aspects[offer][0]
        if key not in self._transports:
            candidate = Candidate(need.needer, need.needed, facts.offerer, facts.offers[offer])
            self._transports[key] = common_transports(candidate) or (None,)
        return self._transports[key]

    def _delivery(
        self, need: _NeedFacts, facts: _OfferFacts, offer: int, transport: CapabilityTransport | None
    ) -> Score:
        rank, count, kinds = -1, 0, 0
        for index, (here, there) in enumerate(zip(need.aspects, facts.aspects[offer], strict=True)):
            key = index, here, there, transport
            found = self._deliveries.get(key)
            if found is None:
                found = self._deliveries[key] = _aspect_score(index, need, facts, offer, transport)
            if found is not _NOTHING:
                rank, count, kinds = max(rank, found.rank), count + found.count, kinds | found.kinds
        return Score(rank, count, kinds) if count else _NOTHING


_ABSENT = Score(2, 1, _BITS[FindingKind.ABSENT])


def _aspect_score(
    index: int, need: _NeedFacts, facts: _OfferFacts, offer: int, transport: CapabilityTransport | None
) -> Score:
    aspect = ASPECTS[index]
    if transport not in aspect.over:
        return _NOTHING
    candidate = Candidate(need.needer, need.needed, facts.offerer, facts.offers[offer])
    return _score(aspect.conflicts(candidate, transport))


def _ways(need: _NeedFacts, facts: _OfferFacts) -> tuple[_Way, ...] | None:
    offers = offers_for(need.needed, facts.offerer)
    if not offers:
        return None
    found = []
    for route in routes(need.needed, offers):
        candidate = Candidate(need.needer, need.needed, facts.offerer, route.offered)
        score = _score(meaning_conflicts(candidate, parts_of(candidate, route)))
        found.append(_Way(facts.offers.index(route.offered), score))
    return tuple(found)


# Keys of a schema that do not affect its values.
_SAYS_NOTHING = {
    "title",
    "description",
    "default",
    "tolerance",
    "counter",
    "integral_of",
    "power_up",
    "settle",
}


def _schema_text(schema: DataSchema | None) -> str:
    return "" if schema is None else schema.model_dump_json(exclude=_SAYS_NOTHING, exclude_defaults=True)


def _need_text(needed: Needed) -> str:
    """Everything in a need that the comparison of meaning depends on."""
    need = needed.need
    causes = [
        f"{each.cause.data!r} {each.cause.sends!r} {_schema_text(each.schema)}" for each in needed.sendings
    ]
    reactions = [each.model_dump_json(exclude={"then", "within"}) for each in need.reactions]
    return "\n".join(
        [need.uses, need.access, repr(need.values), _schema_text(needed.schema), *causes, *reactions]
    )


def _offer_text(offerer: Device, offered: Offered) -> str:
    """The same for an offer."""
    offer = offered.offer
    rules = [rule.model_dump_json() for _, rule in refusing_rules(offerer.profile, offer.property_ or "")]
    kind = "property" if offer.property_ is not None else "action" if offer.action is not None else "event"
    return (
        f"{offered.term.path} {offered.label} {kind} {offer.availability} {offer.data!r} {offer.values!r} "
        f"{offered.writable} {offered.readable} {_schema_text(offered.schema)} {rules}"
    )


def predict_all(devices: Sequence[Device]) -> Predictions:
    """Predict every ordered pair of ``devices``. A device with itself counts as unrelated."""
    size = len(devices)
    table = _Table(size)
    comparisons = _Comparisons()
    index: dict[str, list[tuple[int, _OfferFacts]]] = {}
    for number, device in enumerate(devices):
        for cluster, offers in device.offers.items():
            index.setdefault(cluster, []).append((number, comparisons.offers(device, offers)))
    power = _Power(devices)
    colliding = _collisions(devices)
    for number, device in enumerate(devices):
        known = [0] * size
        for needed in device.needs:
            need = comparisons.need(device, needed)
            position = _OPTIONAL if needed.need.optional else _REQUIRED
            for other, facts in index.get(needed.term.cluster, ()):
                if (score := comparisons.score(need, facts)) is not None:
                    known[other] |= _bits(score, position)
        for other, bits in power.of(device):
            known[other] |= bits
        for other, bits in colliding.get(number, {}).items():
            known[other] |= bits
        known[number] = 0
        table.add(known)
    return Predictions(tuple(device.name for device in devices), table.outcomes, table.kinds)


class _Table:
    """The outcomes of pairs, one row for each needer."""

    def __init__(self, size: int) -> None:
        self.outcomes = bytearray()
        self.kinds: array[int] = array("Q")
        self._outcomes = bytes(_OUTCOMES.index(_outcome(flags)) for flags in range(1 << _KINDS))

    def add(self, known: Sequence[int]) -> None:
        """Add the next row."""
        mask, outcomes = (1 << _KINDS) - 1, self._outcomes
        self.outcomes += bytes([outcomes[bits & mask] for bits in known])
        self.kinds.extend([bits >> _KINDS for bits in known])


def _bits(score: Score, position: int) -> int:
    served = _SERVED if score.rank < 2 else 0
    rank = 1 << (position + score.rank) if score.rank >= 0 else 0
    return _RELATED | served | rank | score.kinds << _KINDS


def _outcome(flags: int) -> PairOutcome:
    """The outcome of a pair from its bits: the same as that of ``summarize`` for these severities."""
    needs: list[tuple[bool, Severity | None]] = []
    if flags & _SERVED:
        needs.append((True, None))
    for optional, position in ((False, _REQUIRED), (True, _OPTIONAL)):
        needs += [
            (optional, severity) for rank, severity in enumerate(_SEVERITIES) if flags >> position + rank & 1
        ]
    if flags & _RELATED and not needs:
        needs.append((False, None))
    shared = [severity for rank, severity in enumerate(_SEVERITIES) if flags >> _SHARED + rank & 1]
    return summarize(needs, shared[-1] if shared else None, None, bool(flags & _PLUGS)).outcome


def _shared_bits(score: Score) -> int:
    rank = 1 << (_SHARED + score.rank) if score.rank >= 0 else 0
    return rank | score.kinds << _KINDS


class _Power:
    """Which devices can be plugged into which; equal ratings are compared once."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self._devices = devices
        self._bits: dict[tuple[str, str], int] = {}
        self._suppliers: dict[str, list[int]] = {}
        for number, device in enumerate(devices):
            if device.profile.ratings.supplies:
                text = _ratings_text(device.profile.ratings.supplies)
                self._suppliers.setdefault(text, []).append(number)

    def of(self, drawer: Device) -> Iterator[tuple[int, int]]:
        """The numbers of suppliers, each with the bits that it adds."""
        if not drawer.profile.ratings.draws:
            return
        drawn = _ratings_text(drawer.profile.ratings.draws)
        for supplied, numbers in self._suppliers.items():
            if (supplied, drawn) not in self._bits:
                ways = plugged(self._devices[numbers[0]].profile, drawer.profile)
                best = min(ways, key=severity_rank, default=None)
                found = 0 if best is None else _PLUGS | _shared_bits(_score(best))
                self._bits[supplied, drawn] = found
            if bits := self._bits[supplied, drawn]:
                yield from ((number, bits) for number in numbers)


def _ratings_text(ratings: Iterable[Rating]) -> str:
    return "\n".join(each.model_dump_json() for each in ratings)


def _collisions(devices: Sequence[Device]) -> dict[int, dict[int, int]]:
    """For each device, the devices that claim a name of it, with the bits that this adds."""
    claims = [claims_of(device.profile) for device in devices]
    claimed: dict[Hashable, list[int]] = {}
    for number, each in enumerate(claims):
        for name in each.names:
            claimed.setdefault(name, []).append(number)
    found: dict[int, dict[int, int]] = {}
    for numbers in claimed.values():
        for one in numbers if len(numbers) > 1 else ():
            for other in numbers:
                if other != one and other not in found.setdefault(one, {}):
                    score = _score(collisions(claims[other], claims[one]))
                    found[one][other] = _shared_bits(score)
    return found
