"""Coexistence: unrelated devices do not disturb each other."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

from harness.checks.case import Evidence, failed, inconclusive, passed, warned
from harness.checks.support.compat.catalogue import (
    GroupCase,
    GroupCheck,
    group_requirement,
)
from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.traffic import (
    claimed_addresses,
    claimed_names,
    command_topics,
    connects,
    declared_topics,
    overheard,
    pairs,
    probes_for,
    published_topics,
    report_topics,
)
from harness.checks.support.mdns.names import declared_names
from harness.model.requirement import Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import mqtt


def tapped(group: DeviceGroup) -> tuple[str, ...]:
    """The roles whose own MQTT packets are recorded."""
    return tuple(role for role in group.roles if group.offers(BenchFeature.TAP, role))


def announced(group: DeviceGroup) -> tuple[str, ...]:
    """The roles whose mDNS packets are recorded."""
    return tuple(role for role in group.roles if group.offers(BenchFeature.MDNS, role))


class _OnOneBroker(GroupCheck):
    """Passive; needs at least two devices behind a tap."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        speaking = [role for role, profile in group.profiles.items() if profile.bindings.mqtt is not None]
        return (Subject(),) if len(speaking) > 1 else ()

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        if len(tapped(group)) > 1:
            return None
        return "fewer than two devices are connected through a tap, so their own packets are not recorded"


class _OnOneLink(GroupCheck):
    """Passive; needs at least two devices with mDNS."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        speaking = [role for role, profile in group.profiles.items() if profile.bindings.mdns is not None]
        return (Subject(),) if len(speaking) > 1 else ()

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        if len(announced(group)) > 1:
            return None
        return "multicast DNS is recorded for fewer than two devices"


@group_requirement(
    "COMPAT-10",
    standard="MQTT 3.1.1",
    clause="3.1.3.1, 3.1.4",
    level=Level.MUST,
    purpose="ensure that no two devices of a home have the same client identifier",
    stimulus="None; the normal traffic of the devices is observed",
    expect="Each device connects with a client identifier that no other device uses",
    usual_cause="The identifier is a constant in the firmware, or derived from a part of the MAC address "
    "that all units of a batch share. The broker disconnects one device as soon as the other connects.",
)
class ClientIdentifiers(_OnOneBroker):
    """Compares the identifiers of all CONNECT packets."""

    def judge(self, case: GroupCase) -> Outcome:
        evidence = []
        silent = []
        for role in tapped(case.group):
            first = {seen.value.client_id: seen for seen in reversed(connects(case.of(role)))}
            silent += [role] if not first else []
            evidence += list(first.values())
        for one, other in pairs(case, tapped(case.group)):
            mine = {seen.value.client_id: seen for seen in connects(case.of(one))}
            for seen in connects(case.of(other)):
                if (
                    seen.value.client_id and seen.value.client_id in mine
                ):  # an empty one lets the broker choose
                    return failed(
                        f"{one} and {other} both connect as {seen.value.client_id!r}: the broker disconnects "
                        "one when the other connects",
                        mine[seen.value.client_id],
                        seen,
                    )
        if silent:
            return inconclusive(f"{', '.join(silent)} did not connect", evidence)
        return passed("each device has its own client identifier", evidence)


@group_requirement(
    "COMPAT-11",
    standard="MQTT 3.1.1 and the profiles",
    clause="4.7; profile: bindings.mqtt",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that no device publishes to a topic on which another one reports or takes commands",
    stimulus="None; the normal traffic of the devices is observed",
    expect="A device publishes to no topic of another device, including its last will",
    usual_cause="Topics without the identifier of the unit, or a log or discovery topic of all units.",
)
class Topics(_OnOneBroker):
    """Compares the topics of each device with those that others used or declare."""

    def judge(self, case: GroupCase) -> Outcome:
        used = {role: published_topics(case.of(role)) for role in tapped(case.group)}
        for role, topics in used.items():
            for other in case.group.others(role):
                declared = declared_topics(case.group.profiles[other])
                for topic, line in topics.items():
                    if topic in used.get(other, {}):
                        return failed(f"{role} and {other} both publish to {topic}", line, used[other][topic])
                    if topic in declared and not self._is_meant(case.group, role, other, topic):
                        what = declared[topic]
                        return failed(f"{role} publishes to {topic}, which {other} uses for {what}", line)
        silent = [role for role, topics in used.items() if not topics]
        if silent:
            return inconclusive(f"{', '.join(silent)} published nothing")
        for one, other in pairs(case, case.group.roles):
            for topic in report_topics(case.group.profiles[one]) & report_topics(case.group.profiles[other]):
                return inconclusive(
                    f"{one} and {other} both declare {topic} for reports, but reported nothing there"
                )
        return passed(
            "no device publishes to a topic of another device",
            [line for topics in used.values() for line in list(topics.values())[:5]],
        )

    @staticmethod
    def _is_meant(group: DeviceGroup, role: str, other: str, topic: str) -> bool:
        return any(
            interaction.source == role and interaction.target == other
            for interaction in group.interactions
            if any(link.target.address == topic for link in interaction.links)
        )


@group_requirement(
    "COMPAT-12",
    standard="MQTT 3.1.1 and the profiles",
    clause="4.7; profile: bindings.mqtt",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that no device receives commands for another one",
    stimulus="None; the subscriptions of the devices are observed",
    expect="No subscription of a device covers a command topic of another device, except where a third "
    "device commands both on one topic",
    usual_cause="A wildcard instead of the identifier of the unit, or a subscription to # that the device "
    "filters itself.",
)
class Subscriptions(_OnOneBroker):
    """Compares each subscription with the command topics of the others."""

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        if not any(command_topics(profile) for profile in group.profiles.values()):
            return "none of the devices takes commands over MQTT"
        return super().missing(group, subject)

    def judge(self, case: GroupCase) -> Outcome:
        evidence: list[Evidence] = []
        unseen: list[str] = []
        commands = {role: command_topics(case.group.profiles[role]) for role in case.group.roles}
        for role in tapped(case.group):
            for other in case.group.others(role):
                wanted = tuple(
                    topic for topic in commands[other] if not _is_of_a_group(case.group, topic, role, other)
                )
                for filter, topic, line in overheard(case.of(role), wanted):
                    return failed(
                        f"{role} subscribes to {filter} and so receives commands for {other} on {topic}", line
                    )
            subscriptions = case.of(role).mqtt(mqtt.Subscribe)
            if not connects(case.of(role)):
                unseen.append(f"{role} did not connect")
            elif not subscriptions and commands[role]:
                unseen.append(f"{role} did not subscribe to anything")
            evidence += [*connects(case.of(role))[:1], *subscriptions]
        if unseen:
            return inconclusive("; ".join(unseen), evidence)
        return passed("no subscription covers a command topic of another device", evidence)


def _is_of_a_group(group: DeviceGroup, topic: str, *roles: str) -> bool:
    """Whether another device commands all of these on that topic, as a group."""
    commanded = {
        (interaction.source, interaction.target)
        for interaction in group.interactions
        for link in interaction.links
        if not interaction.is_passed_on and link.target.address == topic
    }
    return any(all((source, role) in commanded for role in roles) for source in group.roles)


@group_requirement(
    "COMPAT-13",
    standard="RFC 6762",
    clause="8, 9",
    level=Level.MUST,
    purpose="ensure that no two devices use the same name on the link",
    stimulus="None; the announcements of the devices are observed",
    expect="Each unique host or instance name is announced by one device only, and no device has to "
    "choose another name than the one in its profile (recommended)",
    usual_cause="The name is a constant in the firmware, and the responder does not probe for it.",
)
class LinkNames(_OnOneLink):
    """Compares the names of unique records; a device that loses a conflict never announces the name.

    RFC 6762 requires a device to give up a name in conflict. It is then not found by the name in its
    profile, and which of two devices keeps the name depends on the order in which they start.
    """

    def judge(self, case: GroupCase) -> Outcome:
        names = {role: claimed_names(case.of(role)) for role in announced(case.group)}
        for one, other in pairs(case, announced(case.group)):
            for name in names[one].keys() & names[other].keys():
                first, second = names[one][name], names[other][name]
                return failed(f"{one} and {other} both claim the name {first.what}", first.line, second.line)
        silent = [role for role, found in names.items() if not found]
        if silent:
            return inconclusive(f"{', '.join(silent)} announced no name")
        for role, other in permutations(announced(case.group), 2):
            for promised in declared_names(case.group.profiles[role]).unique:
                if promised.lower() in names[role] or promised.lower() not in names[other]:
                    continue
                taken = names[other][promised.lower()]
                return warned(
                    f"{role} does not have the name {promised} of its profile: {other} has it",
                    probes_for(case.of(role), promised)[:1],
                    taken.line,
                    [claim.line for claim in names[role].values()],
                )
        return passed(
            "each device has its own names",
            [claim.line for found in names.values() for claim in list(found.values())[:3]],
        )


@group_requirement(
    "COMPAT-14",
    standard="RFC 6763",
    clause="5",
    level=Level.MUST,
    purpose="ensure that no two devices announce the same address and port",
    stimulus="None; the announcements of the devices are observed",
    expect="The address and port of each announced service belong to one device only",
    usual_cause="A fixed address that every unit has before set-up, or an address that was assigned to "
    "another device meanwhile.",
)
class ServiceAddresses(_OnOneLink):
    """Combines SRV and address records."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        return (Subject(),) if len(self._serving(group)) > 1 else ()

    @staticmethod
    def _serving(group: DeviceGroup) -> list[str]:
        bindings = {role: profile.bindings.mdns for role, profile in group.profiles.items()}
        return [role for role, mdns in bindings.items() if mdns is not None and mdns.services]

    def judge(self, case: GroupCase) -> Outcome:
        roles = tuple(role for role in announced(case.group) if role in self._serving(case.group))
        places = {role: claimed_addresses(case.of(role)) for role in roles}
        for one, other in pairs(case, roles):
            for place in places[one].keys() & places[other].keys():
                first, second = places[one][place], places[other][place]
                return failed(f"{first.what} is also used by {second.what}", first.line, second.line)
        silent = [role for role, found in places.items() if not found]
        if silent:
            return inconclusive(f"{', '.join(silent)} announced no service with an address")
        return passed(
            "each service has its own address and port",
            [claim.line for found in places.values() for claim in found.values()],
        )
