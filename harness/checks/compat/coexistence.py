"""Coexistence: devices that have nothing to do with each other do not get into each other's way."""

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
    claimed_names,
    claimed_places,
    command_topics,
    connects,
    declared_topics,
    overheard,
    pairs,
    probes_for,
    published_topics,
    told_topics,
)
from harness.checks.support.mdns.names import declared_names
from harness.model.requirement import Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import mqtt


def tapped(home: DeviceGroup) -> tuple[str, ...]:
    """The roles whose own MQTT packets are seen."""
    return tuple(role for role in home.roles if home.offers(BenchFeature.TAP, role))


def announced(home: DeviceGroup) -> tuple[str, ...]:
    """The roles whose mDNS packets are seen."""
    return tuple(role for role in home.roles if home.offers(BenchFeature.MDNS, role))


class _OnOneBroker(GroupCheck):
    """Passive, on devices that are tapped, where there are at least two."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        speaking = [role for role, profile in home.profiles.items() if profile.bindings.mqtt is not None]
        return (Subject(),) if len(speaking) > 1 else ()

    def missing(self, home: DeviceGroup, subject: Subject) -> str | None:
        if len(tapped(home)) > 1:
            return None
        return "the devices' own packets are not seen: fewer than two are connected through a tap"


class _OnOneLink(GroupCheck):
    """Passive, on devices that announce themselves, where there are at least two."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        speaking = [role for role, profile in home.profiles.items() if profile.bindings.mdns is not None]
        return (Subject(),) if len(speaking) > 1 else ()

    def missing(self, home: DeviceGroup, subject: Subject) -> str | None:
        if len(announced(home)) > 1:
            return None
        return "multicast DNS is watched for fewer than two of the devices"


@group_requirement(
    "COMPAT-10",
    standard="MQTT 3.1.1",
    clause="3.1.3.1, 3.1.4",
    level=Level.MUST,
    purpose="ensure that no two devices of a home have the same client identifier",
    stimulus="None: what the devices do by themselves is enough",
    expect="Each device connects with a client identifier that no other one uses",
    usual_cause="The identifier is a constant of the firmware, or made from a part of the MAC address that "
    "all units of a batch share. The broker throws out one as soon as the other connects.",
)
class ClientIdentifiers(_OnOneBroker):
    """Compares the identifiers of all CONNECT packets."""

    def judge(self, case: GroupCase) -> Outcome:
        evidence = []
        silent = []
        for role in tapped(case.home):
            first = {seen.value.client_id: seen for seen in reversed(connects(case.of(role)))}
            silent += [role] if not first else []
            evidence += list(first.values())
        for one, other in pairs(case, tapped(case.home)):
            mine = {seen.value.client_id: seen for seen in connects(case.of(one))}
            for seen in connects(case.of(other)):
                if (
                    seen.value.client_id and seen.value.client_id in mine
                ):  # an empty one lets the broker choose
                    return failed(
                        f"{one} and {other} both connect as {seen.value.client_id!r}: the broker throws out "
                        "one when the other comes",
                        mine[seen.value.client_id],
                        seen,
                    )
        if silent:
            return inconclusive(f"{', '.join(silent)} did not connect", evidence)
        return passed("each device has a client identifier of its own", evidence)


@group_requirement(
    "COMPAT-11",
    standard="MQTT 3.1.1 and the profiles",
    clause="4.7; profile: bindings.mqtt",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that no device publishes where another one does, or where another one takes commands",
    stimulus="None: what the devices do by themselves is enough",
    expect="No topic that a device publishes to, its will included, is one of another device",
    usual_cause="Topics without the identifier of the unit; a log or discovery topic that all share.",
)
class Topics(_OnOneBroker):
    """Compares what each published with what the others published, and with their declared topics."""

    def judge(self, case: GroupCase) -> Outcome:
        used = {role: published_topics(case.of(role)) for role in tapped(case.home)}
        for role, topics in used.items():
            for other in case.home.others(role):
                declared = declared_topics(case.home.profiles[other])
                for topic, line in topics.items():
                    if topic in used.get(other, {}):
                        return failed(f"{role} and {other} both publish to {topic}", line, used[other][topic])
                    if topic in declared and not self._is_meant(case.home, role, other, topic):
                        what = declared[topic]
                        return failed(f"{role} publishes to {topic}, which {other} has for {what}", line)
        silent = [role for role, topics in used.items() if not topics]
        if silent:
            return inconclusive(f"{', '.join(silent)} published nothing")
        for one, other in pairs(case, case.home.roles):
            for topic in told_topics(case.home.profiles[one]) & told_topics(case.home.profiles[other]):
                return inconclusive(
                    f"{one} and {other} both have {topic} for what they tell, and told nothing there"
                )
        return passed(
            "no device publishes to a topic of another one",
            [line for topics in used.values() for line in list(topics.values())[:5]],
        )

    @staticmethod
    def _is_meant(home: DeviceGroup, role: str, other: str, topic: str) -> bool:
        return any(
            bond.source == role and bond.target == other
            for bond in home.bonds
            if any(link.target.address == topic for link in bond.links)
        )


@group_requirement(
    "COMPAT-12",
    standard="MQTT 3.1.1 and the profiles",
    clause="4.7; profile: bindings.mqtt",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that no device takes commands that are meant for another one",
    stimulus="None: what the devices subscribe to by themselves is enough",
    expect="No filter that a device subscribes to covers a command topic of another device, except where a "
    "third one commands both on one topic",
    usual_cause="A wildcard stands where the identifier of the unit belongs, or the device subscribes to # "
    "and sorts out by itself.",
)
class Subscriptions(_OnOneBroker):
    """Compares each subscription with the command topics of the others."""

    def missing(self, home: DeviceGroup, subject: Subject) -> str | None:
        if not any(command_topics(profile) for profile in home.profiles.values()):
            return "none of the devices takes commands over MQTT"
        return super().missing(home, subject)

    def judge(self, case: GroupCase) -> Outcome:
        evidence: list[Evidence] = []
        unseen: list[str] = []
        commands = {role: command_topics(case.home.profiles[role]) for role in case.home.roles}
        for role in tapped(case.home):
            for other in case.home.others(role):
                wanted = tuple(
                    topic for topic in commands[other] if not _is_of_a_group(case.home, topic, role, other)
                )
                for filter, topic, line in overheard(case.of(role), wanted):
                    return failed(
                        f"{role} subscribes to {filter}, and so gets what is sent to {other} on {topic}", line
                    )
            subscriptions = case.of(role).mqtt(mqtt.Subscribe)
            if not connects(case.of(role)):
                unseen.append(f"{role} did not connect")
            elif not subscriptions and commands[role]:
                unseen.append(f"{role} was not seen to subscribe to anything")
            evidence += [*connects(case.of(role))[:1], *subscriptions]
        if unseen:
            return inconclusive("; ".join(unseen), evidence)
        return passed("no subscription covers a command topic of another device", evidence)


def _is_of_a_group(home: DeviceGroup, topic: str, *roles: str) -> bool:
    """Whether another device commands all of these on that topic, so that they belong together."""
    commanded = {
        (bond.source, bond.target)
        for bond in home.bonds
        for link in bond.links
        if not bond.is_passed_on and link.target.address == topic
    }
    return any(all((source, role) in commanded for role in roles) for source in home.roles)


@group_requirement(
    "COMPAT-13",
    standard="RFC 6762",
    clause="8, 9",
    level=Level.MUST,
    purpose="ensure that no two devices answer to the same name on the link",
    stimulus="None: what the devices announce by themselves is enough",
    expect="A host or instance name that one device announces as its own is announced by no other one; and "
    "none has to give way by taking another name than its profile says (recommended)",
    usual_cause="The name is a constant of the firmware, and the responder does not ask whether it is free.",
)
class LinkNames(_OnOneLink):
    """Compares the names of unique records; a device that gives way never announces the disputed one.

    Giving way is what RFC 6762 asks for. Still nobody finds a device by the name in its profile that
    another one has got, and which of the two has it depends on who was there first.
    """

    def judge(self, case: GroupCase) -> Outcome:
        names = {role: claimed_names(case.of(role)) for role in announced(case.home)}
        for one, other in pairs(case, announced(case.home)):
            for name in names[one].keys() & names[other].keys():
                first, second = names[one][name], names[other][name]
                return failed(
                    f"{one} and {other} both say that {first.what} is theirs", first.line, second.line
                )
        silent = [role for role, found in names.items() if not found]
        if silent:
            return inconclusive(f"{', '.join(silent)} announced no name")
        for role, other in permutations(announced(case.home), 2):
            for promised in declared_names(case.home.profiles[role]).unique:
                if promised.lower() in names[role] or promised.lower() not in names[other]:
                    continue
                taken = names[other][promised.lower()]
                return warned(
                    f"{role} does not have the name {promised} that its profile says: {other} has it",
                    probes_for(case.of(role), promised)[:1],
                    taken.line,
                    [claim.line for claim in names[role].values()],
                )
        return passed(
            "each device has names of its own",
            [claim.line for found in names.values() for claim in list(found.values())[:3]],
        )


@group_requirement(
    "COMPAT-14",
    standard="RFC 6763",
    clause="5",
    level=Level.MUST,
    purpose="ensure that no two devices send clients to the same address and port",
    stimulus="None: what the devices announce by themselves is enough",
    expect="The address and port of each announced service are those of one device alone",
    usual_cause="A fixed address that every unit has until it is set up, or one that another device has got "
    "meanwhile.",
)
class Places(_OnOneLink):
    """Puts SRV and address records together."""

    def subjects(self, home: DeviceGroup) -> Iterable[Subject]:
        return (Subject(),) if len(self._serving(home)) > 1 else ()

    @staticmethod
    def _serving(home: DeviceGroup) -> list[str]:
        bindings = {role: profile.bindings.mdns for role, profile in home.profiles.items()}
        return [role for role, mdns in bindings.items() if mdns is not None and mdns.services]

    def judge(self, case: GroupCase) -> Outcome:
        roles = tuple(role for role in announced(case.home) if role in self._serving(case.home))
        places = {role: claimed_places(case.of(role)) for role in roles}
        for one, other in pairs(case, roles):
            for place in places[one].keys() & places[other].keys():
                first, second = places[one][place], places[other][place]
                return failed(f"{first.what} is also that of {second.what}", first.line, second.line)
        silent = [role for role, found in places.items() if not found]
        if silent:
            return inconclusive(f"{', '.join(silent)} told of no service with an address")
        return passed(
            "each service has a place of its own",
            [claim.line for found in places.values() for claim in found.values()],
        )
