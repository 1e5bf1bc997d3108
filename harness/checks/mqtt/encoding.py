"""What the device's packets are made of: flags, strings, identifiers, topics. All of these only watch."""

from __future__ import annotations

from collections import Counter

from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.mqtt.sessions import breaches
from harness.model.requirement import Area, Level, Need
from harness.model.verdict import Outcome
from harness.trace import mqtt


@requirement(
    "MQTT-DEV-004",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-2.2.2-1], [MQTT-3.1.2-3]; 5.0: [MQTT-2.1.3-1], [MQTT-3.1.2-3]",
    level=Level.MUST,
    purpose="ensure that the IUT sets every reserved flag bit to the value prescribed for it",
    stimulus="Every packet that the DUT sends in the run counts",
    expect="The low half of the first byte, and the reserved bit of CONNECT, are as the tables say",
    ics="MQTT.CLIENT",
    needs=(Need.TAP,),
    usual_cause="A client written by hand sends SUBSCRIBE or PUBREL with flags 0000; lenient brokers let it "
    "pass, strict ones close the connection.",
)
class ReservedFlags(Check):
    """Passive: looks at the flags of each packet."""

    def judge(self, case: Case) -> Outcome:
        sent = case.mqtt(mqtt.Packet)
        for seen, problem in breaches(sent, "MQTT-2.2.2-1", "MQTT-2.1.3-1", "MQTT-3.1.2-3"):
            return failed(f"{seen.what.type.name}: {problem.text}", seen)
        if not sent:
            return inconclusive("the device sent no packet")
        kinds = Counter(seen.what.type.name for seen in sent)
        samples = {seen.what.type: seen for seen in sent}
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return passed(f"the reserved flags are right in {counts}", samples.values())
