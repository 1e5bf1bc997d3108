"""``matrix.json``: which devices work with which, as typed data, from which the page and JUnit are made.

The format is stable: members may be added, but are never renamed or removed. Its JSON Schema is
``matrix.schema.json`` beside this file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from harness.model.capability import CapabilityTransport
from harness.model.profile import Profile
from harness.model.verdict import ExitStatus, Verdict
from harness.prediction.comparison import (
    Agreement,
    PairObservation,
    compared,
)
from harness.prediction.findings import (
    Finding,
    Flow,
    KeyPlace,
    PairLink,
    PairOutcome,
    Prediction,
    Severity,
    Via,
)
from harness.prediction.matrix import OrderedPair
from harness.report.matrix.order import clustered
from harness.report.text import showable


class _MatrixRecord(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class State(StrEnum):
    """The state of a cell, most severe first."""

    DIFFERS = "differs"
    BLOCKED = "blocked"
    DEGRADED = "degraded"
    WORKS = "works"
    UNRELATED = "unrelated"


class KeyReference(_MatrixRecord):
    """A key of a profile."""

    profile: str
    key: str
    file: str | None
    line: int
    """0 if unknown"""

    @property
    def text(self) -> str:
        """``profiles/light.yaml:31: needs.switched``."""
        where = self.file or self.profile
        return f"{where}:{self.line}: {self.key}" if self.line else f"{where}: {self.key}"


class FindingEntry(_MatrixRecord):
    """One incompatibility of two devices, or one remark."""

    kind: str
    """the kind, such as unit or qos; more may be added"""
    severity: Severity
    what: str
    offerer: KeyReference | None
    """the key in the profile of the offering device"""
    needer: KeyReference | None
    """the key in the profile of the needing device"""
    proposal: str
    term: str
    """the term of the vocabulary that is concerned; empty: the devices as a whole"""
    need: str
    """the need that is concerned; empty: none in particular"""


class MatrixLink(_MatrixRecord):
    """One binding between the two devices."""

    need: str
    capability: str
    term: str
    flow: Flow
    via: Via
    source: str
    """the affordance that sends"""
    target: str
    """the affordance that receives"""
    transport: CapabilityTransport
    """the transport of the source"""
    address: str | None
    """MQTT topic or CoAP path of the offering device"""
    within: float
    """deadline in seconds"""


class CheckEntry(_MatrixRecord):
    """One verdict about the two devices on one bus."""

    check: str
    subject: str
    verdict: Verdict
    message: str
    events: tuple[int, ...]
    """line numbers of the events in the trace that prove it"""
    need: str
    """the need that is concerned; empty: the pair as a whole"""


class ObservationEntry(_MatrixRecord):
    """The result of running the two devices on one bus."""

    agreement: Agreement
    why: str
    """how it differs from the prediction, or why it is undecided; otherwise empty"""
    checks: tuple[CheckEntry, ...]
    trace: str
    """the trace of the run, relative to this file"""
    seconds: float
    """real duration of the run"""
    ended: str
    """complete, or why the run ended early"""


class PairEntry(_MatrixRecord):
    """One ordered pair: what the needer needs from the offerer."""

    offerer: str
    needer: str
    state: State
    """the cell of the map: ``differs``, or the predicted outcome"""
    predicted: PairOutcome
    links: tuple[MatrixLink, ...]
    findings: tuple[FindingEntry, ...]
    """most severe first"""
    observed: ObservationEntry | None
    """null: not observed"""

    @property
    def undecided(self) -> bool:
        """Whether it was observed, but could not be decided."""
        return self.observed is not None and self.observed.agreement is Agreement.UNDECIDED

    @property
    def unshown(self) -> bool:
        """Whether it was observed, but the prediction cannot be seen on this bench."""
        return self.observed is not None and self.observed.agreement is Agreement.UNSHOWN


class ProfileEntry(_MatrixRecord):
    """A device of the matrix."""

    name: str
    """unique within the matrix"""
    title: str
    category: str
    version: str
    path: str


class Selection(_MatrixRecord):
    """Which ordered pairs were observed, and how long that took."""

    pairs: Literal["all", "covering"]
    observed: int
    left_out: int
    runs: int
    """number of runs; one run shows both directions of a pair"""
    at_once: int
    """number of concurrent runs"""
    processes: int
    seconds: float
    """real duration of all runs"""
    starting_seconds: float
    """part of it until the first run began, to start processes"""
    slowest_seconds: float
    """duration of the slowest run"""
    interrupted: bool = False
    """whether it was stopped before all pairs were observed"""

    @property
    def ratio(self) -> float:
        """The total time divided by that of the slowest run for each round of concurrent runs."""
        rounds = self.runs / self.at_once if self.at_once else 0
        allowed = rounds * self.slowest_seconds
        return (self.seconds - self.starting_seconds) / allowed if allowed else 0.0


class Matrix(_MatrixRecord):
    """The complete result of a matrix."""

    format: Literal[1] = 1
    tool_version: str
    started: str
    """RFC 3339"""
    seed: int
    profiles: tuple[ProfileEntry, ...]
    rows: tuple[str, ...]
    """the offering devices; similar ones are neighbours"""
    columns: tuple[str, ...]
    """the needing devices, ordered in the same way"""
    pairs: tuple[PairEntry, ...]
    selection: Selection | None
    """null: nothing was observed"""

    def counted(self) -> dict[State, int]:
        """The number of pairs in each state."""
        counts = Counter(pair.state for pair in self.pairs)
        return {state: counts[state] for state in State}

    def of(self, state: State) -> tuple[PairEntry, ...]:
        """The pairs in this state."""
        return tuple(pair for pair in self.pairs if pair.state is state)

    @property
    def status(self) -> int:
        """The exit status: 1 if prediction and observation differ, 3 if a pair is undecided."""
        if self.of(State.DIFFERS):
            return ExitStatus.FAILED
        return ExitStatus.UNDECIDED if any(pair.undecided for pair in self.pairs) else ExitStatus.OK


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device for the matrix; ``name`` is unique within the matrix."""

    name: str
    profile: Profile
    path: str


def matrix_of(
    rows: Sequence[DeviceRow],
    pairs: Sequence[OrderedPair],
    observations: Mapping[tuple[str, str], PairObservation] = MappingProxyType({}),
    *,
    tool_version: str,
    started: str,
    seed: int,
    selection: Selection | None = None,
) -> Matrix:
    """Make the matrix of all ordered pairs of ``rows``; observations are keyed by (offerer, needer)."""
    entries = tuple(_pair(pair, observations.get((pair.offerer, pair.needer))) for pair in pairs)
    names = [row.name for row in rows]
    weights = {(entry.offerer, entry.needer): entry.state for entry in entries}
    return Matrix(
        tool_version=tool_version,
        started=started,
        seed=seed,
        profiles=tuple(
            ProfileEntry(
                name=row.name,
                title=showable(row.profile.title),
                category=showable(row.profile.category),
                version=showable(row.profile.version),
                path=showable(row.path),
            )
            for row in rows
        ),
        rows=clustered({name: [weights[name, other] for other in names] for name in names}, State.UNRELATED),
        columns=clustered(
            {name: [weights[other, name] for other in names] for name in names}, State.UNRELATED
        ),
        pairs=entries,
        selection=selection,
    )


def to_json(matrix: Matrix) -> str:
    """The text of ``matrix.json``."""
    data = matrix.model_dump(mode="json")
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> str:
    """The JSON Schema of ``matrix.json``."""
    generated = TypeAdapter(Matrix).json_schema(mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Which smart-home devices work with which",
    }
    return json.dumps(head | generated, indent=2, ensure_ascii=False) + "\n"


def _pair(pair: OrderedPair, observation: PairObservation | None) -> PairEntry:
    prediction = pair.prediction
    observed = None if observation is None else _observed(prediction, observation)
    differs = observed is not None and observed.agreement is Agreement.DIFFERS
    order = list(Severity)
    return PairEntry(
        offerer=pair.offerer,
        needer=pair.needer,
        state=State.DIFFERS if differs else State(prediction.outcome),
        predicted=prediction.outcome,
        links=tuple(map(_link, prediction.links)),
        findings=tuple(
            _finding(finding)
            for finding in sorted(prediction.findings, key=lambda each: order.index(each.severity))
        ),
        observed=observed,
    )


def _observed(prediction: Prediction, observation: PairObservation) -> ObservationEntry:
    comparison = compared(prediction, observation)
    return ObservationEntry(
        agreement=comparison.agreement,
        why=showable(comparison.why),
        checks=tuple(
            CheckEntry(
                check=check.check,
                subject=showable(check.subject),
                verdict=check.verdict,
                message=showable(check.message),
                events=check.events,
                need=check.need,
            )
            for check in observation.checks
        ),
        trace=observation.trace,
        seconds=round(observation.seconds, 3),
        ended=showable(observation.ended),
    )


def _finding(finding: Finding) -> FindingEntry:
    return FindingEntry(
        kind=finding.kind.value,
        severity=finding.severity,
        what=showable(finding.what),
        offerer=_place(finding.left),
        needer=_place(finding.right),
        proposal=showable(finding.proposal),
        term=finding.term,
        need=finding.need,
    )


def _place(place: KeyPlace | None) -> KeyReference | None:
    if place is None:
        return None
    file = None if place.file is None else showable(str(place.file))
    return KeyReference(profile=place.profile, key=showable(place.key), file=file, line=place.line)


def _link(link: PairLink) -> MatrixLink:
    offering = link.target if link.flow is Flow.COMMAND else link.source
    return MatrixLink(
        need=link.need,
        capability=link.capability,
        term=link.term,
        flow=link.flow,
        via=link.via,
        source=link.source.name,
        target=link.target.name,
        transport=link.source.transport,
        address=None if offering.address is None else showable(offering.address),
        within=link.within,
    )
