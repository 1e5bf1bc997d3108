"""What a prediction says: whether one device serves another, how they are bound, and what stands against it.

A prediction is about an ordered pair: what the *needer* needs of the *offerer*. The other direction is a
prediction of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from harness.model.base import Value
from harness.model.capability import Transport
from harness.model.schema import same_value
from harness.prediction.numbers import (
    exact,
    plain_number,
)


class Outcome(StrEnum):
    """The prediction in one word, from good to bad; ``unrelated``: neither needs what the other offers."""

    UNRELATED = "unrelated"
    WORKS = "works"
    DEGRADED = "degraded"
    BLOCKED = "blocked"


class Severity(StrEnum):
    """What a finding does to the pair."""

    BLOCKS = "blocks"  # what is needed does not come about
    DEGRADES = "degrades"  # it comes about, but not always, later, or with less
    NOTE = "note"  # worth knowing; nothing is lost


class FindingKind(StrEnum):
    """What can stand between two devices."""

    # What they say to each other
    ABSENT = "absent"
    READ_ONLY = "read-only"
    WRITE_ONLY = "write-only"
    NOT_TOLD = "not-told"
    TYPE = "type"
    RANGE = "range"
    STEP = "step"
    VALUES = "values"
    LENGTH = "length"
    PATTERN = "pattern"
    MEMBERS = "members"
    UNDECIDED = "undecided"
    UNIT = "unit"
    CONVERSION = "conversion"
    REFUSAL = "refusal"
    # How it travels
    TRANSPORT = "transport"
    BRIDGE = "bridge"
    MQTT_VERSION = "mqtt-version"
    QOS = "qos"
    RETAIN = "retain"
    PAYLOAD_SIZE = "payload-size"
    FORMAT = "format"
    OBSERVERS = "observers"
    AVAILABILITY = "availability"
    # When it arrives
    DEADLINE = "deadline"
    SLEEP = "sleep"
    # How they find and trust each other
    DISCOVERY = "discovery"
    SECURITY = "security"
    # What flows besides messages
    VOLTAGE = "voltage"
    FREQUENCY = "frequency"
    CURRENT = "current"
    POWER = "power"
    PHASES = "phases"
    EARTH = "earth"
    CONNECTOR = "connector"
    # Whether they can be in one home at all
    CLIENT_ID = "client-id"
    TOPIC = "topic"
    HOST_NAME = "host-name"
    # One in the place of the other
    NAMES = "names"
    ACCURACY = "accuracy"
    NEEDS = "needs"
    POLICY = "policy"
    RULES = "rules"
    RELEASE = "release"


class Flow(StrEnum):
    """Which way a binding runs, and what it carries."""

    COMMAND = "command"  # needer to offerer: a property is written, an action invoked
    STATE = "state"  # offerer to needer: the reports of a property
    EVENT = "event"  # offerer to needer: what happens


class Via(StrEnum):
    """What a message passes between the two."""

    DIRECT = "direct"  # one transport, and the values mean the same at both ends
    TRANSLATED = "translated"  # one transport; something converts units or names of values on the way
    BRIDGE = "bridge"  # two transports; something speaks both


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """A key of a profile. ``line`` is 0, and ``file`` None, where the profile was not read from a file."""

    profile: str
    key: str
    file: Path | None = None
    line: int = 0

    def __str__(self) -> str:
        where = self.profile if self.file is None else str(self.file)
        return f"{where}:{self.line}: {self.key}" if self.line else f"{where}: {self.key}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands between two devices, or that is worth knowing.

    ``left`` is a key of the offerer's profile, ``right`` one of the needer's; None where there is none.
    ``term`` is the vocabulary's name of what is concerned, empty for the devices as a whole; ``need`` is the
    name of the need, if it is about one.
    """

    kind: FindingKind
    severity: Severity
    what: str
    left: KeyPlace | None
    right: KeyPlace | None
    proposal: str
    term: str = ""
    need: str = ""


class AffordanceKind(StrEnum):
    """What an end of a binding is at its device."""

    PROPERTY = "property"
    ACTION = "action"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a binding: an affordance of a device, and where it is reached.

    ``address`` is the MQTT topic or CoAP path that this flow uses (of a property, the command topic for a
    command and the state topic for a state), None where the device has none for it: a device that follows
    another one listens at the address of the other. ``member`` is the member of a JSON object in the payload.
    """

    device: str
    affordance: AffordanceKind
    name: str
    transport: Transport
    address: str | None
    member: str | None = None
    qos: int | None = None
    retain: bool | None = None


@dataclass(frozen=True, slots=True)
class ValueConversion:
    """What becomes of a value on its way from the source to the target, in terms of affordances.

    A number (or its reciprocal: kelvin to mired) is multiplied by ``factor``, ``offset``
    is added, and the result rounded to ``step``. A value that ``values`` names becomes what stands beside it.
    Where there is a ``constant``, everything becomes that.
    """

    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    reciprocal: bool = False
    step: Fraction | None = None
    values: tuple[tuple[Value, Value], ...] = ()
    constant: Value = None
    source_unit: str | None = None
    target_unit: str | None = None

    @property
    def is_identity(self) -> bool:
        """Whether values stay as they are."""
        plain = self.factor == 1 and self.offset == 0 and self.step is None and not self.reciprocal
        plain = plain and self.constant is None
        return plain and all(same_value(source, target) for source, target in self.values)

    def apply(self, value: Value) -> Value:
        """The value as the target gets it. One that cannot be converted stays as it is."""
        if self.constant is not None:
            return self.constant
        for source, target in self.values:
            if same_value(source, value):
                return target
        if isinstance(value, bool) or not isinstance(value, int | float) or self.is_identity:
            return value
        number = exact(value)
        if self.reciprocal:
            if not number:
                return value
            number = 1 / number
        number = number * self.factor + self.offset
        if self.step is not None:
            number = round(number / self.step) * self.step
        return plain_number(number)


UNCHANGED = ValueConversion()


@dataclass(frozen=True, slots=True)
class PairLink:
    """One binding that was found: what the needer uses of the offerer, and how it gets there.

    ``need`` is the name of the need in the needer's profile; ``capability`` the key in the offerer's, such as
    ``capabilities.OnOff.OnOff``, which means ``term``. The source sends only what ``when`` names: a value of
    its own, or one of a list; None stands for everything. ``within`` is how long it may take, in seconds,
    from what happens at the source until it shows at the target (for a command, until the offerer reports its
    new state).
    """

    need: str
    capability: str
    term: str
    flow: Flow
    source: End
    target: End
    via: Via
    within: float
    when: Value = None
    conversion: ValueConversion = UNCHANGED


@dataclass(frozen=True, slots=True)
class NeedOutcome:
    """How far one need is met: in itself, whether or not the device can do without it."""

    need: str
    term: str
    title: str
    optional: bool
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is to be expected of an ordered pair.

    ``needs`` has those of which the offerer has something of the kind. ``plugs`` says whether the needer can
    get its power from the offerer, None where nobody would try.
    """

    offerer: str
    needer: str
    outcome: Outcome
    links: tuple[PairLink, ...] = ()
    findings: tuple[Finding, ...] = ()
    needs: tuple[NeedOutcome, ...] = ()
    plugs: Outcome | None = None

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that block."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.BLOCKS)


@dataclass(frozen=True, slots=True)
class Replacement:
    """Whether one device can take the place of another one without anything else being changed.

    In its findings ``left`` is a key of the old one, ``right`` one of the new one.
    """

    old: str
    new: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()


def outcome_of(severities: Iterable[Severity], *, related: bool) -> Outcome:
    """The outcome that findings of these severities make."""
    found = set(severities)
    if Severity.BLOCKS in found:
        return Outcome.BLOCKED
    if not related:
        return Outcome.UNRELATED
    return Outcome.DEGRADED if Severity.DEGRADES in found else Outcome.WORKS
