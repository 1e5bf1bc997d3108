"""Which transports carry the affordances of a profile, and the subjects of checks that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.checks.bench import Bench
from harness.checks.case import Case
from harness.checks.observations import Transport
from harness.model.affordance import Property
from harness.model.bindings.coap import CoapBinding
from harness.model.bindings.mqtt import MqttBinding
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.verdict import Subject

NEED_OF = {Transport.MQTT: BenchFeature.BROKER, Transport.COAP: BenchFeature.COAP}


def bindings_of(profile: Profile) -> dict[Transport, MqttBinding | CoapBinding]:
    """The transports that carry affordances."""
    found: dict[Transport, MqttBinding | CoapBinding] = {}
    if profile.bindings.mqtt is not None:
        found[Transport.MQTT] = profile.bindings.mqtt
    if profile.bindings.coap is not None:
        found[Transport.COAP] = profile.bindings.coap
    return found


def reporting_transports(profile: Profile, name: str) -> tuple[Transport, ...]:
    """The transports that report a property or an event."""
    return tuple(
        transport
        for transport, binding in bindings_of(profile).items()
        if name in binding.properties or name in binding.events
    )


def command_transports(profile: Profile, name: str) -> tuple[Transport, ...]:
    """The transports that carry commands for a property, or invoke an action."""
    if name in profile.actions:
        return tuple(
            transport for transport, binding in bindings_of(profile).items() if name in binding.actions
        )
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    found = []
    if mqtt is not None and name in mqtt.properties and mqtt.properties[name].command:
        found.append(Transport.MQTT)
    if coap is not None and name in coap.properties and profile.properties[name].writable:
        found.append(Transport.COAP)
    return tuple(found)


def subjects_for(names: Iterable[str], transports: Callable[[str], Iterable[Transport]]) -> list[Subject]:
    """One subject for each name and transport; the transport is left out where only one carries the name."""
    subjects = []
    for name in names:
        carriers = tuple(transports(name))
        subjects += [Subject(name, transport.value if len(carriers) > 1 else None) for transport in carriers]
    return subjects


def writable_subjects(profile: Profile, wanted: Callable[[Property], bool] = lambda _: True) -> list[Subject]:
    """One subject for each writable property that ``wanted`` accepts, on each transport that commands it."""
    names = [name for name, schema in profile.properties.items() if schema.writable and wanted(schema)]
    return subjects_for(names, lambda name: command_transports(profile, name))


def transport_of(carriers: Iterable[Transport], subject: Subject) -> Transport:
    """The transport of a subject that :func:`subjects_for` made."""
    return Transport(subject.transport) if subject.transport else next(iter(carriers))


def name_of(subject: Subject) -> str:
    """The name of a subject that has one."""
    assert subject.name is not None, "this check has named subjects"
    return subject.name


def open_readers(bench: Bench, name: str) -> tuple[Transport, ...]:
    """The transports over which this bench receives a property or event."""
    return tuple(
        transport
        for transport in reporting_transports(bench.profile, name)
        if bench.offers(NEED_OF[transport])
    )


def open_writers(bench: Bench, name: str) -> tuple[Transport, ...]:
    """The transports over which this bench can command a property or invoke an action."""
    return tuple(
        transport for transport in command_transports(bench.profile, name) if bench.offers(NEED_OF[transport])
    )


def was_offered(case: Case, transport: Transport) -> bool:
    """Whether the bench of the run had that transport."""
    return case.offers(NEED_OF[transport])
