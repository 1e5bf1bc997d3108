"""Whether what is told or commanded reaches the other one: transport, reliability, deadlines, trust."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from harness.compat.device import Clash, Device
from harness.compat.prediction import FindingKind, Severity
from harness.model.binding import MqttBinding
from harness.model.capability import Access, SecurityLevel, Transport
from harness.model.meaning import Needed, Offered
from harness.model.problems import Path
from harness.model.vocabulary import TermKind


@dataclass(frozen=True, slots=True)
class Meeting:
    """A need, and the capability that it may be met by."""

    needer: Device
    needed: Needed
    offerer: Device
    offered: Offered

    @property
    def commands(self) -> bool:
        """Whether the needer commands, and is not told."""
        return self.needed.commands

    @property
    def need(self) -> Path:
        """The key of the need."""
        return ("needs", self.needed.name)

    @property
    def capability(self) -> Path:
        """The key of the capability."""
        return tuple(self.offered.key.split("."))

    @property
    def affordance(self) -> Path:
        """The key of the affordance that is offered, or of the availability topic."""
        offer = self.offered.offer
        for section, name in (
            ("properties", offer.property_),
            ("actions", offer.action),
            ("events", offer.event),
        ):
            if name is not None:
                return (section, name)
        return ("bindings", "mqtt", "availability")

    def binding(self, transport: Transport) -> Path:
        """The key of the binding of what is offered."""
        if self.offered.offer.availability:
            return self.affordance
        return ("bindings", transport.value, *self.affordance)


def common_transports(meeting: Meeting) -> tuple[Transport, ...]:
    """Transports over which both reach each other, in the order in which they are tried."""
    return tuple(
        each for each in Transport if each in meeting.needed.transports and each in meeting.offered.transports
    )


def delivery_clashes(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    """Everything about delivery over ``transport``, or over a bridge where that is None."""
    for aspect in ASPECTS:
        if transport in aspect.over:
            yield from aspect.clashes(meeting, transport)


def _transport_clashes(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    needed, offered = meeting.needed, meeting.offered
    wanted = _names(needed.transports)
    if not offered.transports or not needed.transports:
        yield Clash(
            FindingKind.TRANSPORT,
            Severity.BLOCKS,
            f"{meeting.offerer.name} has no transport for {offered.term.path}; "
            f"{meeting.needer.name} speaks {wanted}",
            meeting.capability,
            (*meeting.need, "transports"),
            f"bind {'.'.join(map(str, meeting.affordance))} to {wanted}",
        )
        return
    yield Clash(
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


def _version_clash(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    left, right = meeting.offerer.profile.bindings.mqtt, meeting.needer.profile.bindings.mqtt
    if left is not None and right is not None and left.version != right.version:
        yield Clash(
            FindingKind.MQTT_VERSION,
            Severity.NOTE,
            f"{meeting.offerer.name} speaks MQTT {left.version}, {meeting.needer.name} {right.version}",
            ("bindings", "mqtt", "version"),
            ("bindings", "mqtt", "version"),
            "a broker that speaks both; properties of MQTT 5 do not reach the older one",
        )


def _quality_clashes(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    wanted = meeting.needed.need.qos
    found = _quality(meeting)
    if found is None:
        return
    key, quality = found
    if quality < wanted:
        lost = "commands" if meeting.commands else "reports"
        yield Clash(
            FindingKind.QOS,
            Severity.DEGRADES,
            f"{meeting.needer.name} relies on QoS {wanted}, "
            f"{meeting.offerer.name} has QoS {quality}: {lost} can be lost",
            (*meeting.binding(Transport.MQTT), key),
            (*meeting.need, "qos"),
            f"QoS {wanted} at {meeting.offerer.name}",
        )


def _quality(meeting: Meeting) -> tuple[str, int] | None:
    mqtt = meeting.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    name = meeting.offered.affordance
    if meeting.offered.offer.availability and mqtt.availability is not None:
        return "qos", mqtt.availability.qos
    if name in mqtt.properties:
        bound = mqtt.properties[name]
        return ("command_qos", bound.command_qos) if meeting.commands else ("qos", bound.qos)
    if name in mqtt.actions:
        return "command_qos", mqtt.actions[name].command_qos
    return ("qos", mqtt.events[name].qos) if name in mqtt.events else None


def _retain_clashes(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    if meeting.commands:
        return
    mqtt = meeting.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    name, need = meeting.offered.affordance, meeting.needed.need
    retained = mqtt.availability.retain if mqtt.availability is not None else True
    if name in mqtt.properties:
        retained = mqtt.properties[name].retain
    elif name in mqtt.events:
        if mqtt.events[name].retain:
            yield Clash(
                FindingKind.RETAIN,
                Severity.DEGRADES,
                f"the broker keeps this event of {meeting.offerer.name}: {meeting.needer.name} gets it again "
                "after each reconnection, as if it had just happened",
                (*meeting.binding(Transport.MQTT), "retain"),
                meeting.need,
                "events without retain",
            )
        return
    if retained or not (need.retained or need.access is Access.READ):
        return
    every = meeting.offerer.told_every
    waits = f"until the next report, up to {every:g} s later" if every else "until the next change"
    yield Clash(
        FindingKind.RETAIN,
        Severity.DEGRADES if every else Severity.BLOCKS,
        f"{meeting.needer.name} relies on the broker to keep the state, {meeting.offerer.name} publishes it "
        f"without retain: after a restart it knows nothing {waits}",
        (*meeting.binding(Transport.MQTT), "retain"),
        (*meeting.need, "retained" if need.retained else "access"),
        f"retain: true at {meeting.offerer.name}",
    )


def _availability_clash(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    mqtt = meeting.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    if meeting.needed.need.availability and mqtt.availability is None:
        yield Clash(
            FindingKind.AVAILABILITY,
            Severity.DEGRADES,
            f"{meeting.needer.name} relies on being told when the other one has gone, "
            f"{meeting.offerer.name} has no availability topic",
            ("bindings", "mqtt", "availability"),
            (*meeting.need, "availability"),
            "an availability topic with a last will",
        )


def _size_clash(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    mqtt = meeting.offerer.profile.bindings.mqtt
    assert mqtt is not None, "it is offered over MQTT"
    for index, sending in enumerate(meeting.needed.sendings):
        schema = sending.schema
        if sending.cause.sends is not None or schema is None or schema.max_length is None:
            continue
        largest = schema.max_length + 2  # in quotes, if all of its characters take one byte
        if largest > mqtt.maximum_payload:
            yield Clash(
                FindingKind.PAYLOAD_SIZE,
                Severity.DEGRADES,
                f"{meeting.needer.name} sends up to {largest} bytes and more, {meeting.offerer.name} "
                f"understands {mqtt.maximum_payload} at most",
                ("bindings", "mqtt", "maximum_payload"),
                (*meeting.need, "by", index),
                f"shorter texts, or room for {largest} bytes",
            )


def _observe_clash(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    coap = meeting.offerer.profile.bindings.coap
    assert coap is not None, "it is offered over CoAP"
    bound = coap.properties.get(meeting.offered.affordance)
    if meeting.needed.need.access is Access.FOLLOW and bound is not None and not bound.observe:
        yield Clash(
            FindingKind.NOT_TOLD,
            Severity.BLOCKS,
            f"{meeting.needer.name} waits to be told of changes, {meeting.offerer.name} "
            "cannot be observed: it answers only when it is asked",
            (*meeting.binding(Transport.COAP), "observe"),
            (*meeting.need, "access"),
            f"observe: true at {meeting.offerer.name}, or polling (access: read)",
        )


def _deadline_clashes(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    need, behaviour = meeting.needed.need, meeting.offerer.profile.behaviour
    if need.within is not None and need.access is not Access.READ:
        own = meeting.offered.offer.property_
        takes = behaviour.report_local
        key: Path = ("behaviour", "report_local")
        if meeting.commands:
            takes, key = behaviour.settle, ("behaviour", "settle")
            if own is not None and meeting.offerer.profile.properties[own].settle is not None:
                takes, key = meeting.offerer.profile.settle(own), ("properties", own, "settle")
        if takes > need.within:
            does = "obeys" if meeting.commands else "tells a change"
            yield Clash(
                FindingKind.DEADLINE,
                Severity.DEGRADES,
                f"{meeting.offerer.name} {does} within {takes:g} s, "
                f"{meeting.needer.name} gives up after {need.within:g} s",
                key,
                (*meeting.need, "within"),
                f"more patience at {meeting.needer.name}, or {need.within:g} s at {meeting.offerer.name}",
            )
    if need.every is not None and meeting.offered.term.kind is TermKind.ATTRIBUTE:
        every = None if transport is Transport.COAP else meeting.offerer.told_every
        if every is None or every > need.every:
            tells = "only when it changes" if every is None else f"every {every:g} s"
            yield Clash(
                FindingKind.DEADLINE,
                Severity.BLOCKS,
                f"{meeting.offerer.name} tells its state {tells}, {meeting.needer.name} takes it for lost "
                f"after {need.every:g} s",
                ("behaviour", "heartbeat"),
                (*meeting.need, "every"),
                f"a heartbeat of {need.every:g} s at {meeting.offerer.name}, or more patience",
            )


def _sleep_clashes(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    if transport is Transport.COAP:
        return
    left, right = meeting.offerer.profile.bindings.mqtt, meeting.needer.profile.bindings.mqtt
    if meeting.commands and left is not None and left.sleep is not None:
        yield _asleep_to_commands(meeting, left.clean_session, left.sleep.wakes_every)
    if meeting.needed.need.access is Access.FOLLOW and right is not None and right.sleep is not None:
        event = meeting.offered.term.kind is TermKind.EVENT
        kept = not right.clean_session
        if event and not kept:
            does, severity = "events that happen meanwhile are lost", Severity.BLOCKS
        else:
            does, severity = "it learns of changes only when it wakes", Severity.DEGRADES
        yield Clash(
            FindingKind.SLEEP,
            severity,
            f"{meeting.needer.name} sleeps most of the time: {does}",
            None,
            ("bindings", "mqtt", "sleep"),
            "a session that the broker keeps (clean_session: false), or mains power",
        )


def _asleep_to_commands(meeting: Meeting, clean: bool, wakes_every: float | None) -> Clash:
    within = meeting.needed.need.within
    late = within is not None and (wakes_every is None or wakes_every > within)
    if clean:
        what = "commands that are sent meanwhile are lost"
    elif wakes_every is None:
        what = "commands wait until it has something to say"
    else:
        what = f"commands wait up to {wakes_every:g} s"
    return Clash(
        FindingKind.SLEEP,
        Severity.BLOCKS if clean or late else Severity.DEGRADES,
        f"{meeting.offerer.name} sleeps most of the time: {what}",
        ("bindings", "mqtt", "sleep"),
        (*meeting.need, "within") if late and not clean else meeting.need,
        "a session that the broker keeps (clean_session: false) and more patience, or mains power",
    )


def _discovery_clash(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    wanted = meeting.needed.need.discovery
    mdns = meeting.offerer.profile.bindings.mdns
    services = mdns.services if mdns is not None else ()
    if wanted is None or any(service.type == wanted for service in services):
        return
    announced = ", ".join(service.type for service in services) or "nothing"
    yield Clash(
        FindingKind.DISCOVERY,
        Severity.BLOCKS,
        f"{meeting.needer.name} finds others by {wanted} only, {meeting.offerer.name} announces {announced}",
        ("bindings", "mdns", "services") if mdns is not None else ("bindings",),
        (*meeting.need, "discovery"),
        f"announce {wanted} at {meeting.offerer.name}, or an address typed in by hand",
    )


def _security_clashes(meeting: Meeting, transport: Transport | None) -> Iterator[Clash]:
    wanted, found = meeting.needed.need.security, meeting.offerer.security
    if found.rank < wanted.rank:
        yield Clash(
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
        yield Clash(
            FindingKind.SECURITY,
            Severity.BLOCKS,
            f"{meeting.offerer.name} talks over DTLS only, {meeting.needer.name} does not",
            ("ics",),
            ("ics",),
            f"DTLS at {meeting.needer.name}",
        )
    elif transport is Transport.MQTT:
        yield Clash(
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

    clashes: Callable[[Meeting, Transport | None], Iterator[Clash]]
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
        _version_clash,
        _MQTT,
        lambda device, _: mqtt.version if (mqtt := _mqtt_of(device)) is not None else None,
        lambda device, _: mqtt.version if (mqtt := _mqtt_of(device)) is not None else None,
    ),
    Aspect(_quality_clashes, _MQTT, lambda _, needed: (needed.need.qos, needed.commands), _told_over_mqtt),
    Aspect(
        _retain_clashes,
        _MQTT,
        lambda _, needed: (needed.need.access, needed.need.retained),
        lambda device, offered: (
            _told_over_mqtt(device, offered),
            device.told_every is None,
            getattr(getattr(_mqtt_of(device), "availability", None), "retain", None),
        ),
    ),
    Aspect(
        _availability_clash,
        _MQTT,
        lambda _, needed: needed.need.availability,
        lambda device, _: getattr(_mqtt_of(device), "availability", None) is None,
    ),
    Aspect(
        _size_clash,
        _MQTT,
        lambda _, needed: _longest(needed),
        lambda device, _: getattr(_mqtt_of(device), "maximum_payload", None),
    ),
    Aspect(_observe_clash, _COAP, lambda _, needed: needed.need.access, _told_over_coap),
    Aspect(
        _deadline_clashes,
        _ANY,
        lambda _, needed: (needed.need.access, needed.need.within, needed.need.every),
        _promised,
    ),
    Aspect(
        _sleep_clashes,
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
