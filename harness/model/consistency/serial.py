"""The serial binding: exactly one protocol, valid templates, and names that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.model.bindings.serial import (
    ARGUMENTS,
    TELLING,
    FrameField,
    FrameProtocol,
    LineSettings,
    ModbusProtocol,
    Parity,
    SerialBinding,
    SerialCommand,
    TextConsole,
    WireNumber,
)
from harness.model.consistency.mistake import CheckedProfile, Mistake, unknown_name
from harness.model.consistency.value_maps import of_map
from harness.model.problems import Path
from harness.model.schema import DataType

_HERE: Path = ("bindings", "serial")
_PLACE = re.compile(r"\{([^{}]*)\}")
_KINDS = "one of text, frames and modbus"


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in the serial binding."""
    serial = subject.profile.bindings.serial
    if serial is None:
        return
    kinds = [name for name in ("text", "frames", "modbus") if getattr(serial, name) is not None]
    if len(kinds) > 1:
        yield Mistake((*_HERE, kinds[1]), "a serial line has one protocol", ", ".join(kinds), _KINDS)
    elif not kinds and subject.whole:
        yield Mistake(_HERE, "does not declare a protocol", None, _KINDS)
    yield from _of_patterns(serial)
    for kind in kinds:
        protocol = getattr(serial, kind)
        for name in protocol.properties:
            if mistake := unknown_name(
                (*_HERE, kind, "properties", name), "property", name, subject.names.properties
            ):
                yield mistake
        for name in protocol.controls:
            path = (*_HERE, kind, "controls", name)
            if mistake := unknown_name(path, "control", name, subject.profile.controls):
                yield mistake
    if serial.text is not None:
        yield from _of_text(serial.text, subject)
    if serial.frames is not None:
        yield from _of_frames(serial.frames, subject)
    if serial.modbus is not None:
        yield from _of_modbus(serial.modbus, serial.line, subject)


def _of_patterns(serial: SerialBinding) -> Iterator[Mistake]:
    patterns, here = serial.patterns, (*_HERE, "patterns")
    lists = [((*here, key), getattr(patterns, key)) for key in ("boot", "ready", "harmless")]
    lists += [((*here, "crash", kind.value), each) for kind, each in patterns.crash.items()]
    for path, expressions in lists:
        for index, expression in enumerate(expressions):
            try:
                matches_nothing = re.compile(expression).search("") is not None
            except re.error as problem:
                yield Mistake((*path, index), f"is not a valid regular expression: {problem}", expression)
            else:
                if matches_nothing:
                    yield Mistake((*path, index), "matches every line, even an empty one", expression)


def _arguments_of(command: SerialCommand) -> tuple[str, ...]:
    return ARGUMENTS.get(command, ())


def _unknown_places(path: Path, template: str, allowed: tuple[str, ...]) -> Iterator[Mistake]:
    for place in _PLACE.findall(template):
        if place not in allowed:
            shown = ", ".join(f"{{{name}}}" for name in allowed) or "none"
            yield Mistake(path, "has an argument that this command does not have", f"{{{place}}}", shown)


def _of_text(text: TextConsole, subject: CheckedProfile) -> Iterator[Mistake]:
    here = (*_HERE, "text")
    for command, declared in text.commands.items():
        path, arguments = (*here, "commands", command.value), _arguments_of(command)
        yield from _unknown_places((*path, "send"), declared.send, arguments)
        for argument in arguments:
            if f"{{{argument}}}" not in declared.send:
                yield Mistake((*path, "send"), f"lacks {{{argument}}}", declared.send)
        if declared.answer is not None:
            yield from _unknown_places((*path, "answer"), declared.answer, (*arguments, "value", "any"))
        if command in TELLING and "{value}" not in (declared.answer or ""):
            yield Mistake(
                (*path, "answer"),
                "{value} is missing from the answer",
                declared.answer,
                "a line with {value}",
            )
    for name, bound in text.properties.items():
        schema = subject.profile.properties.get(name)
        if schema is not None and bound.values is not None:
            yield from of_map(bound.values, schema, (*here, "properties", name, "values"))
    for index, error in enumerate(text.errors):
        yield from _unknown_places((*here, "errors", index), error, ("reason", "any"))


def _of_frames(frames: FrameProtocol, subject: CheckedProfile) -> Iterator[Mistake]:
    here = (*_HERE, "frames")
    yield from _of_layout(frames)
    for command, declared in frames.commands.items():
        path = (*here, "commands", command.value)
        about = ("tag",) if "property" in _arguments_of(command) else ()
        arguments = (*about, *(name for name in _arguments_of(command) if name != "property"))
        yield from _of_payload((*path, "send", "payload"), declared.send.payload, arguments)
        for argument in arguments:
            # Some boards report all properties at once, without naming one in the request.
            needed = not (command is SerialCommand.READ_STATE and argument == "tag")
            if needed and f"{{{argument}}}" not in declared.send.payload:
                yield Mistake((*path, "send", "payload"), f"lacks {{{argument}}}", declared.send.payload)
        if declared.answer is not None:
            allowed = (*arguments, "value", "any")
            yield from _of_payload((*path, "answer", "payload"), declared.answer.payload, allowed)
        answer = declared.answer.payload if declared.answer is not None else ""
        if command in TELLING and "{value}" not in answer:
            yield Mistake((*path, "answer"), "{value} is missing from the answer", answer or None)
        if command is SerialCommand.READ_STATE and "{tag}" not in answer:
            yield Mistake((*path, "answer"), "{tag} is missing, so the property is unknown", answer)
    if frames.reports is not None:
        yield from _of_payload((*here, "reports", "payload"), frames.reports.payload, ("tag", "value"))
    for name, bound in frames.properties.items():
        yield from _of_number(bound, (*here, "properties", name), name, subject, is_text=bound.bytes is None)


def _of_layout(frames: FrameProtocol) -> Iterator[Mistake]:
    here, order = (*_HERE, "frames"), frames.order
    shown = ", ".join(order)
    if not bytes.fromhex(frames.header):
        yield Mistake((*here, "header"), "frames without a header cannot be found", None, "such as 55 AA")
    if len(set(order)) != len(order):
        yield Mistake((*here, "order"), "lists a part twice", shown)
        return
    if order[:1] != (FrameField.HEADER,):
        yield Mistake((*here, "order"), "a frame must begin with its header", shown)
    if FrameField.COMMAND not in order:
        yield Mistake((*here, "order"), "has no command", shown)
    parts = {
        FrameField.VERSION: frames.version is not None,
        FrameField.CHECKSUM: frames.checksum is not None,
    }
    for part, declared in parts.items():
        if declared != (part in order):
            where = "order" if declared else part.value
            yield Mistake((*here, where), f"{part} must be declared in both order and {part}", shown)
    places = {part: index for index, part in enumerate(order)}
    if FrameField.PAYLOAD in places and (
        FrameField.LENGTH not in places or places[FrameField.LENGTH] > places[FrameField.PAYLOAD]
    ):
        yield Mistake((*here, "order"), "the length must come before the payload", shown)
    if FrameField.PAYLOAD not in frames.length.counts and FrameField.PAYLOAD in places:
        counted = ", ".join(frames.length.counts)
        yield Mistake((*here, "length", "counts"), "does not count the payload", counted)
    covers = frames.checksum.covers if frames.checksum is not None else None
    if covers is not None and FrameField.CHECKSUM in covers:
        yield Mistake((*here, "checksum", "covers"), "a checksum cannot cover itself", ", ".join(covers))


def _of_payload(path: Path, payload: str, allowed: tuple[str, ...]) -> Iterator[Mistake]:
    yield from _unknown_places(path, payload, allowed)
    digits = _PLACE.sub(" ", payload)
    if not re.fullmatch(r"\s*([0-9A-Fa-f]{2}\s*)*", digits):
        yield Mistake(
            path, "is neither hexadecimal bytes nor arguments in braces", payload, "such as 01 {tag}"
        )


def _of_modbus(modbus: ModbusProtocol, line: LineSettings, subject: CheckedProfile) -> Iterator[Mistake]:
    here = (*_HERE, "modbus")
    if line.data_bits != 8:
        message = "Modbus RTU has bytes of 8 bits (MODBUS over Serial Line 1.02, 2.5.1)"
        yield Mistake((*_HERE, "line", "data_bits"), message, str(line.data_bits), "8")
    if line.parity in (Parity.MARK, Parity.SPACE):
        yield Mistake(
            (*_HERE, "line", "parity"), "is not a parity of Modbus RTU", line.parity, "even, odd, none"
        )
    for name, bound in modbus.properties.items():
        path = (*here, "properties", name)
        yield from _of_number(bound, path, name, subject, is_text=bound.text)
        schema = subject.profile.properties.get(name)
        if bound.table.has_bits and schema is not None and schema.type is not DataType.BOOLEAN:
            yield Mistake((*path, "table"), f"a bit cannot hold a value of type {schema.type}", bound.table)
        if bound.inject is not None and not bound.inject.table.writable:
            yield Mistake(
                (*path, "inject", "table"), "cannot be written", bound.inject.table, "coil, holding"
            )
    for command, register in modbus.commands.items():
        path = (*here, "commands", command.value)
        if command in (SerialCommand.READ_STATE, SerialCommand.WRITE_PROPERTY, SerialCommand.INJECT_SENSOR):
            yield Mistake(path, "already follows from the registers of the properties", command.value)
        elif command not in TELLING and not register.table.writable:
            yield Mistake((*path, "table"), "cannot be written", register.table, "coil or holding")


def _of_number(
    bound: WireNumber, path: Path, name: str, subject: CheckedProfile, *, is_text: bool
) -> Iterator[Mistake]:
    schema = subject.profile.properties.get(name)
    if schema is None or is_text:
        return
    if bound.values is not None:
        for number, value in bound.values.items():
            if problems := schema.violations(value):
                yield Mistake((*path, "values"), f"{number} breaks the schema: {problems[0]}")
        for member in schema.enum or ():
            if member not in bound.values.values():
                yield Mistake((*path, "values"), f"has no number for {member}")
    elif schema.type not in (DataType.BOOLEAN, DataType.INTEGER, DataType.NUMBER):
        yield Mistake(
            (*path, "values"), f"a value of type {schema.type} is not a number; map numbers to values"
        )
