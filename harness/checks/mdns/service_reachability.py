"""Whether a service answers at the address and port of its SRV record (RFC 6763, 5)."""

from __future__ import annotations

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import (
    Case,
    Evidence,
    failed,
    inconclusive,
    passed,
    run_so_far,
    seen_by,
)
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.mdns.names import (
    ServiceName,
    names_of,
)
from harness.checks.support.mdns.queries import (
    ask,
    settled_names,
)
from harness.checks.support.mdns.records_seen import (
    RecordSeen,
    multicasts,
    readable,
    sent_records,
)
from harness.checks.support.networks import answered_pings, ping_coap
from harness.model.bindings.mdns import (
    MdnsService,
    Speaks,
)
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Body, Event, TcpProbe
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Question,
    RecordType,
)

CONNECTED = 5.0  # seconds in which a service on the same link answers


@requirement(
    "DNSSD-07",
    area=Area.MDNS,
    standard="RFC 6763",
    clause="5",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device's services answer at the target and port of their SRV records",
    stimulus="Resolve each service, connect to its address and port, and use its protocol",
    expect="HTTP answers a request, CoAP answers a ping, any other TCP service accepts the connection",
    ics="DNSSD.SERVICE",
    needs=(BenchFeature.MDNS,),
    usual_cause="The service was moved to another port or disabled in the settings, but is still advertised.",
    phase=Phase.WATCH,
)
class ServiceAnswersThere(Check):
    """Follows the records to the service itself."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        for service in (await settled_names(bench)).services:
            await ask(bench, Question(service.name, RecordType.SRV))
            server = _server(seen_by(bench), service)
            if server is None:
                raise StimulusError(f"{readable(service.name)} has no SRV record")
            await ask(bench, Question(_srv(server).target, RecordType.A))
            place = _place(seen_by(bench), server)
            if place is None:
                raise StimulusError(
                    f"the address of {readable(_srv(server).target)} is not the device's, so it was not tried"
                )
            await _try(bench, service.declared, *place)

    def judge(self, case: Case) -> Outcome:
        run = run_so_far(case)
        evidence: list[Evidence] = []
        for service in names_of(run).services:
            server = _server(run, service)
            place = _place(run, server) if server else None
            if server is None or place is None:
                return inconclusive(f"{readable(service.name)} has no SRV record that points to the device")
            host, port = place
            tried, answered = _tried(case, service.declared, host, port)
            if not tried:
                return inconclusive(f"{host} port {port} was not tried")
            if not answered:
                return failed(
                    f"{readable(service.name)} is advertised at {host} port {port}, but no "
                    f"{service.declared.speaks.upper()} answers there",
                    server.packet,
                    tried,
                )
            evidence += [server.packet, *tried]
        return passed("every service answers at the address of its SRV record", evidence)


def _server(run: Case, service: ServiceName) -> RecordSeen | None:
    """The last SRV record of a service."""
    found = [
        each
        for each in sent_records(run, service.name, RecordType.SRV)
        if isinstance(each.record.data, mdns.Srv)
    ]
    return found[-1] if found else None


def _srv(server: RecordSeen) -> mdns.Srv:
    assert isinstance(server.record.data, mdns.Srv), "_server returns readable records only"
    return server.record.data


def _place(run: Case, server: RecordSeen) -> tuple[str, int] | None:
    """The address and the port of a service; None if the device does not send from that address.

    The harness does not connect to other hosts.
    """
    data = _srv(server)
    spoke = {seen.body.source.rpartition(":")[0] for seen in multicasts(run)}
    for found in reversed(sent_records(run, data.target, RecordType.A)):
        if isinstance(found.record.data, mdns.Address) and found.record.data.text in spoke:
            return found.record.data.text, data.port
    return None


async def _try(bench: Bench, declared: MdnsService, host: str, port: int) -> None:
    if declared.speaks is Speaks.COAP:
        if not bench.offers(BenchFeature.COAP):
            raise StimulusError("the bench cannot use CoAP with the device")
        await ping_coap(bench, (host, port), within=CONNECTED, what=f"ping to port {port}")
    elif declared.speaks is Speaks.HTTP:
        path = declared.txt.get("path", "/")  # the key that _http._tcp has for it
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        await bench.probe_tcp(host, port, request.encode(), within=CONNECTED)
    else:
        await bench.probe_tcp(host, port, within=CONNECTED)


def _tried(case: Case, declared: MdnsService, host: str, port: int) -> tuple[list[Event], bool]:
    """The attempts to reach the service and the answers, and whether the service answered."""
    if declared.speaks is not Speaks.COAP:
        probes = [
            event
            for event in case.window
            if isinstance(event.body, TcpProbe) and (event.body.host, event.body.port) == (host, port)
        ]
        return probes, any(_accepted(event.body, declared) for event in probes)
    return answered_pings(case, host, port)


def _accepted(probe: Body, declared: MdnsService) -> bool:
    if not isinstance(probe, TcpProbe) or not probe.connected:
        return False
    return declared.speaks is not Speaks.HTTP or probe.answer.startswith(b"HTTP/1.")
