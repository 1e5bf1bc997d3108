"""How the device opens its MQTT connections: first packet and the fields of CONNECT."""

from __future__ import annotations

from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.model.requirement import Area, Level, Need
from harness.model.verdict import Outcome
from harness.trace import mqtt
from harness.trace.events import ConnectionChange, Fate


@requirement(
    "MQTT-DEV-001",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.1.0-1]",
    level=Level.MUST,
    purpose="ensure that the IUT sends CONNECT as the first packet on every new network connection",
    stimulus="Let the DUT connect; every connection of the run counts, also those after forced losses",
    expect="The first packet on each connection is CONNECT",
    ics="MQTT.CLIENT",
    needs=(Need.TAP,),
    usual_cause="Publishing from a task that does not wait for the client to be connected, so that a "
    "queued message overtakes CONNECT after a reconnection.",
)
class FirstPacketIsConnect(Check):
    """Passive: looks at the first packet of each connection at the tap."""

    def judge(self, case: Case) -> Outcome:
        packets = [seen for seen in case.mqtt(mqtt.Packet) if seen.body.fate is not Fate.INJECTED]
        opened = [seen.what for seen in case.connections() if seen.what.change is ConnectionChange.OPENED]
        numbers = {connection.connection for connection in opened}
        firsts = list({seen.body.connection: seen for seen in reversed(packets)}.values())
        firsts = [seen for seen in reversed(firsts) if seen.body.connection in numbers]
        for seen in firsts:
            if not isinstance(seen.what, mqtt.Connect):
                return failed(f"a connection began with {seen.what.type.name}", seen)
        if not firsts:
            return inconclusive("the device opened no connection on which it sent anything")
        return passed(f"all {len(firsts)} connections began with CONNECT", firsts)
