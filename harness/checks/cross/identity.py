"""Identity: what the device announces agrees with what it is found to be."""

from __future__ import annotations

from collections.abc import Iterator

from harness.checks.bench import Bench
from harness.checks.case import (
    Case,
    Evidence,
    failed,
    first,
    inconclusive,
    not_applicable,
    passed,
    run_so_far,
    seen_by,
)
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.identity import claims, meaning_of, pages_of, read_resources
from harness.checks.support.mdns.names import names_of
from harness.checks.support.mdns.queries import resolve
from harness.checks.support.mdns.records_seen import (
    sent_records,
)
from harness.model.bindings.mdns import (
    Speaks,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject, Verdict
from harness.wire import (
    mdns,
    mqtt,
)
from harness.wire.mdns.codec import RecordType

PATIENCE = 2.0  # seconds for an answer over TCP


@requirement(
    "DEV-25",
    area=Area.CROSS,
    standard="RFC 6763 and the profile",
    clause="6.3; profile: bindings",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device has the same identity on MQTT, CoAP and mDNS",
    stimulus="Resolve the services; compare them with the client identifier in CONNECT, and with the address "
    "and port at which the CoAP server answers",
    expect="A TXT value that the profile declares to be the client identifier is the one in CONNECT; the "
    "CoAP service is advertised where the CoAP server answers",
    ics="MULTI.PROTOCOL & DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The identifier is made from the serial number in one module and from the MAC address in "
    "another; or TXT records are written once in the factory.",
    phase=Phase.WATCH,
)
class SameIdentity(Check):
    """Identifier and address on each protocol."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await resolve(bench)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        evidence: list[Evidence] = []
        for judged in (*_judge_client_id(run), *_judge_address(run)):
            if judged.verdict is Verdict.FAIL:
                return judged
            evidence += judged.events
        if not evidence:
            if not _comparable(case.profile):
                return not_applicable("the transports of this profile report nothing to compare")
            return inconclusive("the device reported nothing to compare")
        return passed("the mDNS records agree with the other transports", evidence)


def _comparable(profile: Profile) -> bool:
    mqtt_binding, mdns_binding = profile.bindings.mqtt, profile.bindings.mdns
    services = mdns_binding.services if mdns_binding else ()
    named = mqtt_binding is not None and any(
        mqtt_binding.client_id in service.txt.values() for service in services
    )
    return named or any(service.speaks is Speaks.COAP for service in services)


def _judge_client_id(run: Case) -> Iterator[Outcome]:
    """Compare TXT values declared as client identifier with the one in CONNECT."""
    binding = run.profile.bindings.mqtt
    connects = run.mqtt(mqtt.Connect)
    if binding is None or not connects:
        return
    connect = connects[-1]
    for claim in claims(run):
        declared = {key.lower(): value for key, value in claim.service.txt.items()}
        if declared.get(claim.key) != binding.client_id:
            continue
        if claim.value != connect.value.client_id:
            yield failed(
                f"TXT says {claim.key}={claim.value}, but over MQTT it is {connect.value.client_id}",
                claim.packet,
                connect,
            )
        yield passed(f"{claim.key} is the client identifier", claim.packet, connect)


def _judge_address(run: Case) -> Iterator[Outcome]:
    """Compare where a CoAP service is advertised with where the device answered."""
    answered = first(run.coap(), lambda seen: not seen.value.problems)
    if answered is None or run.profile.bindings.coap is None:
        return
    host, _, port = answered.body.remote.rpartition(":")
    for service in names_of(run).services:
        records = sent_records(run, service.name, RecordType.SRV)
        data = records[-1].record.data if records else None
        if service.declared.speaks is not Speaks.COAP or not isinstance(data, mdns.Srv):
            continue
        if str(data.port) != port:
            yield failed(
                f"SRV says port {data.port}, but the CoAP server answers at {port}",
                records[-1].packet,
                answered,
            )
            continue
        addresses = sent_records(run, data.target, RecordType.A)
        known = {each.record.data.text for each in addresses if isinstance(each.record.data, mdns.Address)}
        if known and _is_address(host) and host not in known:
            yield failed(
                f"{data.target} is at {', '.join(sorted(known))}, but the CoAP server answers at {host}",
                addresses[-1].packet,
                answered,
            )
            continue
        yield passed("the CoAP server answers where it is advertised", records[-1].packet, answered)


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()


@requirement(
    "DNSSD-12",
    area=Area.CROSS,
    standard="RFC 6763",
    clause="6.3",
    level=Level.SHOULD,
    purpose="ensure that the TXT records of the device agree with what it reports in-band",
    stimulus="Resolve the services; read the info page over HTTP, and fixed JSON resources over CoAP",
    expect="Identifier, model and firmware version are the same in both",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The TXT record is a constant in the source code that is not updated with the version.",
    phase=Phase.WATCH,
)
class TxtAgreesInBand(Check):
    """Compares TXT records with info pages and resources."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await resolve(bench)
        run = seen_by(bench)
        for service in names_of(run).services:
            records = sent_records(run, service.name, RecordType.SRV)
            data = records[-1].record.data if records else None
            if service.declared.speaks is not Speaks.HTTP or not isinstance(data, mdns.Srv):
                continue
            if bench.host is not None:
                path = service.declared.txt.get("path", "/")
                request = f"GET {path} HTTP/1.1\r\nHost: {bench.host}\r\nConnection: close\r\n\r\n"
                await bench.probe_tcp(bench.host, data.port, request.encode(), within=PATIENCE)
        await read_resources(bench)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        found = list(claims(run))
        if not found:
            return inconclusive("no TXT record of the device was seen")
        pages = list(pages_of(case))
        evidence: list[Evidence] = []
        for page in pages:
            for claim in found:
                for key, value in page.members.items():
                    if meaning_of(key) is None or meaning_of(key) != meaning_of(claim.key):
                        continue
                    if not _agree(meaning_of(key), claim.value, str(value)):
                        return failed(
                            f"TXT says {claim.key}={claim.value}, but the device reports {key}: {value}",
                            claim.packet,
                            page.event,
                        )
                    evidence += [claim.packet, page.event]
        if evidence:
            return passed(
                "the TXT records agree with what the device reports of identity and version", evidence
            )
        if not pages:
            return not_applicable("the device has no JSON page or resource to compare with")
        return not_applicable("the pages and resources of the device share no key with its TXT records")


def _agree(meaning: str | None, first_text: str, second: str) -> bool:
    one, other = first_text.strip().casefold(), second.strip().casefold()
    if meaning == "id":
        # One of them often has the kind of device as a prefix: plug-a4cf12 and a4cf12.
        return one.endswith(other) or other.endswith(one)
    return one == other
