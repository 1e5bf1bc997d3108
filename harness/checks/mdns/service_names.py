"""Names of services, and the numbers in their SRV records (RFC 6763, 4, 5 and 7)."""

from __future__ import annotations

import re

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed, run_so_far, warned
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import (
    ServiceName,
    is_among,
    names_of,
)
from harness.checks.support.mdns.queries import resolve
from harness.checks.support.mdns.records_seen import (
    advertised,
    distinct,
    readable,
    sent_records,
    target_of,
)
from harness.model.bindings.mdns import Speaks
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import mdns
from harness.wire.mdns.codec import (
    RecordType,
    split_name,
)

_SERVICE = re.compile(r"_(?=[^.]*[A-Za-z])[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_LONGEST_SERVICE = 15  # characters without the underscore (RFC 6335, 5.1)
_HARDWARE_ADDRESS = re.compile(
    rb"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}([:-]?))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
)


class _NameCheck(Check):
    """Judges the services that the run has seen; sends queries only if it has seen none."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await resolve(bench)


@requirement(
    "DNSSD-05",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="4.1.2, 7, 7.2",
    level=Level.MUST,
    purpose="ensure that the device announces legal service types",
    stimulus="All service types that the device announces in the run count",
    expect="Underscore and 1 to 15 letters, digits and single inner hyphens, at least one letter; _udp for "
    "CoAP, _tcp for services over TCP",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The product name is used as the service type, with underscores and longer than 15 "
    "characters.",
    phase=Phase.WATCH,
)
class LegalTypes(_NameCheck):
    """The owners of the PTR records."""

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        pointers = advertised(run)
        if not pointers:
            return inconclusive("the device announced no service")
        declared = {service.type.lower(): service for service in names_of(run).services}
        for pointer in pointers:
            labels = [label.decode("utf-8", "replace") for label in split_name(pointer.record.name)]
            if problem := _illegal(labels) or _other_transport(
                labels, declared.get(pointer.record.name.lower())
            ):
                return failed(f"service type {readable(pointer.record.name)}: {problem}", pointer.packet)
        return passed(f"{len(pointers)} services have legal types", [each.packet for each in pointers])


def _illegal(labels: list[str]) -> str | None:
    service = labels[0]
    if len(service) - 1 > _LONGEST_SERVICE:
        return f"its name has {len(service) - 1} characters, but only {_LONGEST_SERVICE} are allowed"
    if not _SERVICE.fullmatch(service):
        return "its name may have only letters, digits and single inner hyphens, and at least one letter"
    if len(labels) != 3 or labels[1].lower() not in ("_tcp", "_udp"):
        return "its second label must be _tcp or _udp"
    return None


def _other_transport(labels: list[str], service: ServiceName | None) -> str | None:
    if service is None:
        return None
    wanted = "_udp" if service.declared.speaks is Speaks.COAP else "_tcp"
    if labels[1].lower() == wanted:
        return None
    return f"it is for {service.declared.speaks.upper()}, which requires {wanted}"


@requirement(
    "DNSSD-06",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="4.1.1",
    level=Level.MUST,
    purpose="ensure that the device has legal instance names that people can read",
    stimulus="All instances that the device announces in the run count",
    expect="One label of up to 63 bytes of UTF-8 without control characters, including any dots; no "
    "hardware address in it (recommended)",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The full name is assembled as text, so that a dot typed by the user splits the label.",
    phase=Phase.WATCH,
)
class LegalInstances(_NameCheck):
    """The targets of the PTR records."""

    def judge(self, case: Case) -> Outcome:
        pointers = advertised(run_so_far(case))
        if not pointers:
            return inconclusive("the device announced no service")
        for pointer in pointers:
            own = split_name(target_of(pointer))[: -len(split_name(pointer.record.name))]
            if problem := _unfit_instance(own):
                return failed(f"instance name {readable(target_of(pointer))!r}: {problem}", pointer.packet)
        for pointer in pointers:
            label = split_name(target_of(pointer))[0]
            if _HARDWARE_ADDRESS.search(label):
                return warned(
                    f"instance name {readable(target_of(pointer))!r}: it contains a hardware address, which "
                    "means nothing to people",
                    pointer.packet,
                )
        return passed(f"{len(pointers)} instance names are legal", [each.packet for each in pointers])


def _unfit_instance(labels: tuple[bytes, ...]) -> str | None:
    if len(labels) != 1:
        return f"it is split into {len(labels)} labels"
    if any(byte < 0x20 or byte == 0x7F for byte in labels[0]):
        return "it contains control characters"
    try:
        labels[0].decode()
    except UnicodeDecodeError:
        return "it is not UTF-8"
    return None


@requirement(
    "DNSSD-08",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="5",
    level=Level.SHOULD,
    purpose="ensure that the device's SRV records have priority and weight zero",
    stimulus="All SRV records of the run count",
    expect="Priority 0, weight 0",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="Numbers are copied from an example of unicast DNS, where several servers share a service.",
    phase=Phase.WATCH,
)
class NoPriorities(_NameCheck):
    """The numbers of the SRV records."""

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        names = {*map(target_of, advertised(run)), *(service.name for service in names_of(run).services)}
        servers = distinct(
            [found for found in sent_records(run, type=RecordType.SRV) if is_among(found.record.name, names)]
        )
        if not servers:
            return inconclusive("the device sent no SRV record of a service")
        for found in servers:
            data = found.record.data
            if not isinstance(data, mdns.Srv):
                return failed(f"the SRV record of {readable(found.record.name)} cannot be read", found.packet)
            if data.priority or data.weight:
                return failed(
                    f"the SRV record of {readable(found.record.name)} has priority {data.priority} and "
                    f"weight {data.weight}",
                    found.packet,
                )
        return passed(f"{len(servers)} SRV records have priority and weight 0", [s.packet for s in servers])
