"""ICS items: the optional features that a device is declared to have, and expressions over them.

ICS is the implementation conformance statement of ISO/IEC 9646. A check applies to a device when the
items of its profile satisfy the check's expression, such as
``MQTT.PERSISTENT & (MQTT.QOS1_PUB|MQTT.QOS2_PUB)``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from harness.model.bindings.coap import CoapBinding
from harness.model.bindings.mdns import MdnsBinding
from harness.model.bindings.mqtt import MqttBinding
from harness.model.bindings.serial import (
    SerialBinding,
    SerialCommand,
)
from harness.model.profile import Profile
from harness.model.schema import DataType
from harness.registry import near_names

ENERGY_UNITS = ("W.h", "kW.h", "MW.h", "J", "kJ", "MJ")

# Representations up to this size fit into one block of the largest kind (RFC 7959, 2.2).
_LARGEST_BLOCK = 1024

_KNOWN = MappingProxyType(
    {
        "MQTT.CLIENT": "connects to an MQTT broker",
        "MQTT.V311": "speaks MQTT 3.1.1",
        "MQTT.V5": "speaks MQTT 5.0",
        "MQTT.KEEP_ALIVE": "has a keep-alive other than zero",
        "MQTT.WILL": "has a last will on the availability topic",
        "MQTT.SUB": "subscribes to command topics",
        "MQTT.PERSISTENT": "keeps its session at the broker while disconnected",
        "MQTT.RETAIN": "publishes retained state",
        "MQTT.QOS1_PUB": "publishes with QoS 1",
        "MQTT.QOS2_PUB": "publishes with QoS 2",
        "MQTT.QOS1_SUB": "receives with QoS 1",
        "MQTT.QOS2_SUB": "receives with QoS 2",
        "MQTT.AUTH_USERPASS": "presents a user name and a password",
        "MQTT.AUTO_CLIENTID": "can let the broker assign its client identifier",
        "MQTT.GRACEFUL_STOP": "on an orderly stop, publishes offline and sends DISCONNECT",
        "MQTT.SLEEP": "connects only to report",
        "MQTT.TLS": "speaks MQTT over TLS",
        "MQTT.WS": "speaks MQTT over WebSocket",
        "COAP.SERVER": "answers CoAP requests",
        "COAP.LINK": "lists its resources at /.well-known/core",
        "COAP.PUT": "has a resource that is written by PUT",
        "COAP.POST": "has a resource that accepts POST",
        "COAP.DELETE": "has a resource that can be deleted",
        "COAP.OBSERVE": "has a resource that can be observed",
        "COAP.OBSERVE_CON": "sends its notifications as confirmable messages",
        "COAP.OBSERVE_NON": "sends its notifications as non-confirmable messages",
        "COAP.BLOCK1": "accepts request bodies in blocks",
        "COAP.BLOCK2": "has a representation larger than one block",
        "COAP.SEPARATE": "has a slow resource with separate responses",
        "COAP.NOSEC": "answers CoAP without security",
        "COAP.DTLS": "answers CoAP over DTLS",
        "COAP.MULTICAST": "answers CoAP requests to a multicast address",
        "COAP.ETAG": "sends ETags with its representations",
        "COAP.COND": "understands If-Match and If-None-Match",
        "COAP.FETCH": "understands FETCH",
        "COAP.PATCH": "understands PATCH and iPATCH",
        "COAP.FETCH_PATCH": "understands FETCH, PATCH and iPATCH (both of the above)",
        "COAP.NO_RESPONSE": "understands the No-Response option",
        "MDNS.RESPONDER": "answers multicast DNS queries",
        "MDNS.GRACEFUL": "on an orderly stop, sends mDNS goodbyes",
        "DNSSD.SERVICE": "announces a DNS-SD service",
        "DNSSD.SUBTYPE": "announces a subtype of a service",
        "DEV.ACTUATOR": "has a property that can be written",
        "DEV.SENSOR": "has a read-only property",
        "DEV.RANGE": "has a writable number with limits",
        "DEV.EVENTS": "reports events",
        "DEV.ENERGY": "counts energy",
        "DEV.LOCAL_UI": "has controls that a person operates",
        "DEV.RULES": "has behaviour rules",
        "DEV.CLOCK": "includes the time of day in its reports",
        "MULTI.PROTOCOL": "is reached by more than one transport",
        "MULTI.STATE": "reports the same property over MQTT and CoAP",
        "SEC.INPUT": "takes input from the network",
        "SEC.INTERFACES": "has network services at an address of its own",
        "SEC.CSP": "holds a secret that must never cross the network in clear",
        "SEC.AUTH": "requires authentication before it accepts commands",
        "SEC.DISCLOSURE": "declares what it discloses without authentication",
        "SEC.RESET": "can be reset to factory settings",
        "SEC.RESILIENCE": "declares what it does during outages",
        "SEC.UPDATE": "can be updated over the network",
        "SERIAL.LINE": "accepts commands over a serial line",
        "SERIAL.TEXT": "has a text console on its serial line",
        "SERIAL.CHECKSUM": "uses checksums on its serial line",
        "SERIAL.READ": "reports properties over its serial line",
        "SERIAL.WRITE": "has a writable property that can be set over its serial line",
        "SERIAL.PRESS": "has a control that can be operated over its serial line",
        "SERIAL.SENSE": "has a sensor that can be stimulated over its serial line",
        "SERIAL.REBOOT": "can be rebooted over its serial line",
        "SERIAL.RESET": "can be reset to factory settings over its serial line",
        "SERIAL.PROVISION": "can be joined to the network over its serial line",
        "SERIAL.VERSION": "reports its firmware version over its serial line",
        "SERIAL.MEMORY": "reports its free memory over its serial line",
        "SERIAL.CREDENTIALS": "reports over its serial line which credentials it stores",
        "SERIAL.NETWORK": "can leave and rejoin its network by command over its serial line",
        "SERIAL.CLOCK": "reports the time over its serial line",
        "SERIAL.LOG": "prints a text log on its serial line",
        "SERIAL.READY": "reports on its serial line that it is ready",
        "HOMIE.V4": "follows the Homie convention, version 4",
        "HOMIE.V5": "follows the Homie convention, version 5",
        "HA.DISCOVERY": "publishes discovery messages for Home Assistant",
        "WOT.TD": "offers a W3C WoT Thing Description",
    }
)

# Always satisfied: the requirement is for every device.
ANY = "any"


def known_ics() -> Mapping[str, str]:
    """Every item, with its meaning for a device that has it."""
    return _KNOWN


def ics_of(profile: Profile) -> frozenset[str]:
    """The items that a profile implies or lists."""
    bindings = profile.bindings
    items = set(profile.ics)
    if bindings.mqtt is not None:
        items.update(_of_mqtt(bindings.mqtt))
    if bindings.coap is not None:
        items.update(_of_coap(bindings.coap, profile))
    if bindings.mdns is not None:
        items.update(_of_mdns(bindings.mdns))
    if bindings.serial is not None:
        items.update(_of_serial(bindings.serial, profile))
    items.update(_of_device(profile))
    return frozenset(items)


def _of_mqtt(mqtt: MqttBinding) -> Iterator[str]:
    yield "MQTT.CLIENT"
    yield "MQTT.V5" if mqtt.level == 5 else "MQTT.V311"
    published = {bound.qos for bound in mqtt.properties.values()}
    published |= {bound.qos for bound in mqtt.events.values()}
    retained = {bound.retain for bound in mqtt.properties.values()}
    if mqtt.availability is not None:
        yield "MQTT.WILL"
        published.add(mqtt.availability.qos)
        retained.add(mqtt.availability.retain)
    commands = {bound.command_qos for bound in mqtt.properties.values() if bound.command is not None}
    commands |= {bound.command_qos for bound in mqtt.actions.values()}
    claims = {
        "MQTT.KEEP_ALIVE": mqtt.keep_alive > 0,
        "MQTT.SUB": bool(commands),
        "MQTT.PERSISTENT": not mqtt.clean_session,
        "MQTT.RETAIN": True in retained,
        "MQTT.QOS1_PUB": 1 in published,
        "MQTT.QOS2_PUB": 2 in published,
        # A QoS 2 subscriber receives QoS 1 messages with QoS 1.
        "MQTT.QOS1_SUB": bool(commands & {1, 2}),
        "MQTT.QOS2_SUB": 2 in commands,
        "MQTT.AUTH_USERPASS": mqtt.login,
        "MQTT.SLEEP": mqtt.sleep is not None,
        "SEC.INPUT": True,
    }
    yield from (item for item, claimed in claims.items() if claimed)


def _of_coap(coap: CoapBinding, profile: Profile) -> Iterator[str]:
    written = any(
        name in profile.properties and profile.properties[name].writable for name in coap.properties
    )
    observed = bool(coap.events) or any(bound.observe for bound in coap.properties.values())
    claims = {
        "COAP.SERVER": True,
        "COAP.LINK": coap.links,
        "COAP.NOSEC": "COAP.DTLS" not in profile.ics,
        "COAP.PUT": written,
        "COAP.POST": bool(coap.actions),
        "COAP.OBSERVE": observed,
        "COAP.OBSERVE_CON": observed and coap.confirmable_notifications,
        "COAP.OBSERVE_NON": observed and not coap.confirmable_notifications,
        "COAP.BLOCK2": any(resource.size > _LARGEST_BLOCK for resource in coap.resources),
        "COAP.SEPARATE": any(resource.takes > 0 for resource in coap.resources),
        "SEC.INPUT": True,
        "SEC.INTERFACES": True,
    }
    yield from (item for item, claimed in claims.items() if claimed)


def _of_mdns(mdns: MdnsBinding) -> Iterator[str]:
    claims = {
        "MDNS.RESPONDER": True,
        "MDNS.GRACEFUL": mdns.goodbye,
        "DNSSD.SERVICE": bool(mdns.services),
        "DNSSD.SUBTYPE": any(service.subtypes for service in mdns.services),
        "SEC.INPUT": True,
        "SEC.INTERFACES": True,
    }
    yield from (item for item, claimed in claims.items() if claimed)


def _of_serial(serial: SerialBinding, profile: Profile) -> Iterator[str]:
    commands, properties = serial.commands, profile.properties
    network = {SerialCommand.NETWORK_OFF, SerialCommand.NETWORK_ON}
    claims = {
        "SERIAL.LINE": True,
        "SERIAL.TEXT": serial.text is not None,
        "SERIAL.CHECKSUM": serial.modbus is not None
        or (serial.frames is not None and serial.frames.checksum is not None),
        "SERIAL.READ": any(serial.can_read(name) for name in properties),
        "SERIAL.WRITE": any(each.writable and serial.can_write(name) for name, each in properties.items()),
        "SERIAL.PRESS": any(serial.can_press(name) for name in profile.controls),
        "SERIAL.SENSE": any(serial.can_inject(name) for name in properties),
        "SERIAL.REBOOT": SerialCommand.REBOOT in commands,
        "SERIAL.RESET": SerialCommand.FACTORY_RESET in commands,
        "SERIAL.PROVISION": SerialCommand.PROVISION in commands,
        "SERIAL.VERSION": SerialCommand.FIRMWARE_VERSION in commands,
        "SERIAL.MEMORY": SerialCommand.MEMORY in commands,
        "SERIAL.CREDENTIALS": SerialCommand.CREDENTIALS in commands,
        "SERIAL.NETWORK": network <= commands,
        "SERIAL.CLOCK": SerialCommand.READ_CLOCK in commands,
        "SERIAL.LOG": serial.modbus is None,
        "SERIAL.READY": bool(serial.patterns.ready),
        "SEC.RESET": SerialCommand.FACTORY_RESET in commands,
    }
    yield from (item for item, claimed in claims.items() if claimed)


def _of_device(profile: Profile) -> Iterator[str]:
    schemas = profile.properties.values()
    transports = (profile.bindings.mqtt, profile.bindings.coap, profile.bindings.mdns)
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    both = set(mqtt.properties) & set(coap.properties) if mqtt and coap else set()
    numbers = (DataType.INTEGER, DataType.NUMBER)
    claims = {
        "DEV.ACTUATOR": any(schema.writable for schema in schemas),
        "DEV.SENSOR": any(schema.read_only for schema in schemas),
        "DEV.RANGE": any(
            schema.writable
            and schema.type in numbers
            and (schema.minimum is not None or schema.maximum is not None)
            for schema in schemas
        ),
        "DEV.EVENTS": bool(profile.events),
        "DEV.ENERGY": any(schema.counter and schema.unit in ENERGY_UNITS for schema in schemas),
        "DEV.LOCAL_UI": bool(profile.controls),
        "DEV.RULES": bool(profile.behaviour.rules),
        "MULTI.PROTOCOL": sum(transport is not None for transport in transports) > 1,
        "MULTI.STATE": bool(both),
        "SEC.CSP": bool(profile.security.secrets),
    }
    yield from (item for item, claimed in claims.items() if claimed)


def satisfies(expression: str, items: Collection[str]) -> bool:
    """Whether ``items`` make an ICS expression true.

    An expression is made of items, ``&``, ``|`` and parentheses, and ``&`` binds closer; ``any`` is
    always true. Raises :class:`ValueError` on an unknown item or a malformed expression, whatever
    ``items`` are.
    """
    tokens = re.findall(r"[\w.]+|\S", expression)
    value = _either(tokens, items, expression)
    if tokens:
        raise ValueError(f"the ICS expression {expression!r} has {tokens[0]!r} where & or | should be")
    return value


def _either(tokens: list[str], items: Collection[str], expression: str) -> bool:
    value = _both(tokens, items, expression)
    while tokens[:1] == ["|"]:
        tokens.pop(0)
        # The right side is always parsed, even when the left side decides.
        value = _both(tokens, items, expression) or value
    return value


def _both(tokens: list[str], items: Collection[str], expression: str) -> bool:
    value = _single(tokens, items, expression)
    while tokens[:1] == ["&"]:
        tokens.pop(0)
        value = _single(tokens, items, expression) and value
    return value


def _single(tokens: list[str], items: Collection[str], expression: str) -> bool:
    if not tokens:
        raise ValueError(f"the ICS expression {expression!r} ends where an item should be")
    token = tokens.pop(0)
    if token == "(":
        value = _either(tokens, items, expression)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError(f"the ICS expression {expression!r} lacks a closing parenthesis")
        return value
    if token == ANY:
        return True
    if token not in _KNOWN:
        near = near_names(token, _KNOWN)
        hint = f"; similar items: {', '.join(near)}" if near else ""
        raise ValueError(f"{token!r} in {expression!r} is not a known ICS item{hint}")
    return token in items
