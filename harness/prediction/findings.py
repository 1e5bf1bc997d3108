"""The data of a prediction: outcome, bindings and findings.

A prediction is about an ordered pair: what the *needer* needs from the *offerer*. The opposite direction is a
separate prediction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from harness.model.base import Value
from harness.model.capability import CapabilityTransport
from harness.model.schema import same_value
from harness.prediction.numbers import (
    exact,
    plain_number,
)


class PairOutcome(StrEnum):
    """The prediction in one word. ``unrelated``: neither device needs what the other one offers."""

    UNRELATED = "unrelated"
    WORKS = "works"
    DEGRADED = "degraded"
    BLOCKED = "blocked"


class Severity(StrEnum):
    """The effect of a finding on the pair."""

    BLOCKS = "blocks"  # the need is not met
    DEGRADES = "degrades"  # the need is met late, partly, or not always
    NOTE = "note"  # worth knowing, without effect


class FindingKind(StrEnum):
    """The kinds of incompatibility between two devices."""

    # Content of messages
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
    # Delivery
    TRANSPORT = "transport"
    BRIDGE = "bridge"
    MQTT_VERSION = "mqtt-version"
    QOS = "qos"
    RETAIN = "retain"
    PAYLOAD_SIZE = "payload-size"
    FORMAT = "format"
    OBSERVERS = "observers"
    AVAILABILITY = "availability"
    # Timing
    DEADLINE = "deadline"
    SLEEP = "sleep"
    # Discovery and trust
    DISCOVERY = "discovery"
    SECURITY = "security"
    # Electricity
    VOLTAGE = "voltage"
    FREQUENCY = "frequency"
    CURRENT = "current"
    POWER = "power"
    PHASES = "phases"
    EARTH = "earth"
    CONNECTOR = "connector"
    # Names that both use
    CLIENT_ID = "client-id"
    TOPIC = "topic"
    HOST_NAME = "host-name"
    # Replacement of one device by another
    NAMES = "names"
    ACCURACY = "accuracy"
    NEEDS = "needs"
    POLICY = "policy"
    RULES = "rules"
    RELEASE = "release"


class Flow(StrEnum):
    """The direction of a binding, and what it carries."""

    COMMAND = "command"  # needer to offerer: a property is written, an action invoked
    STATE = "state"  # offerer to needer: the reports of a property
    EVENT = "event"  # offerer to needer: an event


class Via(StrEnum):
    """What a message passes on its way between the devices."""

    DIRECT = "direct"  # one transport, and the same values at both ends
    TRANSLATED = "translated"  # one transport; units or names of values are converted on the way
    BRIDGE = "bridge"  # two transports, with a bridge between them


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
    """One incompatibility of two devices, or one remark.

    ``left`` is a key of the offerer's profile, ``right`` one of the needer's; None where there is none.
    ``term`` is the vocabulary's term that is concerned, empty for the devices as a whole; ``need`` is the
    name of the need, if the finding is about one.
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
    """The kind of affordance at an end of a binding."""

    PROPERTY = "property"
    ACTION = "action"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class BindingEnd:
    """One end of a binding: an affordance of a device, and its address.

    ``address`` is the MQTT topic or CoAP path that this flow uses (of a property, the command topic for a
    command and the state topic for a state), None where the device has none: a device that follows
    another one subscribes to that one's address. ``member`` is the member of a JSON object in the payload.
    """

    device: str
    affordance: AffordanceKind
    name: str
    transport: CapabilityTransport
    address: str | None
    member: str | None = None
    qos: int | None = None
    retain: bool | None = None


@dataclass(frozen=True, slots=True)
class ValueConversion:
    """The conversion of a value on its way from the source affordance to the target affordance.

    A number (or its reciprocal: kelvin to mired) is multiplied by ``factor``, ``offset``
    is added, and the result rounded to ``step``. ``values`` maps single values.
    With a ``constant``, every value becomes that one.
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
        """Whether values stay unchanged."""
        plain = self.factor == 1 and self.offset == 0 and self.step is None and not self.reciprocal
        plain = plain and self.constant is None
        return plain and all(same_value(source, target) for source, target in self.values)

    def apply(self, value: Value) -> Value:
        """The value as the target receives it. A value that cannot be converted stays unchanged."""
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
    """One binding: what the needer uses of the offerer, and how messages get there.

    ``need`` is the name of the need in the needer's profile; ``capability`` the key in the offerer's, such as
    ``capabilities.OnOff.OnOff``, which means ``term``. The source sends only the values in ``when``: one of
    its own values, or a list; None stands for all. ``within`` is the time in seconds
    from the cause at the source to the effect at the target (for a command, until the offerer reports its
    new state).
    """

    need: str
    capability: str
    term: str
    flow: Flow
    source: BindingEnd
    target: BindingEnd
    via: Via
    within: float
    when: Value = None
    conversion: ValueConversion = UNCHANGED


@dataclass(frozen=True, slots=True)
class NeedOutcome:
    """How far one need is met, whether or not it is optional."""

    need: str
    term: str
    title: str
    optional: bool
    outcome: PairOutcome


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for an ordered pair.

    ``needs`` lists the needs for which the offerer has something of the same kind. ``plugs`` says whether the
    needer can be powered by the offerer, None where their connectors are unrelated.
    """

    offerer: str
    needer: str
    outcome: PairOutcome
    links: tuple[PairLink, ...] = ()
    findings: tuple[Finding, ...] = ()
    needs: tuple[NeedOutcome, ...] = ()
    plugs: PairOutcome | None = None

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that block."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.BLOCKS)


@dataclass(frozen=True, slots=True)
class Replacement:
    """Whether a new device can replace an old one without any other change in the home.

    In the findings ``left`` is a key of the old device, ``right`` one of the new device.
    """

    old: str
    new: str
    outcome: PairOutcome
    findings: tuple[Finding, ...] = ()


def outcome_of(severities: Iterable[Severity], *, related: bool) -> PairOutcome:
    """The outcome that follows from findings of these severities."""
    found = set(severities)
    if Severity.BLOCKS in found:
        return PairOutcome.BLOCKED
    if not related:
        return PairOutcome.UNRELATED
    return PairOutcome.DEGRADED if Severity.DEGRADES in found else PairOutcome.WORKS
