"""Whether what is told or commanded reaches the other one: transport, reliability, deadlines, trust."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from harness.model.bindings.mqtt import MqttBinding
from harness.model.capability import Access, SecurityLevel, Transport
from harness.model.semantics.mapping import (
    Needed,
    Offered,
)
from harness.prediction.candidate import Candidate
from harness.prediction.delivery.mqtt import (
    availability_clash,
    quality_clashes,
    retain_clashes,
    size_clash,
    version_clash,
)
from harness.prediction.delivery.timing import (
    deadline_clashes,
    sleep_clashes,
)
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


def delivery_clashes(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    """Everything about delivery over ``transport``, or over a bridge where that is None."""
    for aspect in ASPECTS:
        if transport in aspect.over:
            yield from aspect.clashes(meeting, transport)


def _transport_clashes(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    needed, offered = meeting.needed, meeting.offered
    wanted = _names(needed.transports)
    if not offered.transports or not needed.transports:
        yield Conflict(
            FindingKind.TRANSPORT,
            Severity.BLOCKS,
            f"{meeting.offerer.name} has no transport for {offered.term.path}; "
            f"{meeting.needer.name} speaks {wanted}",
            meeting.capability,
            (*meeting.need, "transports"),
            f"bind {'.'.join(map(str, meeting.affordance))} to {wanted}",
        )
        return
    yield Conflict(
        FindingKind.BRIDGE,
        Severity.DEGRADES,
        f"{meeting.offerer.name} has {offered.term.path} over {_names(offered.transports)}, "
        f"{meeting.needer.name} speaks {wanted}",
        ("bindings",),
        (*meeting.need, "transports"),
        f"a bridge between {wanted} and {_names(offered.transports)}, or a binding over {wanted}",
    )


def _names(transports: frozenset[Transport]) -> str:
    return " and ".join(sorted(each.value.upper().replace("COAP", "CoAP") for each in transports)) or "none"


def _observe_clash(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    coap = meeting.offerer.profile.bindings.coap
    assert coap is not None, "it is offered over CoAP"
    bound = coap.properties.get(meeting.offered.affordance)
    if meeting.needed.need.access is Access.FOLLOW and bound is not None and not bound.observe:
        yield Conflict(
            FindingKind.NOT_TOLD,
            Severity.BLOCKS,
            f"{meeting.needer.name} waits to be told of changes, {meeting.offerer.name} "
            "cannot be observed: it answers only when it is asked",
            (*meeting.binding(Transport.COAP), "observe"),
            (*meeting.need, "access"),
            f"observe: true at {meeting.offerer.name}, or polling (access: read)",
        )


def _discovery_clash(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    wanted = meeting.needed.need.discovery
    mdns = meeting.offerer.profile.bindings.mdns
    services = mdns.services if mdns is not None else ()
    if wanted is None or any(service.type == wanted for service in services):
        return
    announced = ", ".join(service.type for service in services) or "nothing"
    yield Conflict(
        FindingKind.DISCOVERY,
        Severity.BLOCKS,
        f"{meeting.needer.name} finds others by {wanted} only, {meeting.offerer.name} announces {announced}",
        ("bindings", "mdns", "services") if mdns is not None else ("bindings",),
        (*meeting.need, "discovery"),
        f"announce {wanted} at {meeting.offerer.name}, or an address typed in by hand",
    )


def _security_clashes(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    wanted, found = meeting.needed.need.security, meeting.offerer.security
    if found.rank < wanted.rank:
        yield Conflict(
            FindingKind.SECURITY,
            Severity.BLOCKS,
            f"{meeting.needer.name} refuses less than {_level(wanted)}, {meeting.offerer.name} has "
            f"{_level(found)}",
            ("ics",) if wanted is SecurityLevel.TLS else ("bindings", "mqtt", "login"),
            (*meeting.need, "security"),
            f"{_level(wanted)} at {meeting.offerer.name}",
        )
        return
    own = meeting.needer.security
    if own is found:
        return
    if transport is Transport.COAP and found is SecurityLevel.TLS:
        yield Conflict(
            FindingKind.SECURITY,
            Severity.BLOCKS,
            f"{meeting.offerer.name} talks over DTLS only, {meeting.needer.name} does not",
            ("ics",),
            ("ics",),
            f"DTLS at {meeting.needer.name}",
        )
    elif transport is Transport.MQTT:
        yield Conflict(
            FindingKind.SECURITY,
            Severity.NOTE,
            f"{meeting.offerer.name} connects with {_level(found)}, {meeting.needer.name} with {_level(own)}",
            ("bindings", "mqtt", "login"),
            ("bindings", "mqtt", "login"),
            "a broker that admits both; it protects no more than the weaker one does",
        )


def _level(level: SecurityLevel) -> str:
    return {SecurityLevel.OPEN: "no protection", SecurityLevel.LOGIN: "a login", SecurityLevel.TLS: "TLS"}[
        level
    ]


@dataclass(frozen=True, slots=True)
class Aspect:
    """One aspect of delivery, over the transports for which it matters (None: over a bridge).

    ``needs`` and ``offers`` are all that its clashes depend on, texts aside: so that among many devices each
    combination is looked at once. They take the device and its need, or what it offers.
    """

    clashes: Callable[[Candidate, Transport | None], Iterator[Conflict]]
    over: tuple[Transport | None, ...]
    needs: Callable[[Device, Needed], Hashable]
    offers: Callable[[Device, Offered], Hashable]


_MQTT = (Transport.MQTT,)
_COAP = (Transport.COAP,)
_ANY = (*Transport, None)


def _mqtt_of(device: Device) -> MqttBinding | None:
    return device.profile.bindings.mqtt


def _told_over_mqtt(device: Device, offered: Offered) -> Hashable:
    mqtt = _mqtt_of(device)
    if mqtt is None:
        return None
    name, there = offered.affordance, mqtt.availability
    if offered.offer.availability and there is not None:
        return there.qos, there.retain
    if name in mqtt.properties:
        bound = mqtt.properties[name]
        return bound.qos, bound.command_qos, bound.retain
    if name in mqtt.actions:
        return ("action", mqtt.actions[name].command_qos)
    return ("event", mqtt.events[name].qos, mqtt.events[name].retain) if name in mqtt.events else None


def _told_over_coap(device: Device, offered: Offered) -> Hashable:
    coap = device.profile.bindings.coap
    bound = coap.properties.get(offered.affordance) if coap is not None else None
    return bound.observe if bound is not None else None


def _slept(device: Device) -> Hashable:
    mqtt = _mqtt_of(device)
    if mqtt is None:
        return None
    return mqtt.clean_session, mqtt.sleep.wakes_every if mqtt.sleep is not None else "never asleep"


def _longest(needed: Needed) -> Hashable:
    schemas = (each.schema for each in needed.sendings if each.cause.sends is None)
    return max((each.max_length or 0 for each in schemas if each is not None), default=0)


def _promised(device: Device, offered: Offered) -> Hashable:
    behaviour, own = device.profile.behaviour, offered.offer.property_
    settles = device.profile.settle(own) if own is not None else behaviour.settle
    return settles, behaviour.report_local, device.told_every, offered.term.kind


def _announced(device: Device, _: Offered) -> Hashable:
    mdns = device.profile.bindings.mdns
    return frozenset(service.type for service in mdns.services) if mdns is not None else None


ASPECTS = (
    Aspect(
        _transport_clashes,
        (None,),
        lambda _, needed: needed.transports,
        lambda _, offered: offered.transports,
    ),
    Aspect(
        version_clash,
        _MQTT,
        lambda device, _: mqtt.version if (mqtt := _mqtt_of(device)) is not None else None,
        lambda device, _: mqtt.version if (mqtt := _mqtt_of(device)) is not None else None,
    ),
    Aspect(quality_clashes, _MQTT, lambda _, needed: (needed.need.qos, needed.commands), _told_over_mqtt),
    Aspect(
        retain_clashes,
        _MQTT,
        lambda _, needed: (needed.need.access, needed.need.retained),
        lambda device, offered: (
            _told_over_mqtt(device, offered),
            device.told_every is None,
            getattr(getattr(_mqtt_of(device), "availability", None), "retain", None),
        ),
    ),
    Aspect(
        availability_clash,
        _MQTT,
        lambda _, needed: needed.need.availability,
        lambda device, _: getattr(_mqtt_of(device), "availability", None) is None,
    ),
    Aspect(
        size_clash,
        _MQTT,
        lambda _, needed: _longest(needed),
        lambda device, _: getattr(_mqtt_of(device), "maximum_payload", None),
    ),
    Aspect(_observe_clash, _COAP, lambda _, needed: needed.need.access, _told_over_coap),
    Aspect(
        deadline_clashes,
        _ANY,
        lambda _, needed: (needed.need.access, needed.need.within, needed.need.every),
        _promised,
    ),
    Aspect(
        sleep_clashes,
        (Transport.MQTT, None),
        lambda device, needed: (needed.need.access, needed.need.within, _slept(device)),
        lambda device, offered: (_slept(device), offered.term.kind),
    ),
    Aspect(_discovery_clash, _ANY, lambda _, needed: needed.need.discovery, _announced),
    Aspect(
        _security_clashes,
        _ANY,
        lambda device, needed: (device.security, needed.need.security),
        lambda device, _: device.security,
    ),
)
"""All aspects of delivery; adding one here is all that it takes."""
