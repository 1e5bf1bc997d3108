"""Needs: whether their terms exist, and whether the device can use them as declared."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.base import Value
from harness.model.capability import LABELLED, Access, Cause, Need, Reaction
from harness.model.consistency.capabilities import of_values, unknown_cluster, unknown_term
from harness.model.consistency.mistake import CheckedProfile, Mistake, unknown_name, wrong_value
from harness.model.consistency.rules import of_condition
from harness.model.problems import Path
from harness.model.schema import DataSchema
from harness.model.semantics.mapping import (
    schema_of_cause,
    schema_taken,
    split_label,
    transports_of,
)
from harness.model.vocabulary import CLUSTERS, Term, TermKind

# Keys that have a meaning only with some kinds of access.
_KEYS = {
    "by": (Access.COMMAND,),
    "into": (Access.FOLLOW, Access.READ),
    "takes": (Access.FOLLOW, Access.READ),
    "reactions": (Access.FOLLOW, Access.READ),
    "every": (Access.FOLLOW,),
    "retained": (Access.FOLLOW, Access.READ),
}


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in what the device expects of other devices."""
    for name, need in subject.profile.needs.items():
        path: Path = ("needs", name)
        found = _term(need, path)
        if isinstance(found, Mistake):
            yield found
        else:
            yield from _of_need(subject, found, need, path)


def _term(need: Need, path: Path) -> Term | Mistake:
    key, dot, name = need.uses.rpartition(".")
    cluster, _ = split_label(key)
    if not dot or not LABELLED.fullmatch(key):
        return Mistake((*path, "uses"), "is not a term", need.uses, "such as OnOff.OnOff or OnOff/left.OnOff")
    if mistake := unknown_cluster((*path, "uses"), cluster):
        return mistake
    return CLUSTERS[cluster].terms.get(name) or unknown_term((*path, "uses"), cluster, name)


def _of_need(subject: CheckedProfile, term: Term, need: Need, path: Path) -> Iterator[Mistake]:
    if mistake := _of_access(term, need, path):
        yield mistake
        return
    for key, ways in _KEYS.items():
        if getattr(need, key) and need.access not in ways:
            allowed = "access: " + " or ".join(ways)
            yield Mistake((*path, key), f"has no meaning with access {need.access}", None, allowed)
    if need.access is Access.COMMAND and not need.by:
        yield Mistake(
            path, "nothing triggers the command", None, "by: the event or property that triggers it"
        )
    if not need.transports and not transports_of(subject.profile):
        message = "the device has no transport of its own; say how it reaches the other device"
        yield Mistake(path, message, None, "transports: [mqtt] or [coap]")
    for index, cause in enumerate(need.by):
        yield from _of_cause(subject, term, need, cause, (*path, "by", index))
    yield from _of_telling(subject, term, need, path)


def _of_access(term: Term, need: Need, path: Path) -> Mistake | None:
    where = (*path, "access")
    if need.access is Access.COMMAND:
        if term.kind is TermKind.EVENT:
            return Mistake(
                where, f"{term.path} is an event, which cannot be commanded", need.access, "follow"
            )
        if term.kind is TermKind.ATTRIBUTE and not term.writable:
            return Mistake(where, f"{term.path} cannot be set", need.access, "follow, read")
    elif term.kind is TermKind.COMMAND:
        return Mistake(where, f"{term.path} is a command, which reports nothing", need.access, "command")
    elif term.kind is TermKind.EVENT and need.access is Access.READ:
        return Mistake(where, f"{term.path} is an event, which cannot be read later", need.access, "follow")
    return None


def _of_cause(subject: CheckedProfile, term: Term, need: Need, cause: Cause, path: Path) -> Iterator[Mistake]:
    if (cause.property_ is None) == (cause.event is None):
        yield Mistake(path, "a cause names either a property or an event")
        return
    key, name = ("event", cause.event) if cause.event is not None else ("property", cause.property_)
    known = subject.names.events if key == "event" else subject.names.properties
    if mistake := unknown_name((*path, key), key, name or "", known):
        yield mistake
        return
    schema = schema_of_cause(subject.profile, cause)
    if cause.data is not None and schema is not None and cause.member is None:
        yield from wrong_value((*path, "data"), cause.data, schema)
    if cause.sends is not None:
        yield from _of_common((*path, "sends"), cause.sends, term)
    elif term.schema is not None and schema is None:
        message = f"has no value that could be sent as {term.path}"
        yield Mistake((*path, key), message, name, "sends: the value")
    elif term.schema is not None:
        yield from of_values(schema, term, need.values, path)


def _of_telling(subject: CheckedProfile, term: Term, need: Need, path: Path) -> Iterator[Mistake]:
    names = subject.names.properties
    if need.into is not None and (mistake := unknown_name((*path, "into"), "property", need.into, names)):
        yield mistake
    schema = schema_taken(subject.profile, need)
    if need.access is not Access.COMMAND and schema is not None:
        yield from of_values(schema, term, need.values, path)
    for index, reaction in enumerate(need.reactions):
        where = (*path, "reactions", index)
        yield from _of_reaction(term.schema, term, reaction, where)
        for place, condition in enumerate(reaction.then):
            yield from of_condition(subject, condition, (*where, "then", place))


def _of_reaction(schema: DataSchema | None, term: Term, reaction: Reaction, path: Path) -> Iterator[Mistake]:
    if not reaction.then:
        yield Mistake((*path, "then"), "has no outcome")
    if reaction.equals is not None:
        yield from _of_common((*path, "equals"), reaction.equals, term)
    for index, value in enumerate(reaction.one_of or ()):
        yield from _of_common((*path, "one_of", index), value, term)
    numbers = schema is not None and schema.type in ("integer", "number")
    for key, bound in (("above", reaction.above), ("below", reaction.below)):
        if bound is not None and not numbers:
            yield Mistake((*path, key), f"{term.path} has no numbers to compare", f"{bound:g}")


def _of_common(path: Path, value: Value, term: Term) -> Iterator[Mistake]:
    if term.schema is None:
        yield Mistake(path, f"{term.path} has no value", str(value))
    else:
        yield from wrong_value(path, value, term.schema)
