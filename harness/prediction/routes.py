"""The ways to meet a need: by the term itself, or by an equivalent one.

``OnOff.Off`` sets ``OnOff.OnOff`` to false, so either of the two can serve a need for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.model.base import Value
from harness.model.problems import Path
from harness.model.schema import same_value
from harness.model.semantics.mapping import (
    Needed,
    Offered,
    Sending,
)
from harness.model.vocabulary import TermKind
from harness.prediction.findings import ValueConversion
from harness.prediction.values.containment import (
    ValueAspect,
    ValueGap,
)
from harness.prediction.values.conversion import (
    Fit,
    Side,
    fit,
    fit_of_constants,
)


@dataclass(frozen=True, slots=True)
class RoutePart:
    """One cause with its target capability, or the reports with their source capability.

    ``source`` is the key in the needer's profile, ``when`` the sender's own values that apply (None: all).
    """

    offered: Offered
    fit: Fit
    source: Path
    index: int = 0
    when: Value = None


@dataclass(frozen=True, slots=True)
class Route:
    """Capabilities that together meet a need; ``offered`` represents them."""

    offered: Offered
    others: tuple[Offered, ...] = ()

    def parts(self, needed: Needed) -> tuple[RoutePart, ...]:
        """A part for each command of the needer."""
        return tuple(
            replace(part, fit=_with_input(part))
            for index, sending in enumerate(needed.sendings)
            for part in self._parts(needed, sending, index)
        )

    def _parts(self, needed: Needed, sending: Sending, index: int) -> Iterator[RoutePart]:
        source: Path = ("needs", needed.name, "by", index)
        when = sending.cause.data
        if needed.term.kind is TermKind.ATTRIBUTE and self.offered.term.kind is TermKind.COMMAND:
            for part in self._by_commands(needed, sending):
                yield replace(part, source=source, index=index, when=when if part.when is None else part.when)
            return
        yield RoutePart(self.offered, _one_fit(needed, sending, self.offered), source, index, when)

    def _by_commands(self, needed: Needed, sending: Sending) -> Iterator[RoutePart]:
        """An attribute is needed and commands that set it are offered: choose the command for each value."""
        group = (self.offered, *self.others)
        taking = next((each for each in group if each.term.sets and each.term.sets.value is None), None)
        constants = _constants(needed, sending)
        if constants is None:
            if taking is not None:
                yield RoutePart(taking, fit(_side(needed, sending), _target(taking)), ())
            else:
                names = ", ".join(each.term.name for each in group)
                gap = ValueGap(
                    ValueAspect.VALUES, f"can have many values, but there are only the commands {names}"
                )
                yield RoutePart(self.offered, Fit((gap,)), ())
            return
        for own, meant in constants:
            setting = next((each for each in group if _sets(each, meant)), None)
            if setting is not None:
                yield RoutePart(setting, Fit(), (), when=own)
            elif taking is not None:
                yield RoutePart(
                    taking, _as_constant(fit_of_constants(((own, meant),), _target(taking))), (), when=own
                )
            else:
                gap = ValueGap(ValueAspect.VALUES, f"can be {meant}, which no command sets", total=True)
                yield RoutePart(self.offered, Fit((gap,)), (), when=own)


def routes(needed: Needed, offers: Sequence[Offered]) -> Iterator[Route]:
    """The ways in which the offers of a cluster can meet a need."""
    term = needed.term
    yield from (Route(each) for each in offers if each.term.path == term.path)
    if not needed.commands:
        return
    if term.kind is TermKind.ATTRIBUTE:
        by_label: dict[str | None, list[Offered]] = {}
        for each in offers:
            if each.term.sets is not None and each.term.sets.attribute == term.name:
                by_label.setdefault(each.label, []).append(each)
        yield from (Route(group[0], tuple(group[1:])) for group in by_label.values())
    elif term.sets is not None:
        yield from (Route(each) for each in offers if each.term.name == term.sets.attribute)


def _one_fit(needed: Needed, sending: Sending, offered: Offered) -> Fit:
    """How the values of one cause fit one capability."""
    sets = needed.term.sets
    if needed.term.kind is TermKind.COMMAND and offered.term.kind is TermKind.ATTRIBUTE:
        assert sets is not None, "routes() chooses an attribute only where the command sets one"
        if sets.value is not None:
            return _as_constant(fit_of_constants(((None, sets.value),), _target(offered)))
    if sending.cause.sends is not None:
        if offered.schema is None and offered.term.schema is None:
            return Fit()
        return _as_constant(_constant_fit(sending.cause.sends, needed, offered))
    return fit(_side(needed, sending), _target(offered))


def _with_input(part: RoutePart) -> Fit:
    """The fit, with a gap where a value meets an action without input, or the reverse."""
    offered = part.offered
    if offered.offer.action is None or (offered.schema is None) is (offered.term.schema is None):
        return part.fit
    text = "has a value, but the action takes none"
    if offered.schema is not None:
        text = f"has no value, but the action needs one of type {offered.schema.type}"
    return Fit((ValueGap(ValueAspect.TYPE, text, total=True),))


def _constant_fit(value: Value, needed: Needed, offered: Offered) -> Fit:
    """How one value of the vocabulary fits; for a number, range and steps count."""
    target = _target(offered)
    numeric = isinstance(value, int | float) and not isinstance(value, bool) and target.names is None
    if numeric and needed.term.schema is not None:
        found = fit(Side(needed.term.schema, needed.term.schema, None, only=value), target)
        return replace(found, conversion=ValueConversion(values=((value, found.conversion.apply(value)),)))
    return fit_of_constants(((value, value),), target)


def _as_constant(found: Fit) -> Fit:
    """The fit, with a conversion of every value to the single one that is meant."""
    if not found.conversion.values:
        return found
    ((_, own),) = found.conversion.values
    return replace(found, conversion=ValueConversion(constant=own))


def _constants(needed: Needed, sending: Sending) -> tuple[tuple[Value, Value], ...] | None:
    if sending.cause.sends is not None:
        return ((sending.cause.data, sending.cause.sends),)
    return _side(needed, sending).pairs


def _side(needed: Needed, sending: Sending) -> Side:
    return Side(sending.schema, needed.term.schema, needed.need.values, sending.cause.data)


def _target(offered: Offered) -> Side:
    return Side(offered.schema, offered.term.schema, offered.offer.values)


def _sets(offered: Offered, meant: Value) -> bool:
    sets = offered.term.sets
    return sets is not None and sets.value is not None and same_value(sets.value, meant)
