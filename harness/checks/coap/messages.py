"""The CoAP message layer: pings, types, tokens, message ids (RFC 7252, sections 3 and 4)."""

from __future__ import annotations

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, first, passed
from harness.checks.catalogue import Check, requirement
from harness.model.requirement import Area, Level, Need
from harness.model.verdict import Outcome, Subject
from harness.trace import coap
from harness.trace.events import Direction

EXCHANGE = 5.0  # seconds in which a device on the same link has answered, if it does at all


@requirement(
    "COAP-CORE-05",
    area=Area.COAP,
    standard="RFC 7252",
    clause="4.3",
    level=Level.MUST,
    purpose="ensure that the IUT answers a CoAP ping",
    stimulus="Send an Empty CON",
    expect="RST with the same Message ID, empty, without a token",
    ics="COAP.SERVER",
    needs=(Need.COAP,),
    usual_cause="The message layer hands every CON to the request handler, which knows no code 0.00 and "
    "stays silent.",
)
class Ping(Check):
    """An Empty CON provokes a Reset."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint = await bench.coap.endpoint()
        mid = bench.coap.next_mid()
        endpoint.send(coap.encode(coap.empty(coap.Type.CON, mid)), "ping")
        await endpoint.receive(lambda message: message.mid == mid, within=EXCHANGE)

    def judge(self, case: Case) -> Outcome:
        ping = case.coap(Direction.TO_DUT)[0]
        answer = first(case.coap(), lambda seen: seen.what.mid == ping.what.mid)
        if answer is None:
            return failed(f"no answer to the ping within {EXCHANGE:g} s", ping)
        if answer.what.type is not coap.Type.RST:
            return failed(f"the ping was answered by {answer.what.type.name}, not by RST", ping, answer)
        if answer.what.problems or not answer.what.is_empty:
            return failed("the RST is not an Empty message", ping, answer)
        return passed("the ping was answered by an empty RST", ping, answer)
