"""The DNS records of a simulated device: its host name and its services (RFC 6762, RFC 6763)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from dns.name import Name
from dns.rdata import GenericRdata, Rdata
from dns.rdataclass import IN
from dns.rdatatype import ANY, NSEC, PTR, RdataType
from dns.rdtypes.ANY.NSEC import NSEC as NsecData
from dns.rdtypes.ANY.PTR import PTR as PtrData
from dns.rdtypes.ANY.TXT import TXT as TxtData
from dns.rdtypes.IN.A import A as AddressData
from dns.rdtypes.IN.SRV import SRV as SrvData

from harness.model.bindings.mdns import (
    MdnsBinding,
    MdnsService,
)
from harness.simulate.mdns.codec import (
    Question,
    Record,
    clipped,
    labels,
)
from harness.simulate.mdns.deviations import MdnsDeviations

DOMAIN = "local"
_ENUMERATION = labels("_services", "_dns-sd", "_udp", DOMAIN)  # RFC 6763, 9


def next_instance(label: str) -> str:
    """The next instance name to try: "Name (2)", "Name (3)", … (RFC 6763, appendix D)."""
    found = re.fullmatch(r"(.*) \((\d+)\)", label, re.DOTALL)
    base, number = (found[1], int(found[2])) if found else (label, 1)
    suffix = f" ({number + 1})"
    return clipped(base, 63 - len(suffix)) + suffix


def next_host(host: str) -> str:
    """The next host label to try: ``host-2``, ``host-3``, …"""
    found = re.fullmatch(r"(.*)-(\d+)", host)
    base, number = (found[1], int(found[2])) if found else (host, 1)
    suffix = f"-{number + 1}"
    return clipped(base, 63 - len(suffix)) + suffix


class RecordSet:
    """All records of one device under its current names; immutable, replaced if a name changes."""

    def __init__(
        self,
        binding: MdnsBinding,
        deviations: MdnsDeviations,
        *,
        address: str,
        port_of: Callable[[MdnsService], int],
        host: str,
        instances: tuple[str, ...],
    ) -> None:
        self.binding = binding
        self.host_label = host
        self.instance_labels = instances
        self.host = labels(host, DOMAIN)
        self._deviations = deviations
        self.address = self._unique(
            self.host, _data(AddressData, RdataType.A, deviations.address or address), deviations.host_ttl
        )
        more = [
            self._unique(self.host, _data(AddressData, RdataType.A, text), deviations.host_ttl)
            for text in deviations.more_addresses
        ]
        self.claims: dict[Name, list[Record]] = {self.host: [self.address, *more]}
        self.pointers: list[Record] = []
        self._instances: list[Name] = []
        self._enumeration: list[Record] = []
        for service, label in zip(binding.services, instances, strict=True):
            self._add_service(service, label, port_of(service))
        self.by_name: dict[Name, list[Record]] = {}
        for record in (*self.pointers, *self._enumeration, *self.unique):
            self.by_name.setdefault(record.name, []).append(record)
        self._own_labels = {name.labels[0].lower() for name in self.claims}
        self._labels = {name.labels[0].lower() for name in self.by_name}

    def keep(self, earlier: RecordSet) -> None:
        """Continues to answer for the names of an earlier set (a fault)."""
        for name, records in earlier.by_name.items():
            self.by_name.setdefault(name, records)
        self._labels |= earlier._labels

    @property
    def unique(self) -> list[Record]:
        """The records of names that no other host may use."""
        return [record for records in self.claims.values() for record in records]

    @property
    def announced(self) -> list[Record]:
        """The records of an announcement or a goodbye."""
        return [*self.pointers, *self.unique]

    @property
    def of_services(self) -> list[Record]:
        """The announced records without those of the host."""
        return [record for record in self.announced if record.name != self.host]

    def concerns(self, data: bytes) -> bool:
        """A quick test whether a packet may be about this device.

        Most packets on a busy link are about others, and decoding each would be expensive. A label is written
        in full in every packet with the name, despite compression: in queries that of a name with records, in
        responses that of one of the device's own names.
        """
        is_response = data[2:3] >= b"\x80"
        lowered = data.lower()
        return any(label in lowered for label in (self._own_labels if is_response else self._labels))

    def _add_service(self, service: MdnsService, label: str, port: int) -> None:
        deviations = self._deviations
        kind = (deviations.service_type or service.type).split(".")
        type_name = labels(*kind, DOMAIN)
        parts = label.split(".") if deviations.splits_dots else [label]
        instance = labels(*map(deviations.label_bytes, parts), *kind, DOMAIN)
        target = labels(deviations.pointer_name, *kind, DOMAIN) if deviations.pointer_name else instance
        port = (port + deviations.srv_port_offset) & 0xFFFF
        self._instances.append(instance)
        self.claims[instance] = [
            self._unique(
                instance,
                _data(SrvData, RdataType.SRV, 0, deviations.srv_weight, port, self.host),
                deviations.host_ttl,
            ),
            self._unique(instance, self._txt(service), deviations.other_ttl),
        ]
        self.pointers.append(self._pointer(type_name, target))
        for subtype in service.subtypes if deviations.subtypes else ():
            name = labels(subtype if subtype.startswith("_") else f"_{subtype}", "_sub", *kind, DOMAIN)
            self.pointers.append(self._pointer(name, target))
        if deviations.enumerates:
            entry = self._pointer(_ENUMERATION, instance if deviations.enumerates_instances else type_name)
            if entry not in self._enumeration:
                self._enumeration.append(entry)

    def _txt(self, service: MdnsService) -> Rdata:
        strings = [f"{key}={value}".encode() for key, value in service.txt.items()]
        if self._deviations.txt is not None:
            strings = list(self._deviations.txt)
            if not strings:
                return GenericRdata(IN, RdataType.TXT, b"")
        # RFC 6763, 6.1: an empty TXT record is one empty string.
        return _data(TxtData, RdataType.TXT, strings or [b""])

    def _unique(self, name: Name, rdata: Rdata, ttl: int) -> Record:
        return Record(name, rdata, ttl, unique=True, flush=self._deviations.cache_flush_on_unique)

    def _pointer(self, name: Name, target: Name) -> Record:
        deviations = self._deviations
        rdata = _data(PtrData, PTR, target)
        return Record(name, rdata, deviations.other_ttl, unique=False, flush=deviations.cache_flush_on_shared)

    def answers(self, question: Question) -> list[Record]:
        """The records that answer a question; an NSEC if the name is the device's and the type is missing."""
        records = self.by_name.get(question.name, [])
        if not self._deviations.ignores_case:
            records = [record for record in records if record.name.labels == question.name.labels]
        found = [record for record in records if question.type in (ANY, record.type)]
        is_ours = bool(records) and question.name in self.claims
        if not found and is_ours and self._deviations.negative_answers:
            return [self.nsec(question.name)]
        return found

    def nsec(self, name: Name) -> Record:
        """The types that a name of the device has, and thus those that it lacks (RFC 6762, 6.1)."""
        bitmap = bytearray(max(record.type for record in self.claims[name]) // 8 + 1)
        for record in self.claims[name]:
            bitmap[record.type // 8] |= 0x80 >> record.type % 8
        return self._unique(
            name, _data(NsecData, NSEC, name, [(0, bytes(bitmap))]), self._deviations.host_ttl
        )

    def additionals(self, answers: Collection[Record]) -> list[Record]:
        """The records that the querier needs next (RFC 6762, 6.2; RFC 6763, 12)."""
        if not self._deviations.additional_records:
            return []
        found: dict[Record, None] = {}
        for answer in answers:
            if answer.type == PTR and isinstance(answer.rdata, PtrData):
                instance = self.claims.get(answer.rdata.target, [])
                found.update(dict.fromkeys(instance))
                if instance:
                    found[self.address] = None
            elif answer.type == RdataType.SRV:
                found[self.address] = None
        if self._deviations.negative_answers and (self.address in found or self.address in answers):
            found[self.nsec(self.host)] = None
        return [record for record in found if record not in answers]

    def renamed(self, names: Iterable[Name]) -> tuple[str, tuple[str, ...]]:
        """Host label and instance labels after giving up some names."""
        lost = set(names)
        host = next_host(self.host_label) if self.host in lost else self.host_label
        instances = tuple(
            next_instance(label) if name in lost else label
            for label, name in zip(self.instance_labels, self._instances, strict=True)
        )
        return host, instances


def _data(kind: Any, number: int, *fields: Any) -> Rdata:
    rdata: Rdata = kind(IN, number, *fields)  # dnspython's record classes are not typed
    return rdata


def for_legacy(record: Record) -> Record:
    """The record for plain DNS clients: short-lived, without cache-flush bit (RFC 6762, 6.7)."""
    return replace(record, ttl=min(record.ttl, 10), flush=False)
