"""Who switches and operates a real device: relay boards, commands, and a person at the terminal."""

from __future__ import annotations

import asyncio
import os
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.links.actuators import (
    ActuatorCommand,
    ActuatorError,
    Task,
)
from harness.links.actuators.command import CommandActuator
from harness.links.actuators.manual import Operator
from harness.links.actuators.registry import (
    ActuatorKind,
    actuator_named,
    parse,
)
from harness.links.actuators.relay import (
    LineRelay,
    RelayBoard,
    RelayLine,
    channels_of,
    frame,
)
from harness.links.clock.loop import run

OFF = Task(ActuatorCommand.POWER_OFF, "plug")
ON = Task(ActuatorCommand.POWER_ON, "plug")
PRESS = Task(ActuatorCommand.PRESS, "plug", "button")


@contextmanager
def board() -> Iterator[tuple[str, int]]:
    """The serial port of a relay board: its name, and the end at which the board reads."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    try:
        yield os.ttyname(theirs), ours
    finally:
        os.close(ours)
        os.close(theirs)


def received(end: int, expected: bytes) -> bool:
    """Whether the board got just that; a terminal passes on what is written piece by piece."""
    got = b""
    while len(got) < len(expected):
        got += os.read(end, 100)
    return got == expected


# Relay boards


@given(st.integers(1, 16), st.booleans())
def test_a_frame_adds_up(channel: int, closed: bool) -> None:
    raw = frame(channel, closed)
    assert raw[:3] == bytes((0xA0, channel, closed))
    assert raw[3] == sum(raw[:3]) % 256


def test_the_frame_of_the_first_relay_is_the_one_in_the_boards_manual() -> None:
    assert frame(1, True) == bytes.fromhex("A0 01 01 A2")
    assert frame(1, False) == bytes.fromhex("A0 01 00 A1")


def test_a_board_switches_the_power() -> None:
    with board() as (name, end):
        relay = RelayBoard(RelayLine(name), channels_of("2"))

        async def main() -> None:
            await relay.perform(OFF)
            await relay.perform(ON)
            await relay.close()

        run(main())
        assert received(end, frame(2, False) + frame(2, True))


def test_devices_share_a_board_at_one_port() -> None:
    with board() as (name, end):

        async def main() -> None:
            one, other = (actuator_named(parse(f"relay:{name}#{channel}")) for channel in (1, 2))
            await asyncio.gather(one.perform(OFF), other.perform(OFF))
            await one.close()
            await other.perform(ON)  # the port is there as long as somebody needs it
            await other.close()

        run(main())
        assert received(end, frame(1, False) + frame(2, False) + frame(2, True))


def test_an_inverted_relay_is_closed_to_switch_off() -> None:
    with board() as (name, end):

        async def main() -> None:
            relay = RelayBoard(RelayLine(name), channels_of("!1"))
            await relay.perform(OFF)
            await relay.close()

        run(main())
        assert received(end, frame(1, True))


def test_a_key_is_pressed_and_let_go() -> None:
    with board() as (name, end):

        async def main() -> str:
            relay = RelayBoard(RelayLine(name), channels_of("start=3, button=4"))
            done = await relay.perform(PRESS)
            await relay.close()
            return done

        done = run(main())
        assert received(end, frame(4, True) + frame(4, False))
        assert "A0 04 01 A5" in done


def test_a_key_without_a_relay_is_told() -> None:
    relay = RelayBoard(RelayLine("unused"), channels_of("start=3"))
    with pytest.raises(ActuatorError, match="no relay to press button on plug"):
        run(relay.perform(PRESS))
    assert ActuatorCommand.POWER_OFF not in relay.can


def test_a_line_relay_sends_its_line() -> None:
    with board() as (name, end):

        async def main() -> None:
            relay = LineRelay(RelayLine(name), "relay {action} 0")
            await relay.perform(OFF)
            await relay.close()

        run(main())
        assert received(end, b"relay off 0\r\n")


def test_a_board_that_is_not_there_is_told_with_its_port() -> None:
    relay = RelayBoard(RelayLine("/dev/no-such-port"), channels_of("1"))
    with pytest.raises(ActuatorError, match="/dev/no-such-port"):
        run(relay.perform(ON))


# Commands


def test_a_command_gets_what_is_to_be_done(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    program = f"import sys; open({str(kept)!r}, 'a').write(repr(sys.argv[1:])); print('as you wish')"
    template = f'{sys.executable} -c "{program}" {{action}} {{name}} {{value}}'
    helper = CommandActuator(template)
    done = run(helper.perform(Task(ActuatorCommand.SENSE, "plug", "temperature", '"a b; rm"')))
    assert kept.read_text() == repr(["set", "temperature", '"a b; rm"'])
    assert done.endswith("as you wish")


def test_a_command_that_fails_is_told_with_its_words() -> None:
    helper = CommandActuator('sh -c "echo no such hub; exit 3" {action}')
    with pytest.raises(ActuatorError, match="status 3: no such hub"):
        run(helper.perform(OFF))


def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(ActuatorError, match="no-such-program off: cannot be started"):
        run(CommandActuator("no-such-program {action}").perform(OFF))


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    helper = CommandActuator(f'sh -c "sleep 1000 & echo $! > {pid}; wait" {{action}}', limit=0.5)
    with pytest.raises(ActuatorError, match="did not end within"):
        run(helper.perform(OFF))
    with pytest.raises(ProcessLookupError):
        while True:  # until the child is gone; the test's own time limit ends it otherwise
            os.kill(int(pid.read_text()), 0)
            if _is_zombie(int(pid.read_text())):
                raise ProcessLookupError


def _is_zombie(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


# A person


class _Terminal:
    """Answers each question as soon as it is asked."""

    def __init__(self, *answers: str) -> None:
        self.source, self._answer = os.pipe()
        self.asked: list[str] = []
        self._answers = list(answers)

    def say(self, line: str) -> None:
        self.asked.append(line)
        if self._answers:
            os.write(self._answer, self._answers.pop(0).encode() + b"\n")

    def type(self, text: str) -> None:
        os.write(self._answer, text.encode())

    def leave(self) -> None:
        os.close(self._answer)


def _ask(terminal: _Terminal, *tasks: Task, limit: float = 30.0) -> list[str]:
    async def main() -> list[str]:
        operator = Operator(terminal.say, source=terminal.source, limit=limit)
        return list(await asyncio.gather(*(operator.perform(task) for task in tasks)))

    return run(main())


def test_a_person_is_asked_in_words_and_a_program_by_a_word() -> None:
    terminal = _Terminal("")
    assert _ask(terminal, OFF) == ["by hand: switch the power of plug off"]
    assert terminal.asked == [
        'harness asks 1 off: switch the power of plug off, then press Enter. Type "no" if you cannot.'
    ]


def test_several_devices_are_asked_for_one_after_the_other() -> None:
    terminal = _Terminal("done", "yes")
    _ask(terminal, OFF, PRESS)
    assert [line.split(":")[0] for line in terminal.asked] == ["harness asks 1 off", "harness asks 2 press"]


def test_no_is_no() -> None:
    with pytest.raises(ActuatorError, match="did not press button on plug: no, it is stuck"):
        _ask(_Terminal("no, it is stuck"), PRESS)


def test_nobody_answers() -> None:
    terminal = _Terminal()
    with pytest.raises(ActuatorError, match="no answer within"):
        _ask(terminal, OFF, limit=0.05)


def test_nobody_is_there() -> None:
    terminal = _Terminal()
    terminal.leave()
    with pytest.raises(ActuatorError, match="standard input has ended"):
        _ask(terminal, OFF)


def test_an_enter_too_many_does_not_answer_what_is_asked_later() -> None:
    terminal = _Terminal()
    terminal.type("\n\n")
    with pytest.raises(ActuatorError, match="no answer within"):
        _ask(terminal, OFF, limit=0.05)


# Names


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("operator", ActuatorKind.OPERATOR),
        ("console", ActuatorKind.CONSOLE),
        ("command:uhubctl -p 2 -a {action}", ActuatorKind.COMMAND),
        ("relay:/dev/ttyUSB1#1", ActuatorKind.RELAY),
        ("relay:socket://192.0.2.9:4000#start=1,stop=!2", ActuatorKind.RELAY),
        ("line:/dev/ttyACM0#relay {action} 0", ActuatorKind.LINE),
    ],
)
def test_a_helper_is_named_as_people_name_it(text: str, kind: ActuatorKind) -> None:
    name = parse(text)
    assert name.kind is kind
    assert str(name) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("uhubctl -p 2", "there is no actuator"),
        ("command:", "the command is empty"),
        ("command:uhubctl {port}", "has {port}; known are"),
        ("command:echo 'unclosed", "is malformed"),
        ("relay:/dev/ttyUSB1", "lacks a port or what comes after #"),
        ("relay:/dev/ttyUSB1#0", "is no relay"),
        ("relay:/dev/ttyUSB1#a=1,a=2", "a has a relay already"),
        ("operator:me", "nothing may follow operator"),
    ],
)
def test_what_names_no_helper_is_told(text: str, told: str) -> None:
    with pytest.raises(ActuatorError) as problem:
        parse(text)
    assert told in str(problem.value)


def test_a_command_that_cannot_tell_keys_apart_has_no_hands() -> None:
    helper = actuator_named(parse("command:uhubctl -p 2 -a {action}"))
    assert ActuatorCommand.POWER_OFF in helper.can
    assert ActuatorCommand.PRESS not in helper.can
