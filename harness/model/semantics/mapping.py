"""Capabilities and needs, resolved: terms, schemas, transports and value translations.

The basis for comparing profiles, for scenes and for running devices together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.model.base import Value
from harness.model.capability import Access, CapabilityTransport, Cause, Need, Offer, SecurityLevel
from harness.model.profile import Profile
from harness.model.schema import DataSchema, DataType, same_value
from harness.model.semantics.quantities import conversion
from harness.model.vocabulary import Term, TermKind, term_named


class UntranslatableError(ValueError):
    """A value without a counterpart on the other side. The message says which value and why."""


@dataclass(frozen=True, slots=True)
class Translation:
    """Translation between a device's own values and those of the vocabulary.

    ``own`` and ``common`` are the two schemas; ``names`` maps a vocabulary name to the device's value.
    """

    own: DataSchema | None
    common: DataSchema | None
    names: Mapping[str, Value] | None = None

    def to_common(self, value: Value) -> Value:
        """A device value in terms and units of the vocabulary. Raises :class:`UntranslatableError`."""
        if self.names is not None:
            for name, meant in self.names.items():
                if any(same_value(value, one) for one in as_list(meant)):
                    return self._named(name)
            raise UntranslatableError(f"{value} has no name in the vocabulary")
        return self._converted(value, self.own, self.common)

    def to_own(self, value: Value) -> Value:
        """A vocabulary value as a value of the device. Raises :class:`UntranslatableError`."""
        if self.names is not None:
            for name, meant in self.names.items():
                if same_value(self._named(name), value):
                    return as_list(meant)[0]
            raise UntranslatableError(f"the device has no value for {value}")
        return self._converted(value, self.common, self.own)

    def _named(self, name: str) -> Value:
        """The value of a key of ``names``: keys are texts, but values of the vocabulary need not be."""
        kind = self.common.type if self.common is not None else DataType.STRING
        if kind is DataType.BOOLEAN:
            return name == "true"
        return int(name) if kind is DataType.INTEGER else float(name) if kind is DataType.NUMBER else name

    @staticmethod
    def _converted(value: Value, source: DataSchema | None, target: DataSchema | None) -> Value:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        here, there = (schema.unit if schema is not None else None for schema in (source, target))
        found = conversion(here, there)
        if found is None:
            raise UntranslatableError(f"{here or 'no unit'} does not convert to {there or 'no unit'}")
        if found.is_identity:
            return value
        converted = round(found.apply(value), 9)
        return int(converted) if converted.is_integer() else converted


@dataclass(frozen=True, slots=True)
class Offered:
    """One capability.

    ``key`` is its key in the profile; ``label`` distinguishes it from others of its kind.
    """

    key: str
    term: Term
    label: str | None
    offer: Offer
    schema: DataSchema | None
    transports: frozenset[CapabilityTransport]
    writable: bool
    readable: bool

    @property
    def affordance(self) -> str:
        """Name of the property, action or event; empty for the availability topic."""
        return self.offer.property_ or self.offer.action or self.offer.event or ""

    @property
    def translation(self) -> Translation:
        """Translation between the device's values and those of the vocabulary."""
        return Translation(self.schema, self.term.schema, self.offer.values)


@dataclass(frozen=True, slots=True)
class Sending:
    """One trigger that makes a device send something; ``schema`` is that of its own values.

    If the cause has ``sends``, that vocabulary value is sent; otherwise the own value is translated.
    """

    key: str
    cause: Cause
    schema: DataSchema | None
    translation: Translation


@dataclass(frozen=True, slots=True)
class Needed:
    """One need. ``schema`` describes the own values that it accepts; None: any value."""

    key: str
    name: str
    term: Term
    label: str | None
    need: Need
    schema: DataSchema | None
    transports: frozenset[CapabilityTransport]
    sendings: tuple[Sending, ...]

    @property
    def translation(self) -> Translation:
        """Translation of received vocabulary values to the device's own."""
        return Translation(self.schema or self.term.schema, self.term.schema, self.need.values)

    @property
    def commands(self) -> bool:
        """Whether the need is to command something."""
        return self.need.access is Access.COMMAND


def offered(profile: Profile) -> tuple[Offered, ...]:
    """All capabilities of a valid profile."""
    return tuple(
        _offered(profile, key, name, offer)
        for key, offers in profile.capabilities.items()
        for name, offer in offers.items()
    )


def needed(profile: Profile) -> tuple[Needed, ...]:
    """All needs of a valid profile."""
    return tuple(_needed(profile, name, need) for name, need in profile.needs.items())


def security_level(profile: Profile) -> SecurityLevel:
    """How the device's traffic is protected, as far as its profile implies."""
    if {"MQTT.TLS", "COAP.DTLS"} & set(profile.ics):
        return SecurityLevel.TLS
    mqtt = profile.bindings.mqtt
    return SecurityLevel.LOGIN if mqtt is not None and mqtt.login else SecurityLevel.OPEN


def transports_of(profile: Profile) -> frozenset[CapabilityTransport]:
    """The transports over which the device itself is reached."""
    bindings = profile.bindings
    found = {CapabilityTransport.MQTT} if bindings.mqtt is not None else set()
    return frozenset(found | ({CapabilityTransport.COAP} if bindings.coap is not None else set()))


def split_label(text: str) -> tuple[str, str | None]:
    """``Cluster/label`` as two parts."""
    name, slash, label = text.partition("/")
    return name, label if slash else None


def split_use(uses: str) -> tuple[str, str | None]:
    """The term that a need uses, as a path and a label: ``Cluster/label.Term``."""
    key, _, name = uses.rpartition(".")
    cluster, label = split_label(key)
    return f"{cluster}.{name}", label


def as_list(value: Value) -> list[Value]:
    """``value`` if it is a list, else a list with only ``value``."""
    return value if isinstance(value, list) else [value]


def member_of(schema: DataSchema | None, member: str | None) -> DataSchema | None:
    """The schema of a member of an object, or the schema itself."""
    if member is None or schema is None:
        return schema
    return (schema.properties or {}).get(member)


def schema_of_offer(profile: Profile, offer: Offer) -> DataSchema | None:
    """The schema of an offered affordance: its state, data or input."""
    found: DataSchema | None = None
    if offer.property_ is not None:
        found = profile.properties.get(offer.property_)
    elif offer.event is not None and offer.event in profile.events:
        found = profile.events[offer.event].data
    elif offer.action is not None and offer.action in profile.actions:
        found = profile.actions[offer.action].input
    return member_of(found, offer.member)


def schema_of_cause(profile: Profile, cause: Cause) -> DataSchema | None:
    """The schema of the device's own value in a cause."""
    found: DataSchema | None = None
    if cause.property_ is not None:
        found = profile.properties.get(cause.property_)
    elif cause.event is not None and cause.event in profile.events:
        found = profile.events[cause.event].data
    return member_of(found, cause.member)


def schema_taken(profile: Profile, need: Need) -> DataSchema | None:
    """The schema of the values that a need accepts; None: any value."""
    return need.takes or (profile.properties.get(need.into) if need.into is not None else None)


def _offered(profile: Profile, key: str, name: str, offer: Offer) -> Offered:
    cluster, label = split_label(key)
    term = term_named(f"{cluster}.{name}")
    assert term is not None, "ensured by the consistency checks"
    bindings = profile.bindings
    carried: set[CapabilityTransport] = set()
    own = offer.property_ or offer.action or offer.event or ""
    if (mqtt := bindings.mqtt) is not None and (
        offer.availability or own in {**mqtt.properties, **mqtt.actions, **mqtt.events}
    ):
        carried.add(CapabilityTransport.MQTT)
    if (coap := bindings.coap) is not None and own in {**coap.properties, **coap.actions, **coap.events}:
        carried.add(CapabilityTransport.COAP)
    schema = profile.properties.get(offer.property_ or "")
    return Offered(
        key=f"capabilities.{key}.{name}",
        term=term,
        label=label,
        offer=offer,
        schema=schema_of_offer(profile, offer),
        transports=frozenset(carried),
        writable=term.kind is TermKind.ATTRIBUTE and schema is not None and schema.writable,
        readable=offer.availability or (schema is not None and not schema.write_only),
    )


def _needed(profile: Profile, name: str, need: Need) -> Needed:
    path, label = split_use(need.uses)
    term = term_named(path)
    assert term is not None, "ensured by the consistency checks"
    sendings = []
    for index, cause in enumerate(need.by):
        schema = schema_of_cause(profile, cause)
        translation = Translation(schema, term.schema, need.values)
        sendings.append(Sending(f"needs.{name}.by[{index}]", cause, schema, translation))
    return Needed(
        key=f"needs.{name}",
        name=name,
        term=term,
        label=label,
        need=need,
        schema=schema_taken(profile, need),
        transports=frozenset(need.transports) or transports_of(profile),
        sendings=tuple(sendings),
    )
