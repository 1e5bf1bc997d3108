"""What does not fit in the description of a serial line is found, with its place and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from profile_files import LAMP, load_over_lamp, problems_of, write

from harness.model.bindings.serial import SerialCommand

SERIAL = "bindings.serial"


def serial(text: str) -> str:
    return f"bindings: {{ serial: {{ {text} }} }}"


def console(text: str) -> str:
    return serial(f"text: {{ {text} }}")


def frames(text: str) -> str:
    return serial(f"frames: {{ header: 55 AA, {text} }}")


def modbus(text: str) -> str:
    return serial(f"modbus: {{ {text} }}")


CHECKSUM = "checksum: { kind: sum }"
ORDER = "order: [header, command, length, payload, checksum]"
GOOD = f"{ORDER}, {CHECKSUM}"

MISTAKES = {
    # One protocol.
    serial("answer_within: 1"): (SERIAL, "one of text, frames and modbus"),
    serial("text: {}, modbus: {}"): (f"{SERIAL}.modbus", "one protocol"),
    # Names that there are not.
    console("properties: { levle: {} }"): (f"{SERIAL}.text.properties.levle", "level"),
    console("controls: { knob: k }"): (f"{SERIAL}.text.controls.knob", "no control"),
    modbus("properties: { levle: { register: 1 } }"): (f"{SERIAL}.modbus.properties.levle", "level"),
    # Patterns.
    serial("text: {}, patterns: { ready: ['('] }"): (f"{SERIAL}.patterns.ready[0]", "regular expression"),
    serial("text: {}, patterns: { crash: { panic: ['.*'] } }"): (
        f"{SERIAL}.patterns.crash.panic[0]",
        "every line",
    ),
    # Templates of a console.
    console("commands: { read_state: { send: 'get {propety}', answer: '{value}' } }"): (
        f"{SERIAL}.text.commands.read_state.send",
        "{property}",
    ),
    console("commands: { read_state: { send: 'get', answer: '{value}' } }"): (
        f"{SERIAL}.text.commands.read_state.send",
        "lacks {property}",
    ),
    console("commands: { memory: { send: heap, answer: OK } }"): (
        f"{SERIAL}.text.commands.memory.answer",
        "{value} is missing",
    ),
    console("commands: { memory: { send: heap } }"): (f"{SERIAL}.text.commands.memory.answer", "missing"),
    console("errors: ['ERR {why}']"): (f"{SERIAL}.text.errors[0]", "{reason}"),
    console("properties: { power: { values: { 'on': true } } }"): (
        f"{SERIAL}.text.properties.power.values",
        "false",
    ),
    console("properties: { mode: { values: { a: disco } } }"): (
        f"{SERIAL}.text.properties.mode.values",
        "eco",
    ),
    # Frames.
    frames("order: [command, header, length, payload]"): (f"{SERIAL}.frames.order", "begin with its header"),
    frames("order: [header, command, payload, length]"): (f"{SERIAL}.frames.order", "before the payload"),
    frames("order: [header, command, length, length, payload]"): (f"{SERIAL}.frames.order", "twice"),
    frames("order: [header, length, payload]"): (f"{SERIAL}.frames.order", "no command"),
    frames(f"order: [header, command, length, payload], {CHECKSUM}"): (f"{SERIAL}.frames.order", "checksum"),
    frames(f"{GOOD}, length: {{ counts: [command] }}"): (f"{SERIAL}.frames.length.counts", "payload"),
    frames(f"{GOOD}, commands: {{ reboot: {{ send: {{ command: 1, payload: '0G' }} }} }}"): (
        f"{SERIAL}.frames.commands.reboot.send.payload",
        "hexadecimal",
    ),
    frames(f"{GOOD}, commands: {{ write_property: {{ send: {{ command: 6, payload: '{{tag}}' }} }} }}"): (
        f"{SERIAL}.frames.commands.write_property.send.payload",
        "lacks {value}",
    ),
    frames(
        f"{GOOD}, commands: {{ read_state: {{ send: {{ command: 8 }}, "
        "answer: { command: 7, payload: '{value}' } } }"
    ): (
        f"{SERIAL}.frames.commands.read_state.answer",
        "{tag} is missing",
    ),
    frames(f"{GOOD}, properties: {{ mode: {{ tag: '01', bytes: 1 }} }}"): (
        f"{SERIAL}.frames.properties.mode.values",
        "map numbers to values",
    ),
    frames(f"{GOOD}, properties: {{ mode: {{ tag: '01', bytes: 1, values: {{ 0: eco, 1: 'on' }} }} }}"): (
        f"{SERIAL}.frames.properties.mode.values",
        "no number for off",
    ),
    # Modbus.
    serial("modbus: {}, line: { data_bits: 7 }"): (f"{SERIAL}.line.data_bits", "8 bits"),
    serial("modbus: {}, line: { parity: mark }"): (f"{SERIAL}.line.parity", "even"),
    modbus("properties: { level: { table: coil, register: 1 } }"): (
        f"{SERIAL}.modbus.properties.level.table",
        "a bit cannot hold",
    ),
    modbus("properties: { heat: { table: input, register: 1, inject: { table: input, register: 2 } } }"): (
        f"{SERIAL}.modbus.properties.heat.inject.table",
        "cannot be written",
    ),
    modbus("commands: { read_state: { register: 1 } }"): (
        f"{SERIAL}.modbus.commands.read_state",
        "already follows",
    ),
    modbus("commands: { reboot: { table: input, register: 1 } }"): (
        f"{SERIAL}.modbus.commands.reboot.table",
        "cannot be written",
    ),
}


@pytest.mark.parametrize(("changes", "expected"), MISTAKES.items(), ids=[*MISTAKES])
def test_what_does_not_fit_is_found(tmp_path: Path, changes: str, expected: tuple[str, str]) -> None:
    write(tmp_path, LAMP, "lamp.yaml")
    problems = problems_of(write(tmp_path, f"extends: lamp.yaml\n{changes}"))
    key, text = expected
    found = [str(problem) for problem in problems]
    assert any(f" {key}: " in problem and text in problem for problem in found), found


FITTING = [
    console("commands: { read_state: { send: 'get {property}', answer: '{property}={value}' } }"),
    frames(f"{GOOD}, commands: {{ reboot: {{ send: {{ command: 4, payload: '01 ff' }} }} }}"),
    modbus("properties: { level: { register: 1 }, power: { table: coil, register: 0 } }"),
]


@pytest.mark.parametrize("changes", FITTING)
def test_what_fits_is_accepted(tmp_path: Path, changes: str) -> None:
    assert load_over_lamp(tmp_path, changes).bindings.serial is not None


def test_what_the_line_can_do_follows_from_its_registers(tmp_path: Path) -> None:
    profile = load_over_lamp(
        tmp_path,
        modbus(
            "properties: { level: { register: 1 }, "
            "heat: { table: input, register: 2, inject: { register: 9 } } }"
        ),
    )
    line = profile.bindings.serial
    assert line is not None
    assert line.knows(SerialCommand.READ_STATE, "heat")
    assert line.knows(SerialCommand.WRITE_PROPERTY, "level")
    assert not line.knows(SerialCommand.WRITE_PROPERTY, "heat")
    assert line.knows(SerialCommand.INJECT_SENSOR, "heat")
    assert not line.knows(SerialCommand.INJECT_SENSOR, "level")
    assert not line.knows(SerialCommand.READ_STATE, "power")
    assert not line.knows(SerialCommand.REBOOT)
