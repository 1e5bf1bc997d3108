"""Events for people: the decoded form in a trace, and one short line for each event."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, assert_never, cast

from harness.trace.events import Body as Body
from harness.trace.events import (
    CheckEnded,
    CheckStarted,
    CoapDatagram,
    Connection,
    DeviceLost,
    Direction,
    Event,
    Fate,
    Judged,
    LoopLate,
    MdnsPacket,
    MqttPacket,
    Note,
    RunEnded,
    RunStarted,
    SerialAnswer,
    SerialData,
    SerialPort,
    Stimulus,
    TcpProbe,
    TogetherStarted,
    Wait,
)
from harness.wire import (
    coap,
    mdns,
    mqtt,
)
from harness.wire.problem import Problem

MOST_TEXT = 1000
"""Characters of a payload in the decoded form; the raw bytes hold all of it."""

MOST_SUMMARY_TEXT = 60
"""Characters of a payload in a summary."""


def bytes_text(data: bytes, most: int = MOST_TEXT) -> str:
    """Bytes as text if they are printable UTF-8, else as "0x" and digits; cut after ``most`` characters."""
    try:
        text = _one_line(data.decode("utf-8")[: most + 1])
    except UnicodeDecodeError:
        text = "0x" + data[:most].hex()
    return text if len(text) <= most else text[: most - 1] + "…"


def describe(body: Body) -> dict[str, Any] | None:
    """The decoded form of a packet as data for JSON; None for events without a packet."""
    match body:
        case MqttPacket(raw=raw, level=level):
            return describe_mqtt(raw, level)
        case CoapDatagram(raw=raw):
            return _describe_coap(coap.decode(raw))
        case MdnsPacket(raw=raw):
            return _describe_mdns(mdns.decode(raw))
    return None


def describe_mqtt(raw: bytes, level: int) -> dict[str, Any]:
    """The decoded form of an MQTT packet, without its password, which is in the raw bytes only."""
    packet = mqtt.decode(raw, level)
    described: dict[str, Any] = {"packet": packet.type.name}
    if isinstance(packet, mqtt.Undecodable):
        described["undecodable"] = True
    for name in _told_fields(cast(Hashable, type(packet))):
        value = getattr(packet, name)
        if value is not None and value != ():
            described[name] = "(not shown)" if name == "password" else _plain(value)
    return described | _described_problems(packet.problems)


@cache
def _told_fields(cls: Hashable) -> tuple[str, ...]:
    names = (field.name for field in fields(cast(Any, cls)))
    return tuple(name for name in names if name not in ("type", "flags", "raw", "problems"))


def _describe_coap(message: coap.Message) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": message.type.name,
        "code": coap.code_name(message.code),
        "mid": message.mid,
    }
    if message.token:
        described["token"] = message.token.hex()
    if message.options:
        described["options"] = [
            {"name": coap.option_name(option.number), "value": coap.option_text(option)}
            for option in message.options
        ]
    if message.payload:
        described["payload"] = bytes_text(message.payload)
    return described | _described_problems(message.problems)


def _describe_mdns(message: mdns.Message) -> dict[str, Any]:
    described: dict[str, Any] = {"response": message.response, "id": message.id}
    described |= {name: True for name in ("authoritative", "truncated") if getattr(message, name)}
    if message.questions:
        described["questions"] = [
            {"name": question.name, "type": mdns.type_name(question.type), "qu": question.unicast_response}
            for question in message.questions
        ]
    for section in ("answers", "authorities", "additionals"):
        records = getattr(message, section)
        if records:
            described[section] = [_describe_record(record) for record in records]
    return described | _described_problems(message.problems)


def _describe_record(record: mdns.Record) -> dict[str, Any]:
    described = {
        "name": record.name,
        "type": mdns.type_name(record.type),
        "ttl": record.ttl,
        "cache_flush": record.cache_flush,
    }
    data = record.rdata.hex() if isinstance(record.data, mdns.Unknown) else _plain(record.data)
    return described | {"data": data}


def _described_problems(problems: Iterable[Problem]) -> dict[str, Any]:
    texts = [str(problem) for problem in problems]
    return {"problems": texts} if texts else {}


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, bool, float):
        return value
    if isinstance(value, bytes):
        return bytes_text(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def summary(body: Body) -> str:
    """One short line for people that says what happened."""
    return _one_line(_summary(body))


def summary_of(event: Event) -> str:
    """The same, with the role of the device if several share the run."""
    text = summary(event.body)
    return text if event.device is None else _one_line(f"{event.device}: {text}")


def _summary(body: Body) -> str:
    match body:
        case MqttPacket(raw=raw, level=level, fate=fate):
            fated = "" if fate is Fate.FORWARDED else f" ({fate})"
            return _summarise_mqtt(mqtt.decode(raw, level)) + fated
        case CoapDatagram(raw=raw):
            return _summarise_coap(coap.decode(raw))
        case MdnsPacket(raw=raw, unicast=unicast):
            return _summarise_mdns(mdns.decode(raw)) + (" (unicast)" if unicast else "")
        case TcpProbe():
            return _summarise_probe(body)
        case SerialData(raw=raw, line=line, what=what):
            if line is None and what is None:
                return f"serial: {bytes_text(raw, MOST_SUMMARY_TEXT)}"
            return f"serial: {what if line is None else line}"
        case SerialPort(change=change, url=url, detail=detail):
            return f"serial port {url} {change}" + (f": {detail}" if detail else "")
        case SerialAnswer():
            return _summarise_answer(body)
        case Connection(point=point, connection=number, change=change, by=by):
            who = {Direction.FROM_DUT: "the device", Direction.TO_DUT: "the broker or the harness"}.get(
                by, "others"
            )
            return f"connection {number} at the {point} {change} by {who}"
        case Stimulus():
            return _summarise_stimulus(body)
        case Wait(seconds=seconds, imposed_by=imposed_by, what=what):
            return f"wait {seconds:g} s ({imposed_by})" + (f": {what}" if what else "")
        case LoopLate(seconds=seconds):
            return f"the harness was busy and {seconds:g} s late"
        case _:
            return _summarise_run(body)


def _summarise_run(
    body: RunStarted | TogetherStarted | RunEnded | CheckStarted | CheckEnded | DeviceLost | Judged | Note,
) -> str:
    match body:
        case TogetherStarted(plan_path=path, roles=roles, seed=seed, tool_version=version):
            return f"run of {path} with {', '.join(roles)} begins (seed {seed}, version {version})"
        case RunStarted(profile_path=path, dut=dut, seed=seed, tool_version=version):
            return f"run of {path} on {dut} begins (seed {seed}, version {version})"
        case RunEnded(reason=reason):
            return f"run ends: {reason}"
        case CheckStarted(check=check, subject=subject, transport=transport):
            return f"{_check(check, subject, transport)} begins"
        case CheckEnded(check=check, subject=subject, transport=transport, problem=problem):
            return f"{_check(check, subject, transport)} ends" + (f": {problem}" if problem else "")
        case DeviceLost(check=check, subject=subject, transport=transport, waited_for=what, seconds=seconds):
            return f"device lost after {_check(check, subject, transport)}: waited {seconds:g} s for {what}"
        case Judged(check=check, subject=subject, transport=transport, verdict=verdict, message=message):
            return f"{_check(check, subject, transport)}: {verdict}: {message}"
        case Note(text=text):
            return text
        case _:
            assert_never(body)


def _check(check: str, subject: str | None, transport: str | None) -> str:
    about = "/".join(part for part in (subject, transport) if part)
    return f"check {check}[{about}]" if about else f"check {check}"


def _summarise_answer(answer: SerialAnswer) -> str:
    command = f"{answer.command} {answer.name}" if answer.name else answer.command
    if answer.problem is not None:
        return f"serial: {command}: {answer.problem}"
    return f"serial: {command}: " + ("done" if answer.value is None else answer.value)


def _summarise_probe(probe: TcpProbe) -> str:
    text = f"TCP {probe.host}:{probe.port} " + ("accepts" if probe.connected else "does not accept")
    return f"{text}: {bytes_text(probe.answer, MOST_SUMMARY_TEXT)}" if probe.answer else text


def _summarise_stimulus(stimulus: Stimulus) -> str:
    text = stimulus.act.value
    if stimulus.name:
        text += f" {stimulus.name}"
    if stimulus.value is not None:
        text += f" = {_cut(stimulus.value)}"
    if stimulus.transport:
        text += f" over {stimulus.transport}"
    return text + (" (not allowed by the profile)" if stimulus.legal is False else "")


def _summarise_mqtt(packet: mqtt.Packet) -> str:
    match packet:
        case mqtt.Publish(topic=topic, qos=qos, retain=retain, dup=dup, payload=payload):
            flags = (" DUP" if dup else "") + (" retain" if retain else "")
            text = f" {topic} QoS {qos}{flags}: {bytes_text(payload, MOST_SUMMARY_TEXT) or '(empty)'}"
        case mqtt.Connect(client_id=client_id, keep_alive=keep_alive, clean_session=clean, will=will):
            text = f" {client_id!r} keep-alive {keep_alive} s" + (" clean" if clean else "")
            text += f" will {will.topic}" if will else ""
        case mqtt.Connack(code=code, session_present=present):
            text = f" code {code}" + (" session present" if present else "")
        case mqtt.Ack(packet_id=packet_id, code=code):
            text = f" {packet_id}" + (f" code 0x{code:02x}" if code else "")
        case mqtt.Subscribe(packet_id=packet_id, filters=filters):
            text = f" {packet_id} " + ", ".join(f"{wanted.filter} QoS {wanted.qos}" for wanted in filters)
        case mqtt.Unsubscribe(packet_id=packet_id, filters=names):
            text = f" {packet_id} " + ", ".join(names)
        case mqtt.Suback(packet_id=packet_id, codes=codes) | mqtt.Unsuback(packet_id=packet_id, codes=codes):
            text = f" {packet_id}" + "".join(f" 0x{code:02x}" for code in codes)
        case mqtt.Disconnect(code=code) | mqtt.Auth(code=code):
            text = f" code 0x{code:02x}" if code else ""
        case mqtt.Undecodable(raw=raw):
            text = f" that cannot be decoded: {_cut('0x' + raw.hex())}"
        case _:
            text = ""
    return packet.type.name + text + _complaint(packet.problems)


def _summarise_coap(message: coap.Message) -> str:
    if message.is_empty:
        what = "ping" if message.type is coap.Type.CON else f"mid {message.mid}"
        return f"{message.type.name} {what}" + _complaint(message.problems)
    text = f"{message.type.name} {coap.code_name(message.code)}"
    if message.is_request:
        text += f" {message.uri_path}" + (f"?{message.uri_query}" if message.uri_query else "")
    if message.token:
        text += f" [token {message.token.hex()}]"
    if message.observe is not None:
        text += f" observe {message.observe}"
    for name, block in (("block1", message.block1), ("block2", message.block2)):
        if block:
            text += f" {name} {block.num}{'+' if block.more else ''}/{block.size}"
    if message.payload:
        text += f": {bytes_text(message.payload, MOST_SUMMARY_TEXT)}"
    return text + _complaint(message.problems)


def _summarise_mdns(message: mdns.Message) -> str:
    parts = [] if message.response else [_question_text(question) for question in message.questions]
    if message.response:
        parts = [_record_text(record) for record in message.answers]
    elif message.answers:
        parts.append(f"known answers {len(message.answers)}")
    if message.authorities:
        parts.append("proposes " + ", ".join(_record_text(record) for record in message.authorities))
    if message.additionals:
        parts.append(f"{len(message.additionals)} more")
    text = f"mDNS {'response' if message.response else 'query'} {'; '.join(parts)}"
    return text.rstrip() + _complaint(message.problems)


def _question_text(question: mdns.Question) -> str:
    return f"{mdns.type_name(question.type)} {question.name}" + (" QU" if question.unicast_response else "")


def _record_text(record: mdns.Record) -> str:
    text = f"{mdns.type_name(record.type)} {record.name}"
    match record.data:
        case mdns.Ptr(target):
            text += f" → {target}"
        case mdns.Srv(port=port, target=target):
            text += f" → {target}:{port}"
        case mdns.Address(address):
            text += f" → {address}"
    return text + (" goodbye" if record.ttl == 0 else "")


def _complaint(problems: tuple[Problem, ...]) -> str:
    if not problems:
        return ""
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f" [violation: {problems[0]}{more}]"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SUMMARY_TEXT else text[: MOST_SUMMARY_TEXT - 1] + "…"


def _one_line(text: str) -> str:
    return "".join(_printable(character) for character in text)


def _printable(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
