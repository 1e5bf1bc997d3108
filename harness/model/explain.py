"""A profile as readable text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.bindings import Bindings
from harness.model.bindings.coap import CoapBinding
from harness.model.bindings.mdns import MdnsBinding
from harness.model.bindings.mqtt import MqttBinding
from harness.model.capability import Access, Cause, Reaction, SecurityLevel
from harness.model.ics import ics_of, known_ics
from harness.model.profile import Control, Effect, Profile
from harness.model.ratings import Span
from harness.model.rule import Condition, Rule, RuleKind
from harness.model.schema import DataSchema
from harness.model.semantics.mapping import (
    Needed,
    Offered,
    as_list,
    needed,
    offered,
)
from harness.model.vocabulary import Term


def describe(profile: Profile) -> str:
    """Affordances, bindings, rules and ICS items of a profile as text, without a last newline."""
    sections = (
        ("Capabilities", [_offer(offer) for offer in offered(profile)]),
        ("Needs", [_need(need) for need in needed(profile)]),
        ("Ratings", list(_ratings(profile))),
        ("Properties", [_property(name, schema) for name, schema in profile.properties.items()]),
        ("Actions", [_titled(name, action.title) for name, action in profile.actions.items()]),
        ("Events", [_event(name, event.title, event.data) for name, event in profile.events.items()]),
        ("Controls", [_control(name, control) for name, control in profile.controls.items()]),
        *_bindings(profile.bindings),
        ("Deadlines", list(_deadlines(profile))),
        ("Rules", [_rule(rule) for rule in profile.behaviour.rules]),
        ("ICS items", [f"{item}: {known_ics()[item]}" for item in sorted(ics_of(profile))]),
    )
    lines = list(_head(profile))
    for title, entries in sections:
        if entries:
            lines += ["", title, *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def _head(profile: Profile) -> Iterator[str]:
    yield f"{profile.title} ({profile.profile} {profile.version}, {profile.category})"
    if profile.description:
        yield profile.description
    made = (profile.manufacturer, profile.model, profile.firmware and f"firmware {profile.firmware}")
    if any(made):
        yield " ".join(part for part in made if part)
    yield f"unit {profile.unit}"


def _titled(name: str, title: str | None) -> str:
    return f"{name}: {title}" if title else name


def _schema(schema: DataSchema) -> str:
    if schema.enum is not None:
        return "one of " + ", ".join(map(_shown, schema.enum))
    text = str(schema.type)
    if schema.minimum is not None and schema.maximum is not None:
        text += f" {schema.minimum:g} to {schema.maximum:g}"
    elif schema.minimum is not None:
        text += f" from {schema.minimum:g}"
    elif schema.maximum is not None:
        text += f" up to {schema.maximum:g}"
    text += f" {schema.unit}" if schema.unit else ""
    return text + (f" in steps of {schema.multiple_of:g}" if schema.multiple_of is not None else "")


def _property(name: str, schema: Property) -> str:
    about = [_schema(schema), "read-only" if schema.read_only else "writable"]
    if schema.counter:
        about.append("counter")
    if schema.default is not None:
        about.append(f"at first {_shown(schema.default)}")
    return f"{_titled(name, schema.title)} ({', '.join(about)})"


def _event(name: str, title: str | None, data: DataSchema | None) -> str:
    return _titled(name, title) + (f" (reports {_schema(data)})" if data is not None else "")


def _control(name: str, control: Control) -> str:
    text = f"{_titled(name, control.title)} ({', '.join(map(_effect, control.effects))}"
    if control.unless:
        text += f", unless {_all(control.unless)}"
    return text + ")"


def _effect(effect: Effect) -> str:
    if effect.event is not None:
        return f"event {effect.event}" + (f" with {_shown(effect.data)}" if effect.data is not None else "")
    return (
        f"toggles {effect.property_}"
        if effect.toggle
        else f"{effect.property_} becomes {_shown(effect.value)}"
    )


def _offer(found: Offered) -> str:
    offer = found.offer
    text = f"{_labelled(found.term, found.label)}: {found.affordance or 'availability topic'}"
    if offer.member is not None:
        text += f" member {offer.member}"
    if offer.data is not None:
        text += f" with {' or '.join(map(_shown, as_list(offer.data)))}"
    if offer.values is not None:
        text += f" ({_names(offer.values)})"
    return text + (", can be set" if found.writable and found.term.writable else "")


def _need(found: Needed) -> str:
    need = found.need
    text = f"{_titled(found.name, need.title)}: {_ACCESS[need.access]} {_labelled(found.term, found.label)}"
    about = [_cause(cause) for cause in need.by]
    about += [f"becomes {need.into}"] if need.into is not None else []
    about += [f"takes {_schema(need.takes)}"] if need.takes is not None else []
    about += [_reaction(reaction) for reaction in need.reactions]
    about += [_names(need.values)] if need.values is not None else []
    about += [f"over {' or '.join(need.transports)}"] if need.transports else []
    about += [f"within {need.within:g} s"] if need.within is not None else []
    about += [f"at least every {need.every:g} s"] if need.every is not None else []
    about += [f"QoS {need.qos} at least"] if need.qos else []
    about += ["retained"] if need.retained else []
    about += ["with availability"] if need.availability else []
    about += [f"found by {need.discovery}"] if need.discovery is not None else []
    about += [f"security {need.security} at least"] if need.security is not SecurityLevel.OPEN else []
    about += ["optional"] if need.optional else []
    return f"{text} ({'; '.join(about)})" if about else text


_ACCESS = {Access.COMMAND: "commands", Access.FOLLOW: "follows", Access.READ: "reads"}


def _labelled(term: Term, label: str | None) -> str:
    return f"{term.cluster}/{label}.{term.name}" if label is not None else term.path


def _names(values: Mapping[str, Value]) -> str:
    return ", ".join(
        f"{name} is {' or '.join(map(_shown, as_list(meant)))}" for name, meant in values.items()
    )


def _cause(cause: Cause) -> str:
    text = f"on {cause.event or cause.property_}"
    if cause.data is not None:
        text += f" with {_shown(cause.data)}"
    sent = f"member {cause.member}" if cause.member is not None else "its value"
    return f"{text} sends {_shown(cause.sends) if cause.sends is not None else sent}"


def _reaction(reaction: Reaction) -> str:
    tests = [f"is {_shown(reaction.equals)}"] if reaction.equals is not None else []
    tests += [f"is one of {', '.join(map(_shown, reaction.one_of))}"] if reaction.one_of is not None else []
    tests += [f"is above {reaction.above:g}"] if reaction.above is not None else []
    tests += [f"is below {reaction.below:g}"] if reaction.below is not None else []
    text = (
        f"when the value {' and '.join(tests)}, then {_all(reaction.then)}"
        if tests
        else f"then {_all(reaction.then)}"
    )
    return text + (f" within {reaction.within:g} s" if reaction.within is not None else "")


def _ratings(profile: Profile) -> Iterator[str]:
    for verb, ratings in (("draws", profile.ratings.draws), ("supplies", profile.ratings.supplies)):
        for rating in ratings:
            text = f"{verb} {_span(rating.voltage)} V"
            text += f", {_span(rating.frequency)} Hz" if rating.frequency is not None else " direct current"
            text += f", {rating.phases} phases" if rating.phases > 1 else ""
            text += f", up to {rating.current:g} A"
            text += f", {rating.power:g} W" if rating.power is not None else ""
            yield f"{text} ({rating.connector}{', earthed' if rating.earthed else ''})"


def _span(span: Span) -> str:
    return f"{span.minimum:g}" if span.minimum == span.maximum else f"{span.minimum:g} to {span.maximum:g}"


def _bindings(bindings: Bindings) -> Iterator[tuple[str, list[str]]]:
    if bindings.mqtt is not None:
        yield f"MQTT {bindings.mqtt.version}", list(_mqtt(bindings.mqtt))
    if bindings.coap is not None:
        yield f"CoAP, port {bindings.coap.port}", list(_coap(bindings.coap))
    if bindings.mdns is not None:
        yield f"mDNS, {bindings.mdns.host}.local", list(_mdns(bindings.mdns))


def _mqtt(mqtt: MqttBinding) -> Iterator[str]:
    session = "clean session" if mqtt.clean_session else "persistent session"
    yield f"client {mqtt.client_id}, keep-alive {mqtt.keep_alive} s, {session}, all below {mqtt.base}"
    if (there := mqtt.availability) is not None:
        payloads = f"{there.online}, {there.offline}"
        yield f"availability: {there.topic} ({payloads}; {_flags(there.qos, there.retain)})"
    if mqtt.sleep is not None:
        every = f", wakes every {mqtt.sleep.wakes_every:g} s" if mqtt.sleep.wakes_every is not None else ""
        yield f"sleeps {mqtt.sleep.awake:g} s after its last report{every}"
    for name, bound in mqtt.properties.items():
        text = f"{name}: {_member(bound.state, bound.member)} ({_flags(bound.qos, bound.retain)})"
        if bound.command is not None:
            text += f", commanded at {_member(bound.command, bound.command_member)} (QoS {bound.command_qos})"
        yield text
    for name, action in mqtt.actions.items():
        yield f"{name}: invoked at {action.command} (QoS {action.command_qos})"
    for name, event in mqtt.events.items():
        yield f"{name}: reported at {_member(event.topic, event.member)} ({_flags(event.qos, event.retain)})"


def _member(topic: str, member: str | None) -> str:
    return f"{topic} member {member}" if member is not None else topic


def _flags(qos: int, retain: bool) -> str:
    return f"QoS {qos}, retained" if retain else f"QoS {qos}"


def _coap(coap: CoapBinding) -> Iterator[str]:
    for name, bound in coap.properties.items():
        observable = ", observable" if bound.observe else ""
        yield f"{name}: {_member(bound.path, bound.member)} ({bound.format}{observable})"
    for name, action in coap.actions.items():
        yield f"{name}: invoked at {action.path} ({action.format})"
    for name, event in coap.events.items():
        yield f"{name}: reported at {event.path} ({event.format}, observable)"
    for resource in coap.resources:
        about = f"{resource.format}, {resource.size} bytes"
        if resource.takes:
            about += f", takes {resource.takes:g} s"
        yield f"{resource.path}: {resource.title or 'resource'} ({about})"


def _mdns(mdns: MdnsBinding) -> Iterator[str]:
    for service in mdns.services:
        txt = " ".join(f"{key}={value}" for key, value in service.txt.items())
        name = f"{service.instance}.{service.type}.local"
        yield f"{name}, port {service.port} ({service.speaks}) {txt}".rstrip()


def _deadlines(profile: Profile) -> Iterator[str]:
    behaviour = profile.behaviour
    yield f"{behaviour.settle:g} s from a command to the report of the new state"
    yield f"{behaviour.report_local:g} s from a local change to its report"
    yield f"{behaviour.boot:g} s from power-on to being ready"
    if profile.bindings.mqtt is not None:
        yield f"{behaviour.reconnect:g} s from the broker's return to being ready again"
    if behaviour.heartbeat is not None:
        yield f"{behaviour.heartbeat:g} s between two reports of a state, changed or not"


def _rule(rule: Rule) -> str:
    return f"{rule.id}: {rule_text(rule)}"


def rule_text(rule: Rule) -> str:
    """A rule as one sentence."""
    if rule.kind is RuleKind.REFUSAL:
        return f"while {_all(rule.while_)}, the device refuses that {_all(rule.refuse)}"
    if rule.kind is RuleKind.INVARIANT:
        return f"while {_all(rule.while_)}, {_all(rule.then)}, within {rule.within:g} s"
    lasting = f" for {rule.for_:g} s" if rule.for_ else ""
    holds = f", and stays so for {rule.holds:g} s" if rule.holds else ""
    return f"when {_all(rule.when)}{lasting}, then {_all(rule.then)} within {rule.within:g} s{holds}"


def _all(conditions: tuple[Condition, ...]) -> str:
    return " and ".join(map(str, conditions))


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
