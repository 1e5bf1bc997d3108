"""The two ends of a binding: their addresses, the conversion, and the deadline."""

from __future__ import annotations

from harness.model.capability import CapabilityTransport, Need
from harness.model.profile import Profile
from harness.model.rule import Condition
from harness.model.vocabulary import TermKind
from harness.prediction.candidate import Candidate
from harness.prediction.findings import (
    UNCHANGED,
    AffordanceKind,
    BindingEnd,
    Flow,
    PairLink,
    ValueConversion,
    Via,
)
from harness.prediction.routes import RoutePart


def link_of(candidate: Candidate, part: RoutePart, transport: CapabilityTransport | None) -> PairLink:
    """The binding of one part of a need over ``transport``, or over a bridge where that is None."""
    here = transport or _first(candidate.needed.transports)
    there = transport or _first(part.offered.transports)
    offered = _offered_end(candidate, part, there)
    commands = candidate.commands
    own = _causing_end(candidate, part, here) if commands else _following_end(candidate, here)
    conversion = part.fit.conversion
    return PairLink(
        need=candidate.needed.name,
        capability=part.offered.key,
        term=part.offered.term.path,
        flow=_flow(part),
        source=own if commands else offered,
        target=offered if commands else own,
        via=_via(transport, conversion),
        within=_within(candidate, part),
        when=part.when,
        conversion=UNCHANGED if conversion.is_identity else conversion,
    )


def _first(transports: frozenset[CapabilityTransport]) -> CapabilityTransport:
    return next((each for each in CapabilityTransport if each in transports), CapabilityTransport.MQTT)


def _flow(part: RoutePart) -> Flow:
    if part.source and part.source[2:3] == ("by",):
        return Flow.COMMAND
    return Flow.EVENT if part.offered.term.kind is TermKind.EVENT else Flow.STATE


def _via(transport: CapabilityTransport | None, conversion: ValueConversion) -> Via:
    if transport is None:
        return Via.BRIDGE
    return Via.DIRECT if conversion.is_identity else Via.TRANSLATED


def _within(candidate: Candidate, part: RoutePart) -> float:
    """The deadline in seconds from the need, or from the profiles where the need sets none."""
    need, offerer = candidate.needed.need, candidate.offerer.profile
    if candidate.commands:
        promised = offerer.settle(part.offered.offer.property_ or "")
        return promised if need.within is None else need.within
    reported = offerer.behaviour.report_local if need.within is None else need.within
    return reported + _reaction_time(need, candidate.needer.profile)


def _reaction_time(need: Need, needer: Profile) -> float:
    given = [each.within for each in need.reactions if each.within is not None]
    return max(given, default=needer.behaviour.settle)


def _offered_end(candidate: Candidate, part: RoutePart, transport: CapabilityTransport) -> BindingEnd:
    profile, offer = candidate.offerer.profile, part.offered.offer
    mqtt = profile.bindings.mqtt
    if offer.availability and mqtt is not None and mqtt.availability is not None:
        there = mqtt.availability
        return BindingEnd(
            profile.profile,
            AffordanceKind.PROPERTY,
            "",
            transport,
            there.topic,
            qos=there.qos,
            retain=there.retain,
        )
    kind = (
        AffordanceKind.PROPERTY
        if offer.property_ is not None
        else AffordanceKind.ACTION
        if offer.action is not None
        else AffordanceKind.EVENT
    )
    return _end(profile, kind, part.offered.affordance, transport, commanded=candidate.commands)


def _causing_end(candidate: Candidate, part: RoutePart, transport: CapabilityTransport) -> BindingEnd:
    cause = candidate.needed.sendings[part.index].cause
    kind = AffordanceKind.EVENT if cause.event is not None else AffordanceKind.PROPERTY
    name = cause.event or cause.property_ or ""
    return _end(candidate.needer.profile, kind, name, transport, commanded=False)


def _following_end(candidate: Candidate, transport: CapabilityTransport) -> BindingEnd:
    need = candidate.needed.need
    if need.into is not None:
        kind, name = AffordanceKind.PROPERTY, need.into
    else:
        kind, name = _effect(need)
    return _end(candidate.needer.profile, kind, name, transport, commanded=True)


def _effect(need: Need) -> tuple[AffordanceKind, str]:
    """The visible effect of a report at the needer; an empty name where there is none."""
    conditions: list[Condition] = [each for reaction in need.reactions for each in reaction.then]
    if not conditions:
        return AffordanceKind.PROPERTY, ""
    first = conditions[0]
    if first.property_ is not None:
        return AffordanceKind.PROPERTY, first.property_
    if first.event is not None:
        return AffordanceKind.EVENT, first.event
    return AffordanceKind.ACTION, first.action or ""


def _end(
    profile: Profile, kind: AffordanceKind, name: str, transport: CapabilityTransport, *, commanded: bool
) -> BindingEnd:
    """An affordance of a device, at the address for its commands or for its reports."""
    if transport is CapabilityTransport.COAP:
        return _coap_end(profile, kind, name)
    mqtt = profile.bindings.mqtt
    address: str | None = None
    member: str | None = None
    qos: int | None = None
    retain: bool | None = None
    if mqtt is not None and kind is AffordanceKind.PROPERTY and name in mqtt.properties:
        bound = mqtt.properties[name]
        address = bound.command if commanded else bound.state
        member = bound.command_member if commanded else bound.member
        qos, retain = (bound.command_qos, False) if commanded else (bound.qos, bound.retain)
    elif mqtt is not None and kind is AffordanceKind.ACTION and name in mqtt.actions:
        address, qos, retain = mqtt.actions[name].command, mqtt.actions[name].command_qos, False
    elif mqtt is not None and kind is AffordanceKind.EVENT and name in mqtt.events:
        event = mqtt.events[name]
        address, member, qos, retain = event.topic, event.member, event.qos, event.retain
    return BindingEnd(profile.profile, kind, name, transport, address, member, qos, retain)


def _coap_end(profile: Profile, kind: AffordanceKind, name: str) -> BindingEnd:
    coap = profile.bindings.coap
    address: str | None = None
    member: str | None = None
    if coap is not None and kind is AffordanceKind.PROPERTY and name in coap.properties:
        address, member = coap.properties[name].path, coap.properties[name].member
    elif coap is not None and kind is AffordanceKind.ACTION and name in coap.actions:
        address = coap.actions[name].path
    elif coap is not None and kind is AffordanceKind.EVENT and name in coap.events:
        address = coap.events[name].path
    return BindingEnd(profile.profile, kind, name, CapabilityTransport.COAP, address, member)
