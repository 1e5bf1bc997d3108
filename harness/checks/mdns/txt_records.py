"""TXT records of the device's services (RFC 6763, 6)."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed, run_so_far
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import names_of
from harness.checks.support.mdns.queries import resolve
from harness.checks.support.mdns.records_seen import (
    RecordSeen,
    advertised,
    distinct,
    readable,
    sent_records,
    target_of,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import mdns
from harness.wire.mdns.codec import RecordType

_LONGEST_KEY = 9  # characters (RFC 6763, 6.4)
_LARGEST = 1300  # bytes that fit one packet on an Ethernet link (RFC 6763, 6.2)


class _TxtCheck(Check):
    """Judges the TXT records that the run has seen; queries only those that it has not seen."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await resolve(bench)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        texts = _texts(run)
        if not texts:
            return inconclusive("the device sent no TXT record of a service")
        for found in texts:
            if problem := self.problem(run, found):
                return failed(f"TXT record of {readable(found.record.name)}: {problem}", found.packet)
        return passed(f"{len(texts)} TXT records follow the rules", [found.packet for found in texts])

    def problem(self, run: Case, found: RecordSeen) -> str | None:
        """What is wrong with one TXT record; None if nothing is."""
        raise NotImplementedError


def _texts(run: Case) -> list[RecordSeen]:
    names = dict.fromkeys(
        [*map(target_of, advertised(run)), *(service.name for service in names_of(run).services)]
    )
    return distinct([found for name in names for found in sent_records(run, name, RecordType.TXT)])


def _strings(found: RecordSeen) -> tuple[bytes, ...]:
    data = found.record.data
    return data.strings if isinstance(data, mdns.Txt) else ()


@requirement(
    "DNSSD-02",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="6.1, 6.4",
    level=Level.MUST,
    purpose="ensure that the device's TXT records are well-formed",
    stimulus="All TXT records of the run count",
    expect="At least one string; strings of up to 255 bytes that fill the record; keys of printable ASCII, "
    "not empty",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="A service without keys gets an empty record instead of one empty string, or the "
    "configuration has an entry without a key.",
    phase=Phase.WATCH,
)
class TxtSyntax(_TxtCheck):
    """The form of the record."""

    def problem(self, run: Case, found: RecordSeen) -> str | None:
        """What breaks the format; None if nothing does."""
        if not isinstance(found.record.data, mdns.Txt):
            texts = [each.text for each in found.packet.value.problems if "TXT" in each.text]
            return texts[0] if texts else "it cannot be read"
        for text in _strings(found):
            key = text.partition(b"=")[0]
            if text and not key:
                return f"the string {text!r} has no key"
            if any(not 0x20 <= byte <= 0x7E for byte in key):
                return f"the key {key!r} contains other bytes than printable ASCII"
        return None


@requirement(
    "DNSSD-03",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="6.2, 6.4",
    level=Level.SHOULD,
    purpose="ensure that the device's TXT records are small, with short and unique keys",
    stimulus="All TXT records of the run count",
    expect="Keys of up to nine characters, none twice (ignoring case), at most 1300 bytes in all",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="Keys are spelled out as in a configuration file; every byte of them is multicast whenever "
    "anyone looks for a device.",
    phase=Phase.WATCH,
)
class TxtModest(_TxtCheck):
    """The size of the record and its keys."""

    def problem(self, run: Case, found: RecordSeen) -> str | None:
        """What is too long or duplicated; None if nothing is."""
        if (size := len(found.record.rdata)) > _LARGEST:
            return f"it has {size} bytes"
        seen = set()
        for key, _ in mdns.txt_pairs(_strings(found)):
            if len(key) > _LONGEST_KEY:
                return f"the key {key} has {len(key)} characters"
            if key.lower() in seen:
                return f"it has the key {key} twice"
            seen.add(key.lower())
        return None


@requirement(
    "DNSSD-04",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="6.3",
    level=Level.MUST,
    purpose="ensure that the device's TXT records do not repeat the SRV record",
    stimulus="All TXT records of the run count, compared with the SRV records of the same names",
    expect="No key with the host name or the port",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="An app reads the port from the TXT record because its library makes that easier.",
    phase=Phase.WATCH,
)
class TxtRepeatsNothing(_TxtCheck):
    """Compares TXT with SRV."""

    def problem(self, run: Case, found: RecordSeen) -> str | None:
        """The key that repeats where the service is; None if no key does."""
        servers = [
            each.record.data
            for each in sent_records(run, found.record.name, RecordType.SRV)
            if isinstance(each.record.data, mdns.Srv)
        ]
        hosts = {readable(server.target).lower() for server in servers}
        ports = {str(server.port) for server in servers}
        for key, raw in mdns.txt_pairs(_strings(found)):
            value = (raw or b"").decode("utf-8", "replace").lower().removesuffix(".")
            if value in hosts:
                return f"{key} repeats the host name {value}"
            # A number alone proves nothing: 80 may be a version or a percentage.
            if value in ports and "port" in key.lower():
                return f"{key} repeats the port {value}"
        return None
