"""Finding the services of the device by browsing, and what leads from there to them (RFC 6763)."""

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
    present,
    spaced,
)
from harness.checks.support.mdns.records_seen import (
    ADDRESSES,
    SERVICE_TYPES,
    RecordSeen,
    Section,
    distinct,
    queries,
    readable,
    target_of,
    told,
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
"""How instance names look that were changed because of a conflict (RFC 6763, appendix D)."""


def _types(services: tuple[ServiceName, ...]) -> list[str]:
    return list(dict.fromkeys(service.type for service in services))


def _pointers(case: Case, owner: str) -> list[RecordSeen]:
    """The names that the device tells under ``owner`` in the window, each once."""
    return [found for found in distinct(told(case, owner, RecordType.PTR)) if target_of(found)]


@requirement(
    "PROFILE-40",
    area=Area.MDNS,
    standard="profile",
    clause="bindings.mdns.services",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that every service of the profile is found by browsing, with its name and TXT record",
    stimulus="Ask for the instances of each declared service type, and for their TXT records",
    expect="Each declared instance is found under its type, and its TXT record holds the declared keys and "
    "values and no others",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The TXT record was written by hand and not changed with the firmware, or the name of the "
    "service is made of the host name.",
)
class ServicesAsDeclared(Check):
    """Browses like an app that looks for the device, and compares with the profile."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await present(bench)
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
                return inconclusive(f"{readable(service.type)} was not asked for")
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
            texts = told(case, target_of(pointer), RecordType.TXT)
            if not texts:
                queried = queries(case, target_of(pointer), RecordType.TXT)
                return failed(f"{readable(target_of(pointer))} has no TXT record", pointer.packet, queried)
            if problem := _differs(texts[-1].record.data, service.declared.txt):
                return failed(f"TXT record of {readable(target_of(pointer))}: {problem}", texts[-1].packet)
            evidence += [pointer.packet, texts[-1].packet]
        if renamed and not is_among(target_of(renamed), _known_successors(case)):
            return warned(
                f'found as "{readable(target_of(renamed))}": it has changed its name because of a conflict '
                "of which this run knows nothing",
                evidence,
            )
        return passed("every service is found by browsing, with the declared TXT record", evidence)


def _instance(service: ServiceName, found: list[RecordSeen]) -> RecordSeen | None:
    """The PTR record of a declared service, if need be under a name that it took after a conflict."""
    declared = first(found, lambda each: same_name(target_of(each), service.name))
    return declared or first(found, lambda each: _is_successor(service, target_of(each)))


def _is_successor(service: ServiceName, name: str) -> bool:
    """Whether a name is the declared one as it is changed after a conflict."""
    label = split_name(name)[0].decode("utf-8", "replace")
    changed = _AFTER_CONFLICT.fullmatch(label)
    return changed is not None and changed[1] == service.declared.instance


def _known_successors(case: Case) -> list[str]:
    """Present names of services for whose earlier names we told records of our own."""
    run = run_so_far(case)
    if not disputed_names(run):
        return []
    return [service.name for service in names_of(run).services]


def _differs(data: mdns.Data, declared: dict[str, str]) -> str | None:
    """What a TXT record says other than the profile; None if nothing."""
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
            return f"{key} is {shown}, declared is {value.decode()!r}"
    extra = [key for low, (key, _) in pairs.items() if low not in wanted]
    return f"{extra[0]} is not declared" if extra else None


@requirement(
    "DNSSD-01",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="4.1, 5, 6",
    level=Level.MUST,
    purpose="ensure that every advertised PTR record leads to an SRV and a TXT record of the same name",
    stimulus="Browse for each declared type, then ask for SRV and TXT of every instance that was found",
    expect="One SRV record and a TXT record, be it empty, under the very name in the PTR record",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="A renamed device changes the PTR record only, or escapes a dot in the name in one place and "
    "not in another.",
)
class PointersLeadToServices(Check):
    """Browse, then resolve what was found."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        begin = bench.mark()
        for type in _types((await present(bench)).services):
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
                    return inconclusive(f"{readable(name)} {type.name} was not asked for")
                answers = distinct(told(case, name, type, after=pointer.line - 1))
                if not answers:
                    return failed(f"{readable(name)} has no {type.name} record", pointer.packet, asked)
                if len(answers) > 1 and type is RecordType.SRV:
                    return failed(
                        f"{readable(name)} has {len(answers)} SRV records", [each.packet for each in answers]
                    )
                evidence += [pointer.packet, answers[0].packet]
        return passed(f"{len(found)} PTR records lead to SRV and TXT records", evidence)


@requirement(
    "DNSSD-09",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="9",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the enumeration of service types lists the types of the IUT",
    stimulus="Ask for PTR of _services._dns-sd._udp.local",
    expect="Every advertised type, as a name of two labels and the domain, and nothing else",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The meta-query is answered with instance names, or not at all.",
)
class TypesEnumerated(Check):
    """The meta-query, by which tools find out what there is."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        for type in _types((await present(bench)).services):
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
                    f"the enumeration lists {readable(target_of(found))}, which is no type", found.packet
                )
        for type, pointers in browsed.items():
            if pointers and not is_among(type, map(target_of, listed)):
                return failed(
                    f"{readable(type)} is found by browsing, but not listed",
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
    purpose="ensure that declared subtypes lead to the same instance as the type itself",
    stimulus="Browse for each declared subtype and for its base type",
    expect="The same instance under both",
    ics="DNSSD.SUBTYPE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The subtype is registered before the name is known, or dropped when the name changes.",
)
class SubtypesBrowsable(Check):
    """Narrower searches find the device, too."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await present(bench)
        for owner, base in _subtypes(bench.profile):
            await ask(bench, Question(base, RecordType.PTR))
            await ask(bench, Question(owner, RecordType.PTR))

    def judge(self, case: Case) -> Outcome:
        evidence = []
        for owner, base in _subtypes(case.profile):
            asked, instances = queries(case, owner, RecordType.PTR), _pointers(case, base)
            if not asked or not instances:
                return inconclusive(f"browsing for {readable(base)} finds nothing, so subtypes tell nothing")
            found = _pointers(case, owner)
            if not found:
                return failed(
                    f"{readable(base)} is found by browsing, {readable(owner)} is not",
                    instances[0].packet,
                    asked,
                )
            for pointer in found:
                if not is_among(target_of(pointer), map(target_of, instances)):
                    return failed(
                        f"{readable(owner)} leads to {readable(target_of(pointer))}, its base type does not",
                        pointer.packet,
                        instances[0].packet,
                    )
            evidence += [asked[0], found[0].packet, instances[0].packet]
        return passed("subtypes lead to the instance of their base type", evidence)


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
    purpose="ensure that answers bring along what the asker will want to know next",
    stimulus="Ask for PTR, and for SRV, by unicast, or when nothing was multicast within the last second",
    expect="With PTR come SRV, TXT and addresses, with SRV come addresses, in the same packet",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="Each record is answered by itself, so that finding the device takes three round trips, each "
    "of which a Wi-Fi link may lose.",
)
class HelpfulAdditions(Check):
    """Looks into the packets that answer for what they bring along."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        names = await present(bench)
        service = names.services[0]
        related = [Question(name, RecordType.ANY) for name in (*names.unique, service.type)]
        for question in (Question(service.type, RecordType.PTR), Question(service.name, RecordType.SRV)):
            begin = bench.mark()
            await ask(bench, question)
            if not any(found.unicast for found in told(seen_by(bench, begin), question.name, question.type)):
                # What everybody was told within the last second is left out of multicasts.
                await spaced(bench, related)
                await ask(bench, question, multicast=True)

    def judge(self, case: Case) -> Outcome:
        names = names_of(run_so_far(case))
        service = names.services[0]
        pointer = _best(told(case, service.type, RecordType.PTR))
        server = _best(told(case, service.name, RecordType.SRV))
        if pointer is None or server is None:
            return inconclusive("the device does not answer for its services")
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
                        f"the answer with {told_type} leaves out {readable(name)} {kind.name}", answer.packet
                    )
        return passed("answers bring along the records that are wanted next", pointer.packet, server.packet)


def _best(answers: list[RecordSeen]) -> RecordSeen | None:
    """The answer that had no reason to leave anything out: one to us alone, or else the last."""
    own = [found for found in answers if found.section is Section.ANSWER]
    return first(own, lambda found: found.unicast) or first(reversed(own))
