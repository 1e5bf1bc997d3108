"""The TXT records of the device's services (RFC 6763, 6)."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed, run_so_far
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mdns.names import names_of
from harness.checks.support.mdns.queries import resolve
from harness.checks.support.mdns.records_seen import (
    RecordSeen,
    advertised,
    distinct,
    readable,
    target_of,
    told,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import mdns
from harness.wire.mdns.codec import RecordType

_LONGEST_KEY = 9  # characters (RFC 6763, 6.4)
_LARGEST = 1300  # bytes, so that the record fits one packet on an Ethernet link (RFC 6763, 6.2)


class _TxtCheck(Check):
    """Judges the TXT records that the run has seen; asks only for those that it has not."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await resolve(bench)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        texts = _texts(run)
        if not texts:
            return inconclusive("the device told no TXT record of a service")
        for found in texts:
            if problem := self.problem(run, found):
                return failed(f"TXT record of {readable(found.record.name)}: {problem}", found.packet)
        return passed(f"{len(texts)} TXT records are as they should be", [found.packet for found in texts])

    def problem(self, run: Case, found: RecordSeen) -> str | None:
        """What is wrong with one TXT record; None if nothing."""
        raise NotImplementedError


def _texts(run: Case) -> list[RecordSeen]:
    names = dict.fromkeys(
        [*map(target_of, advertised(run)), *(service.name for service in names_of(run).services)]
    )
    return distinct([found for name in names for found in told(run, name, RecordType.TXT)])


def _strings(found: RecordSeen) -> tuple[bytes, ...]:
    data = found.record.data
    return data.strings if isinstance(data, mdns.Txt) else ()


@requirement(
    "DNSSD-02",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="6.1, 6.4",
    level=Level.MUST,
    purpose="ensure that TXT records are well-formed",
    stimulus="Every TXT record of the run counts",
    expect="Strings of up to 255 bytes that fill the record, at least one; keys of printable ASCII, none "
    "empty",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="A service without keys gets a record of no bytes in place of one empty string, or the "
    "configuration has an entry without a key.",
)
class TxtSyntax(_TxtCheck):
    """The form of the record."""

    def problem(self, run: Case, found: RecordSeen) -> str | None:
        """What breaks the rules of the format."""
        if not isinstance(found.record.data, mdns.Txt):
            texts = [each.text for each in found.packet.value.problems if "TXT" in each.text]
            return texts[0] if texts else "it cannot be read"
        for text in _strings(found):
            key = text.partition(b"=")[0]
            if text and not key:
                return f"the string {text!r} has no key"
            if any(not 0x20 <= byte <= 0x7E for byte in key):
                return f"the key {key!r} holds something other than printable ASCII"
        return None


@requirement(
    "DNSSD-03",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="6.2, 6.4",
    level=Level.SHOULD,
    purpose="ensure that TXT records have short, unique keys and a modest size",
    stimulus="Every TXT record of the run counts",
    expect="Keys of up to nine characters, none twice in whatever letters, no more than 1300 bytes in all",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="Keys are spelled out as in a configuration file; every byte of them is multicast whenever "
    "anybody looks for a device.",
)
class TxtModest(_TxtCheck):
    """The size of the record and its keys."""

    def problem(self, run: Case, found: RecordSeen) -> str | None:
        """What is longer than it should be, or told twice."""
        if (size := len(found.record.rdata)) > _LARGEST:
            return f"it takes {size} bytes"
        seen = set()
        for key, _ in mdns.txt_pairs(_strings(found)):
            if len(key) > _LONGEST_KEY:
                return f"the key {key} has {len(key)} characters"
            if key.lower() in seen:
                return f"the key {key} is there twice"
            seen.add(key.lower())
        return None


@requirement(
    "DNSSD-04",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="6.3",
    level=Level.MUST,
    purpose="ensure that TXT records do not repeat what the SRV record says",
    stimulus="Every TXT record of the run counts, against the SRV record of the same name",
    expect="No key with the host name or the port",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="An app reads the port from the TXT record because its library makes that easier.",
)
class TxtRepeatsNothing(_TxtCheck):
    """TXT against SRV."""

    def problem(self, run: Case, found: RecordSeen) -> str | None:
        """Which key says again where the service is."""
        servers = [
            each.record.data
            for each in told(run, found.record.name, RecordType.SRV)
            if isinstance(each.record.data, mdns.Srv)
        ]
        hosts = {readable(server.target).lower() for server in servers}
        ports = {str(server.port) for server in servers}
        for key, raw in mdns.txt_pairs(_strings(found)):
            value = (raw or b"").decode("utf-8", "replace").lower().removesuffix(".")
            if value in hosts:
                return f"{key} repeats the host, {value}"
            # The number alone proves nothing: 80 may be a version or a percentage.
            if value in ports and "port" in key.lower():
                return f"{key} repeats the port, {value}"
        return None
