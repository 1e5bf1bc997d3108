"""Translates one device's reports and commands to and from the shared vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from harness.model.base import Value
from harness.model.capability import CapabilityTransport
from harness.model.profile import Profile
from harness.model.schema import DataSchema, DataType, same_value
from harness.model.semantics.mapping import (
    Offered,
    Translation,
    UntranslatableError,
    as_list,
    offered,
)
from harness.model.vocabulary import Term, TermKind, term_named

_TOGGLE = "OnOff.Toggle"


class UnofferedError(LookupError):
    """The device does not offer a term, or not in the required way. The message says which and why."""


@dataclass(frozen=True, slots=True)
class TranslatedReport:
    """A term that the device reports, with its value in the vocabulary."""

    path: str
    value: Value


@dataclass(frozen=True, slots=True)
class TranslatedCommand:
    """What to send to the device: a property to set or an action to invoke, with the device's value."""

    name: str
    value: Value
    is_action: bool
    transports: frozenset[CapabilityTransport]


class ProfileTranslator:
    """The capabilities of one profile, by their terms.

    A path is ``Cluster.Term``, or ``Cluster/label.Term`` for one of several. Without a label it is the first
    one in the profile.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._offered = offered(profile)

    def find(self, path: str) -> Offered | None:
        """The capability of that path, or None if it is not offered."""
        key, _, name = path.rpartition(".")
        for found in self._offered:
            cluster = found.term.cluster
            if found.term.name == name and key in (cluster, f"{cluster}/{found.label}"):
                return found
        return None

    def terms_reported_by(self, name: str, value: Value) -> Iterator[TranslatedReport]:
        """The meanings of ``value`` reported by the affordance ``name``, under every path that matches."""
        for found in self._offered:
            if found.affordance != name or found.term.kind is TermKind.COMMAND:
                continue
            meant = _meaning_of(found, value)
            if meant is None:
                continue
            for path in self._paths(found):
                yield TranslatedReport(path, meant[0])

    def own_value(self, path: str, value: Value) -> Value:
        """A vocabulary value as the device's value, rounded to the device's steps.

        Raises UnofferedError and UntranslatableError.
        """
        found = self._found(path)
        return stepped(found.schema, found.translation.to_own(value))

    def tolerance(self, path: str) -> float:
        """How far a number may differ from the requested one because of the device's steps."""
        found = self.find(path)
        schema = found.schema if found is not None else None
        if found is None or schema is None or found.offer.values is not None:
            return 0.0
        step = schema.multiple_of or (1 if schema.type is DataType.INTEGER else 0)
        if not step:
            return 1e-6
        try:
            zero, one = (found.translation.to_common(value) for value in (0, step))
        except (UntranslatableError, ZeroDivisionError):
            return 0.0
        return float(abs(one - zero)) / 2 * 1.000001

    def order(self, path: str, value: Value, present: Value = None) -> TranslatedCommand:
        """How to make the device carry out a command or reach a state; ``present`` is its current state.

        If it does not offer the term itself, an equivalent one is used: a state instead of the command that
        sets it, or the reverse. Raises UnofferedError and UntranslatableError.
        """
        found = self.find(path)
        if found is not None and (found.term.kind is TermKind.COMMAND or found.writable):
            return _order(found, value)
        instead = self._instead(path, value, present)
        if instead is not None:
            return instead
        if found is not None:
            raise UnofferedError(f"{self.profile.profile} offers {path}, but it cannot be set from outside")
        raise UnofferedError(f"{self.profile.profile} does not offer {path}")

    def _instead(self, path: str, value: Value, present: Value) -> TranslatedCommand | None:
        key, _, _ = path.rpartition(".")
        term = term_of(path)
        if term is None:
            return None
        if term.path == _TOGGLE and isinstance(present, bool):
            return self._set(f"{key}.OnOff", not present)
        if term.sets is not None:
            return self._set(f"{key}.{term.sets.attribute}", _set_value(term, value))
        for found in self._offered:
            sets = found.term.sets
            if sets is None or found.term.cluster != term.cluster or sets.attribute != term.name:
                continue
            if sets.value is None or same_value(sets.value, value):
                return _order(found, value if sets.value is None else None)
        return None

    def _set(self, path: str, value: Value) -> TranslatedCommand | None:
        found = self.find(path)
        return _order(found, value) if found is not None and found.writable else None

    def _found(self, path: str) -> Offered:
        found = self.find(path)
        if found is None:
            raise UnofferedError(f"{self.profile.profile} does not offer {path}")
        return found

    def _paths(self, found: Offered) -> Iterator[str]:
        plain = found.term.path
        if found.label is not None:
            yield f"{found.term.cluster}/{found.label}.{found.term.name}"
        if self.find(plain) is found:
            yield plain


def term_of(path: str) -> Term | None:
    """The term of a path, its label left out; None where the vocabulary has none."""
    key, _, name = path.rpartition(".")
    return term_named(f"{key.partition('/')[0]}.{name}")


def stepped(schema: DataSchema | None, value: Value) -> Value:
    """The number on the schema's steps that is nearest to ``value``; other values are unchanged."""
    if schema is None or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    step = schema.multiple_of or (1 if schema.type is DataType.INTEGER else None)
    if not step:
        return value
    exact = Fraction(repr(step))
    found = round(Fraction(repr(value)) / exact) * exact
    return int(found) if found.denominator == 1 else float(found)


def _set_value(term: Term, value: Value) -> Value:
    assert term.sets is not None
    return value if term.sets.value is None else term.sets.value


def _order(found: Offered, value: Value) -> TranslatedCommand:
    is_action = found.term.kind is TermKind.COMMAND
    own = value
    if value is not None:
        own = stepped(found.schema, found.translation.to_own(value)) if found.schema is not None else None
    return TranslatedCommand(found.affordance, own, is_action, found.transports)


def _meaning_of(found: Offered, value: Value) -> tuple[Value] | None:
    """The meaning of ``value`` as that capability, in a tuple of one; None if it means something else."""
    offer, own = found.offer, value
    if offer.member is not None:
        if not isinstance(value, dict) or offer.member not in value:
            return None
        own = value[offer.member]
    if offer.data is not None and not any(same_value(value, one) for one in as_list(offer.data)):
        return None
    if found.term.schema is None:
        return (None,)
    try:
        return (Translation(found.schema, found.term.schema, offer.values).to_common(own),)
    except (UntranslatableError, ZeroDivisionError):
        return None
