"""The traffic of each device on a shared bus, from the trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.checks.case import Case, Decoded
from harness.checks.support.compat.catalogue import GroupCase
from harness.checks.support.mqtt import topics
from harness.model.profile import Profile
from harness.trace.events import MqttPacket
from harness.wire import (
    mdns,
    mqtt,
)
from harness.wire.mdns.codec import RecordType
from harness.wire.mqtt.topics import topic_matches

_NAMED = (RecordType.A, RecordType.AAAA, RecordType.SRV, RecordType.TXT)


def connects(case: Case) -> list[Decoded[mqtt.Connect, MqttPacket]]:
    """The CONNECT packets of a device."""
    return case.mqtt(mqtt.Connect)


def published_topics(case: Case) -> dict[str, int]:
    """The topics to which a device publishes, wills included, each with the line of the first message."""
    found: dict[str, int] = {}
    for seen in case.mqtt(mqtt.Publish):
        if seen.value.topic:
            found.setdefault(seen.value.topic, seen.line)
    for connect in connects(case):
        if connect.value.will is not None:
            found.setdefault(connect.value.will.topic, connect.line)
    return found


def declared_topics(profile: Profile) -> dict[str, str]:
    """The topics of a device according to its profile, each with its purpose."""
    if profile.bindings.mqtt is None:
        return {}
    reports = {reading.topic: "its reports" for reading in topics.readings(profile)}
    return reports | {topic: "its commands" for topic in topics.commands(profile)}


def report_topics(profile: Profile) -> set[str]:
    """The topics on which a device reports, according to its profile."""
    if profile.bindings.mqtt is None:
        return set()
    return {reading.topic for reading in topics.readings(profile)}


def command_topics(profile: Profile) -> tuple[str, ...]:
    """The topics on which a device takes commands."""
    return tuple(topics.commands(profile)) if profile.bindings.mqtt is not None else ()


def overheard(case: Case, wanted: tuple[str, ...]) -> Iterator[tuple[str, str, int]]:
    """Filters of a device that cover one of these topics: the filter, the topic, the line."""
    for seen in case.mqtt(mqtt.Subscribe):
        for request in seen.value.filters:
            for topic in wanted:
                if topic_matches(request.filter, topic):
                    yield request.filter, topic, seen.line


@dataclass(frozen=True, slots=True)
class AddressClaim:
    """A name, or an address with a port, that a device claims over mDNS, with the line."""

    what: str
    line: int


def claimed_names(case: Case) -> dict[str, AddressClaim]:
    """The unique names that a device claims, by their lower-case form."""
    found: dict[str, AddressClaim] = {}
    for record, line in _reported(case):
        if record.type in _NAMED:  # with or without the cache-flush bit
            found.setdefault(record.name.lower(), AddressClaim(record.name, line))
    return found


def probes_for(case: Case, name: str) -> list[int]:
    """The lines where a device probes for a name."""
    return [
        seen.line
        for seen in case.mdns()
        if not seen.value.response and any(mdns.same_name(each.name, name) for each in seen.value.questions)
    ]


def claimed_addresses(case: Case) -> dict[tuple[str, int], AddressClaim]:
    """The addresses and ports that a device announces for its services."""
    addresses: dict[str, set[str]] = {}
    services: list[tuple[mdns.Srv, str, int]] = []
    for record, line in _reported(case):
        match record.data:
            case mdns.Address(text):
                addresses.setdefault(record.name.lower(), set()).add(text)
            case mdns.Srv() as service:
                services.append((service, record.name, line))
    return {
        (address, service.port): AddressClaim(f"{name} at {address} port {service.port}", line)
        for service, name, line in services
        for address in addresses.get(service.target.lower(), ())
    }


def _reported(case: Case) -> Iterator[tuple[mdns.Record, int]]:
    """The records that a device announces in responses; probes do not count."""
    for seen in case.mdns():
        if seen.value.response:
            for record in seen.value.records:
                if record.ttl > 0:
                    yield record, seen.line


def pairs(case: GroupCase, roles: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every two of these roles, once."""
    for at, one in enumerate(roles):
        for other in roles[at + 1 :]:
            yield one, other
