"""How the device opens its MQTT connections: first packet and the fields of CONNECT."""

from __future__ import annotations

import re

from harness.checks.case import Case, Decoded, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mqtt.sessions import (
    breaches,
    connects,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.bindings.mqtt import MqttBinding
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome
from harness.trace.events import ConnectionChange, Fate, MqttPacket
from harness.wire import mqtt

WILL_CLAUSES = ("MQTT-3.1.2-11", "MQTT-3.1.2-12", "MQTT-3.1.2-13", "MQTT-3.1.2-14", "MQTT-3.1.2-15")

STRING_CLAUSES = ("MQTT-1.5.3-1", "MQTT-1.5.3-2", "MQTT-1.5.4-1", "MQTT-1.5.4-2")

SAFE_LENGTH = 23  # bytes of a client identifier that every server accepts, …
SAFE_NAME = re.compile("[0-9A-Za-z]*")  # … if made of these characters only (MQTT 3.1.1, 3.1.3.1)

# The decoder's clauses for a field that is missing or not announced by the flags.
FIELDS_CLAUSES = ("2.2.3", "2.1.4")


def connecting_packets(case: Case) -> list[Decoded[mqtt.Packet, MqttPacket]]:
    """Every packet of type CONNECT, decodable or not."""
    return [seen for seen in case.mqtt(mqtt.Packet) if seen.value.type is mqtt.PacketType.CONNECT]


@requirement(
    "MQTT-DEV-001",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.1.0-1]",
    level=Level.MUST,
    purpose="ensure that the device sends CONNECT as the first packet on every new network connection",
    stimulus="Let the device connect; every connection of the run counts, including those after forced "
    "disconnects",
    expect="The first packet on each connection is CONNECT",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="A task publishes without waiting for the client to be connected, so a queued message "
    "overtakes CONNECT after a reconnection.",
)
class FirstPacketIsConnect(Check):
    """Passive: looks at the first packet of each connection at the tap."""

    def judge(self, case: Case) -> Outcome:
        packets = [seen for seen in case.mqtt(mqtt.Packet) if seen.body.fate is not Fate.INJECTED]
        opened = [seen.value for seen in case.connections() if seen.value.change is ConnectionChange.OPENED]
        numbers = {connection.connection for connection in opened}
        firsts = list({seen.body.connection: seen for seen in reversed(packets)}.values())
        firsts = [seen for seen in reversed(firsts) if seen.body.connection in numbers]
        for seen in firsts:
            if not isinstance(seen.value, mqtt.Connect):
                return failed(f"a connection began with {seen.value.type.name}", seen)
        if not firsts:
            return inconclusive("the device opened no connection on which it sent anything")
        return passed(f"all {len(firsts)} connections began with CONNECT", firsts)


@requirement(
    "MQTT-DEV-003",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.1.2-1], [MQTT-3.1.2-2]",
    level=Level.MUST,
    purpose="ensure that the device announces the protocol name 'MQTT' and the protocol level of its profile",
    stimulus="Every CONNECT of the run counts",
    expect="The name is MQTT; the level is 4 for an MQTT 3.1.1 device and 5 for an MQTT 5.0 device",
    ics="MQTT.V311|MQTT.V5",
    needs=(BenchFeature.TAP,),
    usual_cause="An old client library that still speaks MQTT 3.1 (MQIsdp, level 3), which current brokers "
    "may refuse, or a library update that changed the default level.",
)
class ProtocolNameAndLevel(Check):
    """Passive: reads protocol name and level of each CONNECT."""

    def judge(self, case: Case) -> Outcome:
        binding = binding_of(case.profile)
        seen = connects(case)
        for connect in seen:
            if connect.value.protocol_name != "MQTT":
                level = connect.value.level
                return failed(
                    f"a CONNECT names the protocol {connect.value.protocol_name!r} (level {level})", connect
                )
            if connect.value.level != binding.level:
                return failed(
                    f"a CONNECT announces level {connect.value.level} where the profile declares "
                    f"MQTT {binding.version}, level {binding.level}",
                    connect,
                )
        if not seen:
            return inconclusive("the device sent no CONNECT")
        return passed(f"{len(seen)} CONNECT packets announce MQTT, level {binding.level}", seen)


@requirement(
    "MQTT-DEV-005",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.1.2-9], [MQTT-3.1.2-11], [MQTT-3.1.2-13] to [MQTT-3.1.2-15]; "
    "5.0: [MQTT-3.1.2-9], [MQTT-3.1.2-11] to [MQTT-3.1.2-13]",
    level=Level.MUST,
    purpose="ensure that the device's last-will flags agree with each other and with the fields present",
    stimulus="Every CONNECT of the run counts",
    expect="Will topic and message are present exactly when the Will Flag is 1; without it Will QoS and "
    "Will Retain are 0; Will QoS is never 3",
    ics="MQTT.WILL",
    needs=(BenchFeature.TAP,),
    usual_cause="The flags byte is built from settings that are handled separately: retain stays set when "
    "the will is switched off.",
)
class WillFlags(Check):
    """Passive: reads the flags and the will of each CONNECT."""

    def judge(self, case: Case) -> Outcome:
        connecting = connecting_packets(case)
        for seen, problem in breaches(connecting, *WILL_CLAUSES, *FIELDS_CLAUSES):
            return failed(f"CONNECT: {problem.text}", seen)
        with_will = [seen for seen in connects(case) if seen.value.will is not None]
        if not with_will:
            return inconclusive("no CONNECT carried the last will that the profile declares", connecting)
        return passed(f"the will is consistent in {len(with_will)} CONNECT packets", with_will)


@requirement(
    "MQTT-DEV-006",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="3.1.1: [MQTT-3.1.2-18] to [MQTT-3.1.2-22]; 5.0: [MQTT-3.1.2-16] to [MQTT-3.1.2-19]",
    level=Level.MUST,
    purpose="ensure that the device's user name and password flags agree with the fields that are present",
    stimulus="Every CONNECT of the run counts",
    expect="Each field is present exactly when its flag is set; in 3.1.1 there is no password without a "
    "user name",
    ics="MQTT.AUTH_USERPASS",
    needs=(BenchFeature.TAP,),
    usual_cause="An empty user name in the settings clears one flag but not the other, or the field is "
    "written although its flag is clear.",
)
class LoginFlags(Check):
    """Passive: reads the login of each CONNECT."""

    def judge(self, case: Case) -> Outcome:
        connecting = connecting_packets(case)
        for seen, problem in breaches(connecting, "MQTT-3.1.2-22", *FIELDS_CLAUSES):
            return failed(f"CONNECT: {problem.text}", seen)
        logins = [seen for seen in connects(case) if seen.value.username is not None]
        if not logins:
            return inconclusive("no CONNECT carried the login that the profile declares", connecting)
        return passed(f"the login is consistent in {len(logins)} CONNECT packets", logins)


@requirement(
    "MQTT-DEV-008",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0",
    clause="[MQTT-3.1.3-3], [MQTT-3.1.3-4]",
    level=Level.MUST,
    purpose="ensure that the device sends a client identifier as the first payload field, in well-formed "
    "UTF-8",
    stimulus="Every CONNECT of the run counts",
    expect="The client identifier is present, well-formed and without U+0000",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="The identifier is copied together with the NUL that ends a C string, or is read from flash "
    "memory that was never written.",
)
class ClientIdentifier(Check):
    """Passive: reads the client identifier of each CONNECT."""

    def judge(self, case: Case) -> Outcome:
        for seen, problem in breaches(connecting_packets(case), *STRING_CLAUSES, *FIELDS_CLAUSES):
            if problem.text.startswith(("client identifier", "length of client identifier")):
                return failed(f"CONNECT: {problem.text}", seen)
        seen_ids = connects(case)
        if not seen_ids:
            return inconclusive("the device sent no CONNECT that can be read", connecting_packets(case))
        names = {seen.value.client_id for seen in seen_ids}
        remark = ""
        if any(len(name.encode()) > SAFE_LENGTH or not SAFE_NAME.fullmatch(name) for name in names):
            # [MQTT-3.1.3-5]: a server need not accept any others.
            remark = (
                "; a server may refuse it: longer than 23 bytes, or with characters other than 0-9, a-z, A-Z"
            )
        return passed(f"the client identifier is {', '.join(map(repr, sorted(names)))}{remark}", seen_ids)


@requirement(
    "MQTT-DEV-010",
    area=Area.MQTT,
    standard="MQTT 3.1.1",
    clause="[MQTT-3.1.3-7]",
    level=Level.MUST,
    purpose="ensure that the device uses an empty client identifier only with Clean Session",
    stimulus="Every CONNECT of the run counts",
    expect="Wherever the client identifier is empty, Clean Session is 1",
    ics="MQTT.AUTO_CLIENTID & MQTT.V311",
    needs=(BenchFeature.TAP,),
    usual_cause="The identifier is built from a setting that is still empty on a new device, while the "
    "session is meant to be kept.",
)
class EmptyClientIdentifier(Check):
    """Passive: looks at Clean Session where the identifier is empty."""

    def judge(self, case: Case) -> Outcome:
        nameless = [seen for seen in connects(case) if not seen.value.client_id]
        for seen in nameless:
            if not seen.value.clean_session:
                return failed("an empty client identifier without Clean Session", seen)
        if not nameless:
            return inconclusive("no CONNECT had an empty client identifier", connects(case))
        return passed(f"{len(nameless)} CONNECT packets without identifier ask for a clean session", nameless)


@requirement(
    "PROFILE-01",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt: client_id, keep_alive, clean_session, login, availability",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device connects as its profile declares: identifier, keep-alive, session, "
    "login, will",
    stimulus="Every CONNECT of the run counts",
    expect="Each field equals the profile's; the will is the offline message of the availability topic",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="A compiled-in client identifier that all units share, a library default for the "
    "keep-alive, or a will that was never set.",
)
class ConnectAsDeclared(Check):
    """Passive: compares each CONNECT with the profile."""

    def judge(self, case: Case) -> Outcome:
        binding = binding_of(case.profile)
        seen = connects(case)
        for connect in seen:
            if differences := _differences(connect.value, binding):
                return failed(f"CONNECT: {'; '.join(differences)}", connect)
        if not seen:
            return inconclusive("the device sent no CONNECT that can be read", connecting_packets(case))
        return passed(f"{len(seen)} CONNECT packets are as declared", seen)


def _differences(connect: mqtt.Connect, binding: MqttBinding) -> list[str]:
    """Every field that differs from the profile, as text."""
    availability = binding.availability
    declared: list[tuple[str, object, object]] = [
        ("client identifier", connect.client_id, binding.client_id),
        ("keep-alive", connect.keep_alive, binding.keep_alive),
        ("Clean Session", connect.clean_session, binding.clean_session),
        ("user name", connect.username is not None, binding.login),
        ("last will", connect.will is not None, availability is not None),
    ]
    if connect.will and availability:
        declared += [
            ("will topic", connect.will.topic, availability.topic),
            ("will message", connect.will.payload, availability.offline.encode()),
            ("will QoS", connect.will.qos, availability.qos),
            ("will retain", connect.will.retain, availability.retain),
        ]
    return [
        f"{what} is {_word(found)}, the profile declares {_word(wanted)}"
        for what, found, wanted in declared
        if found != wanted
    ]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "set" if value else "not set"
    return repr(value)
