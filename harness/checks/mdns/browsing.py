"""Browsing for the device's services, and the records that lead to them (RFC 6763)."""

from __future__ import annotations

import re

from harness.checks.bench import Bench
from harness.checks.case import (
    Case,
    failed,
    first,
    inconclusive,
    passed,
    run_so_far,
    seen_by,
    warned,
)
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import (
    ServiceName,
    binding_of,
    declared_names,
    disputed_names,
    is_among,
    names_of,
)
from harness.checks.support.mdns.queries import (
    ask,
    settled_names,
    wait_for_spacing,
)
from harness.checks.support.mdns.records_seen import (
    ADDRESSES,
    SERVICE_TYPES,
    RecordSeen,
    Section,
    distinct,
    queries,
    readable,
    sent_records,
    target_of,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Question,
    RecordType,
    join_name,
    same_name,
    split_name,
)

_AFTER_CONFLICT = re.compile(r"(.*?) ?(?:\(\d+\)|[-#]\d+)", re.DOTALL)
"""The form of instance names that were changed after a conflict (RFC 6763, appendix D)."""


def _types(services: tuple[ServiceName, ...]) -> list[str]:
    return list(dict.fromkeys(service.type for service in services))


def _pointers(case: Case, owner: str) -> list[RecordSeen]:
    """The PTR records that the device sent under ``owner`` in the window, without duplicates."""
    return [found for found in distinct(sent_records(case, owner, RecordType.PTR)) if target_of(found)]


@requirement(
    "PROFILE-40",
    area=Area.MDNS,
    standard="profile",
    clause="bindings.mdns.services",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that browsing finds the device's services with the declared names and TXT records",
    stimulus="Query the instances of each declared service type, and their TXT records",
    expect="Each declared instance is found under its type, and its TXT record has exactly the declared keys "
    "and values",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The TXT record is a constant that was not updated with the firmware, or the service name "
    "is derived from the host name.",
    phase=Phase.WATCH,
)
class ServicesAsDeclared(Check):
    """Browses like an app, and compares the result with the profile."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await settled_names(bench)
        for type in _types(declared_names(bench.profile).services):
            await ask(bench, Question(type, RecordType.PTR))
        for service in names_of(seen_by(bench)).services:
            await ask(bench, Question(service.name, RecordType.TXT))

    def judge(self, case: Case) -> Outcome:
        evidence = []
        renamed = None
        for service in declared_names(case.profile).services:
            asked = queries(case, service.type, RecordType.PTR)
            if not asked:
                return inconclusive(f"{readable(service.type)} was not queried")
            found = _pointers(case, service.type)
            if not found:
                return failed(f"browsing for {readable(service.type)} finds nothing", asked)
            pointer = _instance(service, found)
            if pointer is None:
                text = ", ".join(f'"{readable(target_of(each))}"' for each in found)
                wanted = f'not "{service.declared.instance}"'
                return failed(
                    f"browsing for {readable(service.type)} finds {text}, {wanted}", asked[0], found[0].packet
                )
            if not same_name(target_of(pointer), service.name):
                renamed = renamed or pointer
            texts = sent_records(case, target_of(pointer), RecordType.TXT)
            if not texts:
                queried = queries(case, target_of(pointer), RecordType.TXT)
                return failed(f"{readable(target_of(pointer))} has no TXT record", pointer.packet, queried)
            if problem := _differs(texts[-1].record.data, service.declared.txt):
                return failed(f"TXT record of {readable(target_of(pointer))}: {problem}", texts[-1].packet)
            evidence += [pointer.packet, texts[-1].packet]
        if renamed and not is_among(target_of(renamed), _known_successors(case)):
            return warned(
                f'found as "{readable(target_of(renamed))}", a name changed after a conflict that is not '
                "part of this run",
                evidence,
            )
        return passed("browsing finds every service with the declared TXT record", evidence)


def _instance(service: ServiceName, found: list[RecordSeen]) -> RecordSeen | None:
    """The PTR record of a declared service, possibly under a name changed after a conflict."""
    declared = first(found, lambda each: same_name(target_of(each), service.name))
    return declared or first(found, lambda each: _is_successor(service, target_of(each)))


def _is_successor(service: ServiceName, name: str) -> bool:
    """Whether a name is the declared one, changed after a conflict."""
    label = split_name(name)[0].decode("utf-8", "replace")
    changed = _AFTER_CONFLICT.fullmatch(label)
    return changed is not None and changed[1] == service.declared.instance


def _known_successors(case: Case) -> list[str]:
    """Current names of services whose previous names the harness disputed."""
    run = run_so_far(case)
    if not disputed_names(run):
        return []
    return [service.name for service in names_of(run).services]


def _differs(data: mdns.Data, declared: dict[str, str]) -> str | None:
    """How a TXT record differs from the profile; None if it does not."""
    if not isinstance(data, mdns.Txt):
        return "it cannot be read"
    wanted = {key.lower(): (key, value.encode()) for key, value in declared.items()}
    pairs: dict[str, tuple[str, bytes | None]] = {}
    for key, value in mdns.txt_pairs(data.strings):
        pairs.setdefault(key.lower(), (key, value))  # only the first of repeated keys counts (RFC 6763, 6.4)
    for low, (key, value) in wanted.items():
        if low not in pairs:
            return f"{key} is missing"
        if (other := pairs[low][1]) != value:
            shown = "nothing" if other is None else repr(other.decode("utf-8", "backslashreplace"))
            return f"{key} is {shown}, but {value.decode()!r} is declared"
    extra = [key for low, (key, _) in pairs.items() if low not in wanted]
    return f"{extra[0]} is not declared" if extra else None


@requirement(
    "DNSSD-01",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="4.1, 5, 6",
    level=Level.MUST,
    purpose="ensure that every advertised PTR record points to an SRV and a TXT record of the same name",
    stimulus="Browse for each declared type, then query SRV and TXT of every instance found",
    expect="One SRV record and a TXT record, possibly empty, under the exact name of the PTR record",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="Renaming the device changes the PTR record only, or a dot in the name is escaped in one "
    "place and not in another.",
    phase=Phase.WATCH,
)
class PointersLeadToServices(Check):
    """Browses, then resolves every instance found."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        begin = bench.mark()
        for type in _types((await settled_names(bench)).services):
            await ask(bench, Question(type, RecordType.PTR))
            for found in _pointers(seen_by(bench, begin), type):
                await ask(bench, Question(target_of(found), RecordType.SRV))
                await ask(bench, Question(target_of(found), RecordType.TXT))

    def judge(self, case: Case) -> Outcome:
        types = _types(names_of(run_so_far(case)).services)
        found = [pointer for type in types for pointer in _pointers(case, type)]
        if not found:
            return inconclusive("browsing finds no service")
        evidence = []
        for pointer in found:
            name = target_of(pointer)
            for type in (RecordType.SRV, RecordType.TXT):
                asked = queries(case, name, type)
                if not asked:
                    return inconclusive(f"{readable(name)} {type.name} was not queried")
                answers = distinct(sent_records(case, name, type, after=pointer.line - 1))
                if not answers:
                    return failed(f"{readable(name)} has no {type.name} record", pointer.packet, asked)
                if len(answers) > 1 and type is RecordType.SRV:
                    return failed(
                        f"{readable(name)} has {len(answers)} SRV records", [each.packet for each in answers]
                    )
                evidence += [pointer.packet, answers[0].packet]
        return passed(f"{len(found)} PTR records point to SRV and TXT records", evidence)


@requirement(
    "DNSSD-09",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="9",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the enumeration of service types lists the types of the device",
    stimulus="Query PTR of _services._dns-sd._udp.local",
    expect="Every advertised type, as two labels and the domain, and nothing else",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The meta-query is answered with instance names, or not at all.",
    phase=Phase.WATCH,
)
class TypesEnumerated(Check):
    """The meta-query that tools use to list all service types."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        for type in _types((await settled_names(bench)).services):
            await ask(bench, Question(type, RecordType.PTR))
        await ask(bench, Question(SERVICE_TYPES, RecordType.PTR))

    def judge(self, case: Case) -> Outcome:
        types = _types(names_of(run_so_far(case)).services)
        browsed = {type: _pointers(case, type) for type in types}
        asked = queries(case, SERVICE_TYPES, RecordType.PTR)
        if not asked or not any(browsed.values()):
            return inconclusive("browsing finds no service whose type could be listed")
        listed = _pointers(case, SERVICE_TYPES)
        for found in listed:
            labels = split_name(target_of(found))
            if len(labels) != 3 or not labels[0].startswith(b"_") or labels[1] not in (b"_tcp", b"_udp"):
                return failed(
                    f"the enumeration lists {readable(target_of(found))}, which is not a type", found.packet
                )
        for type, pointers in browsed.items():
            if pointers and not is_among(type, map(target_of, listed)):
                return failed(
                    f"{readable(type)} is found by browsing, but is not listed",
                    pointers[0].packet,
                    asked,
                    [found.packet for found in listed],
                )
        return passed("the enumeration lists every type", asked[0], [found.packet for found in listed])


@requirement(
    "DNSSD-10",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="7.1",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that declared subtypes point to the same instance as the type itself",
    stimulus="Browse for each declared subtype and for its base type",
    expect="The same instance under both",
    ics="DNSSD.SUBTYPE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The subtype is registered before the name is known, or dropped when the name changes.",
    phase=Phase.WATCH,
)
class SubtypesBrowsable(Check):
    """Narrower searches find the device as well."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await settled_names(bench)
        for owner, base in _subtypes(bench.profile):
            await ask(bench, Question(base, RecordType.PTR))
            await ask(bench, Question(owner, RecordType.PTR))

    def judge(self, case: Case) -> Outcome:
        evidence = []
        for owner, base in _subtypes(case.profile):
            asked, instances = queries(case, owner, RecordType.PTR), _pointers(case, base)
            if not asked or not instances:
                return inconclusive(
                    f"browsing for {readable(base)} finds nothing, so subtypes cannot be judged"
                )
            found = _pointers(case, owner)
            if not found:
                return failed(
                    f"browsing finds {readable(base)}, but not {readable(owner)}",
                    instances[0].packet,
                    asked,
                )
            for pointer in found:
                if not is_among(target_of(pointer), map(target_of, instances)):
                    return failed(
                        f"{readable(owner)} points to {readable(target_of(pointer))}, its base type does not",
                        pointer.packet,
                        instances[0].packet,
                    )
            evidence += [asked[0], found[0].packet, instances[0].packet]
        return passed("subtypes point to the instance of their base type", evidence)


def _subtypes(profile: Profile) -> list[tuple[str, str]]:
    """The full name of each declared subtype, with that of its base type."""
    return [
        (
            join_name(f"_{subtype.removeprefix('_')}", "_sub", *service.type.split("."), "local"),
            join_name(*service.type.split("."), "local"),
        )
        for service in binding_of(profile).services
        for subtype in service.subtypes
    ]


@requirement(
    "DNSSD-11",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="12.1, 12.2",
    level=Level.SHOULD,
    purpose="ensure that the device includes the records that the querier needs next",
    stimulus="Query PTR and SRV by unicast, or if nothing was multicast within the last second",
    expect="PTR with SRV, TXT and addresses, and SRV with addresses, in the same packet",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="Each record is sent alone, so that finding the device takes three round trips, each "
    "of which a Wi-Fi link may lose.",
    phase=Phase.WATCH,
)
class HelpfulAdditions(Check):
    """Looks for additional records in the answers."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await settled_names(bench)
        service = names.services[0]
        related = [Question(name, RecordType.ANY) for name in (*names.unique, service.type)]
        for question in (Question(service.type, RecordType.PTR), Question(service.name, RecordType.SRV)):
            begin = bench.mark()
            await ask(bench, question)
            if not any(
                found.unicast for found in sent_records(seen_by(bench, begin), question.name, question.type)
            ):
                # Records multicast within the last second are left out of further multicasts.
                await wait_for_spacing(bench, related)
                await ask(bench, question, multicast=True)

    def judge(self, case: Case) -> Outcome:
        names = names_of(run_so_far(case))
        service = names.services[0]
        pointer = _best(sent_records(case, service.type, RecordType.PTR))
        server = _best(sent_records(case, service.name, RecordType.SRV))
        if pointer is None or server is None:
            return inconclusive("the device did not answer queries for its services")
        expected = {
            pointer: [
                *((target_of(pointer), kind) for kind in (RecordType.SRV, RecordType.TXT)),
                (names.host, RecordType.A),
            ],
            server: [(names.host, RecordType.A)],
        }
        for answer, wanted in expected.items():
            for name, kind in wanted:
                kinds = ADDRESSES if kind is RecordType.A else (kind,)
                brought = any(
                    same_name(record.name, name) and record.type in kinds
                    for record in answer.packet.value.records
                )
                if not brought:
                    told_type = mdns.type_name(answer.record.type)
                    return failed(
                        f"the answer with {told_type} omits {readable(name)} {kind.name}", answer.packet
                    )
        return passed("answers include the records needed next", pointer.packet, server.packet)


def _best(answers: list[RecordSeen]) -> RecordSeen | None:
    """The answer that had no reason to omit records: a unicast one, otherwise the last."""
    own = [found for found in answers if found.section is Section.ANSWER]
    return first(own, lambda found: found.unicast) or first(reversed(own))
