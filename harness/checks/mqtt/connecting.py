"""How the device opens its MQTT connections: first packet and the fields of CONNECT."""

from __future__ import annotations

from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.mqtt.sessions import connects
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


@requirement(
    "MQTT-DEV-003",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.1.2-1], [MQTT-3.1.2-2]",
    level=Level.MUST,
    purpose='ensure that the IUT announces the protocol name "MQTT" and the protocol level that it declares',
    stimulus="Every CONNECT of the run counts",
    expect="The name is MQTT; the level is 4 for a device of MQTT 3.1.1, 5 for one of MQTT 5.0",
    ics="MQTT.V311|MQTT.V5",
    needs=(Need.TAP,),
    usual_cause="An old client library that still speaks MQTT 3.1 (MQIsdp, level 3), which brokers of today "
    "may refuse, or a library update that changed the default level.",
)
class ProtocolNameAndLevel(Check):
    """Passive: reads the head of each CONNECT."""

    def judge(self, case: Case) -> Outcome:
        binding = case.profile.bindings.mqtt
        assert binding is not None, "its ICS item says so"
        seen = connects(case)
        for connect in seen:
            if connect.what.protocol_name != "MQTT":
                level = connect.what.level
                return failed(
                    f"a CONNECT names the protocol {connect.what.protocol_name!r} (level {level})", connect
                )
            if connect.what.level != binding.level:
                return failed(
                    f"a CONNECT announces level {connect.what.level} where the profile declares "
                    f"MQTT {binding.version}, level {binding.level}",
                    connect,
                )
        if not seen:
            return inconclusive("the device sent no CONNECT")
        return passed(f"{len(seen)} CONNECT packets announce MQTT, level {binding.level}", seen)
