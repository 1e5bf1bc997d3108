"""Whether reports and commands reach the other device: transport, reliability, deadlines, security."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from harness.model.bindings.mqtt import MqttBinding
from harness.model.capability import Access, CapabilityTransport, SecurityLevel
from harness.model.semantics.mapping import (
    Needed,
    Offered,
)
from harness.prediction.candidate import Candidate
from harness.prediction.delivery.mqtt import (
    availability_conflict,
    quality_conflicts,
    retain_conflicts,
    size_conflict,
    version_conflict,
)
from harness.prediction.delivery.timing import (
    deadline_conflicts,
    sleep_conflicts,
)
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


def delivery_conflicts(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    """All conflicts of delivery over ``transport``, or over a bridge where that is None."""
    for aspect in ASPECTS:
        if transport in aspect.over:
            yield from aspect.conflicts(candidate, transport)


def _transport_conflicts(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    needed, offered = candidate.needed, candidate.offered
    wanted = _names(needed.transports)
    if not offered.transports or not needed.transports:
        yield Conflict(
            FindingKind.TRANSPORT,
            Severity.BLOCKS,
            f"{candidate.offerer.name} has no transport for {offered.term.path}; "
            f"{candidate.needer.name} uses {wanted}",
            candidate.capability,
            (*candidate.need, "transports"),
            f"bind {'.'.join(map(str, candidate.affordance))} to {wanted}",
        )
        return
    yield Conflict(
        FindingKind.BRIDGE,
        Severity.DEGRADES,
        f"{candidate.offerer.name} offers {offered.term.path} over {_names(offered.transports)}, "
        f"{candidate.needer.name} uses {wanted}",
        ("bindings",),
        (*candidate.need, "transports"),
        f"a bridge between {wanted} and {_names(offered.transports)}, or a binding over {wanted}",
    )


def _names(transports: frozenset[CapabilityTransport]) -> str:
    return " and ".join(sorted(each.value.upper().replace("COAP", "CoAP") for each in transports)) or "none"


def _observe_conflict(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    coap = candidate.offerer.profile.bindings.coap
    assert coap is not None, "it is offered over CoAP"
    bound = coap.properties.get(candidate.offered.affordance)
    if candidate.needed.need.access is Access.FOLLOW and bound is not None and not bound.observe:
        yield Conflict(
            FindingKind.NOT_TOLD,
            Severity.BLOCKS,
            f"{candidate.needer.name} waits for reports of changes, {candidate.offerer.name} "
            "cannot be observed: it only answers requests",
            (*candidate.binding(CapabilityTransport.COAP), "observe"),
            (*candidate.need, "access"),
            f"observe: true at {candidate.offerer.name}, or polling (access: read)",
        )


def _discovery_conflict(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    wanted = candidate.needed.need.discovery
    mdns = candidate.offerer.profile.bindings.mdns
    services = mdns.services if mdns is not None else ()
    if wanted is None or any(service.type == wanted for service in services):
        return
    announced = ", ".join(service.type for service in services) or "nothing"
    yield Conflict(
        FindingKind.DISCOVERY,
        Severity.BLOCKS,
        f"{candidate.needer.name} discovers devices by {wanted} only, {candidate.offerer.name} announces "
        f"{announced}",
        ("bindings", "mdns", "services") if mdns is not None else ("bindings",),
        (*candidate.need, "discovery"),
        f"announce {wanted} at {candidate.offerer.name}, or configure the address by hand",
    )


def _security_conflicts(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    wanted, found = candidate.needed.need.security, candidate.offerer.security
    if found.rank < wanted.rank:
        yield Conflict(
            FindingKind.SECURITY,
            Severity.BLOCKS,
            f"{candidate.needer.name} requires at least {_level(wanted)}, {candidate.offerer.name} has "
            f"{_level(found)}",
            ("ics",) if wanted is SecurityLevel.TLS else ("bindings", "mqtt", "login"),
            (*candidate.need, "security"),
            f"{_level(wanted)} at {candidate.offerer.name}",
        )
        return
    own = candidate.needer.security
    if own is found:
        return
    if transport is CapabilityTransport.COAP and found is SecurityLevel.TLS:
        yield Conflict(
            FindingKind.SECURITY,
            Severity.BLOCKS,
            f"{candidate.offerer.name} requires DTLS, {candidate.needer.name} does not support it",
            ("ics",),
            ("ics",),
            f"DTLS at {candidate.needer.name}",
        )
    elif transport is CapabilityTransport.MQTT:
        yield Conflict(
            FindingKind.SECURITY,
            Severity.NOTE,
            f"{candidate.offerer.name} connects with {_level(found)}, {candidate.needer.name} with "
            f"{_level(own)}",
            ("bindings", "mqtt", "login"),
            ("bindings", "mqtt", "login"),
            "a broker that accepts both; the traffic is protected only as well as the weaker one",
        )


def _level(level: SecurityLevel) -> str:
    return {SecurityLevel.OPEN: "no protection", SecurityLevel.LOGIN: "a login", SecurityLevel.TLS: "TLS"}[
        level
    ]


@dataclass(frozen=True, slots=True)
class DeliveryAspect:
    """One aspect of delivery, and the transports that it concerns (None: over a bridge).

    ``needs`` and ``offers`` return everything that its conflicts depend on, apart from texts, so that among
    many devices each combination is compared once. They take the device and its need, or its offer.
    """

    conflicts: Callable[[Candidate, CapabilityTransport | None], Iterator[Conflict]]
    over: tuple[CapabilityTransport | None, ...]
    needs: Callable[[Device, Needed], Hashable]
    offers: Callable[[Device, Offered], Hashable]


_MQTT = (CapabilityTransport.MQTT,)
_COAP = (CapabilityTransport.COAP,)
_ANY = (*CapabilityTransport, None)


def _mqtt_of(device: Device) -> MqttBinding | None:
    return device.profile.bindings.mqtt


def _delivery_over_mqtt(device: Device, offered: Offered) -> Hashable:
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


def _delivery_over_coap(device: Device, offered: Offered) -> Hashable:
    coap = device.profile.bindings.coap
    bound = coap.properties.get(offered.affordance) if coap is not None else None
    return bound.observe if bound is not None else None


def _slept(device: Device) -> Hashable:
    mqtt = _mqtt_of(device)
    if mqtt is None:
        return None
    return mqtt.clean_session, mqtt.sleep.wakes_every if mqtt.sleep is not None else "does not sleep"


def _longest(needed: Needed) -> Hashable:
    schemas = (each.schema for each in needed.sendings if each.cause.sends is None)
    return max((each.max_length or 0 for each in schemas if each is not None), default=0)


def _promised(device: Device, offered: Offered) -> Hashable:
    behaviour, own = device.profile.behaviour, offered.offer.property_
    settles = device.profile.settle(own) if own is not None else behaviour.settle
    return settles, behaviour.report_local, device.reports_every, offered.term.kind


def _announced(device: Device, _: Offered) -> Hashable:
    mdns = device.profile.bindings.mdns
    return frozenset(service.type for service in mdns.services) if mdns is not None else None


ASPECTS = (
    DeliveryAspect(
        _transport_conflicts,
        (None,),
        lambda _, needed: needed.transports,
        lambda _, offered: offered.transports,
    ),
    DeliveryAspect(
        version_conflict,
        _MQTT,
        lambda device, _: mqtt.version if (mqtt := _mqtt_of(device)) is not None else None,
        lambda device, _: mqtt.version if (mqtt := _mqtt_of(device)) is not None else None,
    ),
    DeliveryAspect(
        quality_conflicts, _MQTT, lambda _, needed: (needed.need.qos, needed.commands), _delivery_over_mqtt
    ),
    DeliveryAspect(
        retain_conflicts,
        _MQTT,
        lambda _, needed: (needed.need.access, needed.need.retained),
        lambda device, offered: (
            _delivery_over_mqtt(device, offered),
            device.reports_every is None,
            getattr(getattr(_mqtt_of(device), "availability", None), "retain", None),
        ),
    ),
    DeliveryAspect(
        availability_conflict,
        _MQTT,
        lambda _, needed: needed.need.availability,
        lambda device, _: getattr(_mqtt_of(device), "availability", None) is None,
    ),
    DeliveryAspect(
        size_conflict,
        _MQTT,
        lambda _, needed: _longest(needed),
        lambda device, _: getattr(_mqtt_of(device), "maximum_payload", None),
    ),
    DeliveryAspect(_observe_conflict, _COAP, lambda _, needed: needed.need.access, _delivery_over_coap),
    DeliveryAspect(
        deadline_conflicts,
        _ANY,
        lambda _, needed: (needed.need.access, needed.need.within, needed.need.every),
        _promised,
    ),
    DeliveryAspect(
        sleep_conflicts,
        (CapabilityTransport.MQTT, None),
        lambda device, needed: (needed.need.access, needed.need.within, _slept(device)),
        lambda device, offered: (_slept(device), offered.term.kind),
    ),
    DeliveryAspect(_discovery_conflict, _ANY, lambda _, needed: needed.need.discovery, _announced),
    DeliveryAspect(
        _security_conflicts,
        _ANY,
        lambda device, needed: (device.security, needed.need.security),
        lambda device, _: device.security,
    ),
)
"""All aspects of delivery. A new one is added here."""
