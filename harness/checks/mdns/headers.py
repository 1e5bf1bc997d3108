"""The header of multicast DNS messages (RFC 6762, section 18)."""

from __future__ import annotations

from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome


@requirement(
    "MDNS-26",
    area=Area.MDNS,
    standard="RFC 6762",
    clause="18.1 to 18.11",
    level=Level.MUST,
    purpose="ensure that multicast responses of the device have the prescribed header",
    stimulus="All multicast responses of the run count",
    expect="ID 0, QR 1, OPCODE 0, AA 1, TC 0, RD/RA/Z/AD/CD 0, RCODE 0",
    ics="MDNS.RESPONDER",
    needs=(BenchFeature.MDNS,),
    usual_cause="A unicast DNS encoder is reused: the ID of the query is copied, or AA is 0.",
)
class ResponseHeader(Check):
    """Passive: reads the header of each multicast response."""

    def judge(self, case: Case) -> Outcome:
        responses = [seen for seen in case.mdns() if seen.value.response and not seen.body.unicast]
        for seen in responses:
            message = seen.value
            if message.id != 0:
                return failed(f"a multicast response has the ID {message.id}, not 0", seen)
            if not message.authoritative:
                return failed("the AA bit of a multicast response is not set", seen)
            zeros = (
                message.opcode,
                message.truncated,
                message.recursion_desired,
                message.recursion_available,
                message.reserved,
                message.authentic_data,
                message.checking_disabled,
                message.rcode,
            )
            if any(zeros):
                return failed("a multicast response has header bits set that must be zero", seen)
        if not responses:
            return inconclusive("the device sent no multicast response")
        return passed(f"{len(responses)} multicast responses have the prescribed header", responses[:5])
