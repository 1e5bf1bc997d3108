"""Capabilities: whether their terms exist, and whether the affordances can stand for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.capability import LABELLED, Offer
from harness.model.consistency.mistake import CheckedProfile, Mistake, shown, unknown_name, wrong_value
from harness.model.problems import Path
from harness.model.profile import Profile
from harness.model.schema import DataSchema, DataType
from harness.model.semantics.mapping import (
    Translation,
    as_list,
    schema_of_offer,
    split_label,
)
from harness.model.semantics.quantities import (
    conversion,
    is_unit,
)
from harness.model.vocabulary import CLUSTERS, Term, TermKind
from harness.registry import near_names

_NUMBERS = (DataType.INTEGER, DataType.NUMBER)


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in what the device offers."""
    for key, offers in subject.profile.capabilities.items():
        path: Path = ("capabilities", key)
        if not LABELLED.fullmatch(key):
            yield Mistake(path, "is not a cluster with an optional label", key, "such as OnOff or OnOff/left")
            continue
        cluster, _ = split_label(key)
        if mistake := unknown_cluster(path, cluster):
            yield mistake
            continue
        for name, offer in offers.items():
            term = CLUSTERS[cluster].terms.get(name)
            if term is None:
                yield unknown_term((*path, name), cluster, name)
            else:
                yield from _of_offer(subject, term, offer, (*path, name))


def unknown_cluster(path: Path, name: str) -> Mistake | None:
    """The mistake if the vocabulary has no such cluster, else None."""
    if name in CLUSTERS:
        return None
    near = near_names(name, CLUSTERS) or sorted(CLUSTERS)
    return Mistake(path, "is not a cluster of the vocabulary", name, ", ".join(near))


def unknown_term(path: Path, cluster: str, name: str) -> Mistake:
    """The mistake if the cluster has no such term."""
    terms = CLUSTERS[cluster].terms
    near = near_names(name, terms) or sorted(terms)
    return Mistake(path, f"is not a term of the cluster {cluster}", name, ", ".join(near))


def _of_offer(subject: CheckedProfile, term: Term, offer: Offer, path: Path) -> Iterator[Mistake]:
    names = subject.names
    sources = (
        ("property", offer.property_, names.properties, TermKind.ATTRIBUTE),
        ("action", offer.action, names.actions, TermKind.COMMAND),
        ("event", offer.event, names.events, TermKind.EVENT),
    )
    if sum(name is not None for _, name, _, _ in sources) + offer.availability != 1:
        yield Mistake(path, "needs exactly one property, action or event", None, _wanted(term))
        return
    if offer.availability:
        yield from _of_availability(subject.profile, term, path)
        return
    for key, name, known, kind in sources:
        if name is None:
            continue
        if term.kind is not kind:
            yield Mistake((*path, key), f"{term.path} is {_a(term.kind)}", key, _wanted(term))
        elif mistake := unknown_name((*path, key), key, name, known):
            yield mistake
        else:
            yield from _of_schema(subject.profile, term, offer, path)
    if offer.data is not None and offer.event is None:
        yield Mistake((*path, "data"), "only an event has data")


def _of_availability(profile: Profile, term: Term, path: Path) -> Iterator[Mistake]:
    mqtt = profile.bindings.mqtt
    if term.path != "BasicInformation.Reachable":
        yield Mistake((*path, "availability"), "can only stand for BasicInformation.Reachable")
    elif mqtt is None or mqtt.availability is None:
        message = "the profile has no availability topic"
        yield Mistake((*path, "availability"), message, None, "bindings.mqtt.availability")


def _of_schema(profile: Profile, term: Term, offer: Offer, path: Path) -> Iterator[Mistake]:
    schema = schema_of_offer(profile, offer)
    if offer.member is not None and schema is None:
        yield Mistake((*path, "member"), "is not a member", offer.member)
    if offer.event is not None and offer.data is not None and schema is not None:
        for value in as_list(offer.data):
            yield from wrong_value((*path, "data"), value, schema)
    if isinstance(schema, Property) and schema.write_only and not term.writable:
        yield Mistake((*path, "property"), "is writeOnly, so it reports nothing", offer.property_)
    if offer.data is None or term.schema is not None:
        yield from of_values(schema, term, offer.values, path)


def of_values(
    schema: DataSchema | None, term: Term, names: Mapping[str, Value] | None, path: Path
) -> Iterator[Mistake]:
    """Mistakes in the translation between values of ``schema`` and those of the term."""
    common = term.schema
    if names is not None:
        if schema is None or common is None:
            yield Mistake((*path, "values"), f"nothing to translate: {term.path} has no values")
        else:
            yield from _of_names(schema, common, names, (*path, "values"))
    elif schema is not None and common is not None:
        yield from _untranslated(schema, common, term, path)


def _of_names(
    schema: DataSchema, common: DataSchema, names: Mapping[str, Value], path: Path
) -> Iterator[Mistake]:
    translation = Translation(schema, common, names)
    for name, meant in names.items():
        legal = common.enum or ((True, False) if common.type is DataType.BOOLEAN else None)
        words = [shown(value) for value in legal] if legal is not None else None
        if words is not None and name not in words:
            near = near_names(name, words) or words
            yield Mistake((*path, name), "is not a value of the term", name, ", ".join(near))
            continue
        if common.type in _NUMBERS and not _is_number(name):
            yield Mistake((*path, name), "is not a number, but the values of the term are", name)
            continue
        for value in as_list(meant):
            yield from wrong_value((*path, name), value, schema)
            if shown(translation.to_common(value)) != name and common.type not in _NUMBERS:
                message = f"already stands for {shown(translation.to_common(value))}"
                yield Mistake((*path, name), message, shown(value))


def _untranslated(schema: DataSchema, common: DataSchema, term: Term, path: Path) -> Iterator[Mistake]:
    if (schema.type in _NUMBERS) != (common.type in _NUMBERS) or (schema.type is DataType.BOOLEAN) != (
        common.type is DataType.BOOLEAN
    ):
        message = f"{term.path} has values of type {common.type}; map them with values"
        yield Mistake(path, message, str(schema.type), "values")
    elif common.enum is not None:
        strange = [value for value in schema.enum or () if value not in common.enum]
        if strange or schema.enum is None:
            found = ", ".join(map(shown, strange)) or "any text"
            allowed = "values that map to " + ", ".join(map(shown, common.enum))
            yield Mistake(path, f"is not a value of {term.path}", found, allowed)
    elif schema.unit is not None and not is_unit(schema.unit):
        return  # reported elsewhere
    elif schema.type in _NUMBERS and conversion(schema.unit, common.unit) is None:
        message = f"does not convert to the unit of {term.path}"
        yield Mistake(path, message, schema.unit or "no unit", common.unit or "no unit")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _a(kind: TermKind) -> str:
    return f"an {kind}" if kind[0] in "ae" else f"a {kind}"


def _wanted(term: Term) -> str:
    key = {TermKind.ATTRIBUTE: "property", TermKind.COMMAND: "action", TermKind.EVENT: "event"}[term.kind]
    return f"{key}: the one that stands for {term.path}"
