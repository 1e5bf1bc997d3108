"""Frames and registers over the serial link: the bytes on the line, and what is taken for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest

from harness.links.clock.loop import run
from harness.links.serial.pseudo_terminal import PseudoTerminal
from harness.model.bindings.serial import SerialCommand
from harness.trace.events import Direction, SerialData
from tests.unit.links.serial_peers import Typist, linked

READ, WRITE = SerialCommand.READ_STATE, SerialCommand.WRITE_PROPERTY

FRAMES: dict[str, Any] = {
    "line": {"baud_rate": 9600},
    "answer_within": 1,
    "frames": {
        "header": "55 AA",
        "version": {"sent": 0, "received": 3},
        "length": {"bytes": 2},
        "checksum": {"kind": "sum"},
        "maximum": 64,
        "commands": {
            "read_state": {"send": {"command": 8}, "answer": {"command": 7, "payload": "{tag} {value}"}},
            "write_property": {
                "send": {"command": 6, "payload": "{tag} {value}"},
                "answer": {"command": 7, "payload": "{tag} {value}"},
            },
        },
        "properties": {
            "power": {"tag": "01 01 00 01", "bytes": 1},
            "level": {"tag": "02 02 00 04", "bytes": 4, "signed": True},
        },
    },
}

ASK_ALL = bytes.fromhex("55 AA 00 08 00 00 07")
SWITCH_ON = bytes.fromhex("55 AA 00 06 00 05 01 01 00 01 01 0E")
IS_ON = bytes.fromhex("55 AA 03 07 00 05 01 01 00 01 01 12")
LEVEL_MINUS_2 = bytes.fromhex("55 AA 03 07 00 08 02 02 00 04 FF FF FF FE 14")
LEVEL_5 = bytes.fromhex("55 AA 03 07 00 08 02 02 00 04 00 00 00 05 1E")


class Controller(Typist):
    """A board that answers with bytes that stand here, not with what some codec makes."""

    def __init__(self, answers: Callable[[bytes], Iterable[bytes]]) -> None:
        self.asked: list[bytes] = []
        self._bytes = answers
        self.terminal = PseudoTerminal(self._asked_for)
        self.terminal.open()

    def _asked_for(self, data: bytes) -> None:
        self.asked.append(data)
        for part in self._bytes(data):
            self.say(part)


def test_the_bytes_on_the_line_are_those_of_the_protocol() -> None:
    async def main() -> None:
        board = Controller(lambda asked: [IS_ON, LEVEL_MINUS_2] if asked == ASK_ALL else [IS_ON])
        async with linked(board, FRAMES) as (link, recorder):
            assert (await link.command(READ, "power")).value is True
            assert (await link.command(READ, "level")).value == -2
            assert (await link.command(WRITE, "power", True)).problem is None
            assert board.asked == [ASK_ALL, ASK_ALL, SWITCH_ON]
            whats = [event.body.what for event in recorder.events if isinstance(event.body, SerialData)]
            assert "frame 0x06, payload 01 01 00 01 01" in whats

    run(main(), virtual=True)


def test_a_late_frame_of_an_earlier_question_is_not_taken_for_an_answer() -> None:
    """The board tells all of its state, whatever is asked: the next question waits for the end of that."""
    level = LEVEL_MINUS_2

    def slowly(asked: bytes) -> Iterable[bytes]:
        yield IS_ON
        asyncio.get_running_loop().call_later(0.15, board.say, level)

    async def main() -> None:
        nonlocal board, level
        board = Controller(slowly)
        async with linked(board, FRAMES) as (link, _):
            assert (await link.command(READ, "power")).value is True
            level = LEVEL_5
            assert (await link.command(READ, "level")).value == 5

    board: Controller
    run(main(), virtual=True)


def test_a_property_that_the_board_does_not_tell_is_not_waited_for() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with linked(Controller(lambda asked: [IS_ON]), FRAMES) as (link, _):
            begin = loop.time()
            assert (await link.command(READ, "power")).value is True
            assert loop.time() - begin < 0.5
            missing = await link.command(READ, "level")
            assert missing.problem is not None
            assert "frame 0x07, payload 01 01 00 01 01 came" in missing.problem

    run(main(), virtual=True)


def test_an_answer_with_another_value_is_no_confirmation() -> None:
    async def main() -> None:
        async with linked(Controller(lambda asked: [LEVEL_5]), FRAMES) as (link, _):
            assert (await link.command(WRITE, "level", 5)).problem is None
            assert (await link.command(WRITE, "level", 6)).problem is not None

    run(main(), virtual=True)


def test_text_between_frames_is_the_log_and_half_a_frame_holds_nothing_up() -> None:
    half = IS_ON[:7]

    def noisy(asked: bytes) -> Iterable[bytes]:
        yield b"boot: 3\r\n"
        yield half
        asyncio.get_running_loop().call_later(0.5, lambda: [board.say(IS_ON), board.say(LEVEL_5)])

    async def main() -> None:
        nonlocal board
        board = Controller(noisy)
        async with linked(board, FRAMES) as (link, recorder):
            assert (await link.command(READ, "power")).value is True
            assert await link.line(lambda text: text == "boot: 3", within=1, since=0)
            raw = b"".join(
                event.body.raw
                for event in recorder.events
                if isinstance(event.body, SerialData) and event.body.direction is Direction.FROM_DUT
            )
            assert raw == b"boot: 3\r\n" + half + IS_ON + LEVEL_5

    board: Controller
    run(main(), virtual=True)


@pytest.mark.parametrize(("answered", "good"), [(1, True), (9, False)])
def test_where_frames_are_numbered_the_answer_has_the_number_of_the_question(
    answered: int, good: bool
) -> None:
    numbered = {
        "answer_within": 1,
        "frames": {
            "header": "AA",
            "order": ["header", "sequence", "command", "length", "payload"],
            "commands": {
                "firmware_version": {"send": {"command": 1}, "answer": {"command": 1, "payload": "{value}"}}
            },
        },
    }

    async def main() -> None:
        board = Controller(lambda asked: [bytes([0xAA, answered, 0x01, 0x03]) + b"1.2"])
        async with linked(board, numbered) as (link, _):
            reply = await link.command(SerialCommand.FIRMWARE_VERSION)
            assert board.asked == [bytes([0xAA, 0x01, 0x01, 0x00])]
            assert (reply.value == "1.2") is good
            assert (reply.problem is None) is good

    run(main(), virtual=True)


MODBUS: dict[str, Any] = {
    "line": {"baud_rate": 9600, "parity": "even"},
    "answer_within": 1,
    "modbus": {"address": 1, "properties": {"level": {"register": 0, "signed": True}}},
}
READ_0 = bytes.fromhex("01 03 00 00 00 01 84 0A")  # a request that every text book on Modbus has
IS_7 = bytes.fromhex("01 03 02 00 07 F9 86")


def test_a_modbus_request_is_the_one_of_the_text_books() -> None:
    async def main() -> None:
        board = Controller(
            lambda asked: [b"\x01\x03\x02\xff", IS_7[:3], IS_7[3:]]
        )  # half of another one before it
        async with linked(board, MODBUS) as (link, _):
            assert (await link.command(READ, "level")).value == 7
            assert board.asked == [READ_0]

    run(main(), virtual=True)


def test_there_is_silence_between_an_answer_and_the_next_request() -> None:
    """3.5 characters: devices take a request that follows at once for a part of the answer."""

    async def main() -> None:
        async with linked(Controller(lambda asked: [IS_7]), MODBUS) as (link, recorder):
            for _ in range(5):
                assert (await link.command(READ, "level")).value == 7
            events = [event for event in recorder.events if isinstance(event.body, SerialData)]
            silences = [
                after.time - before.time
                for before, after in pairwise(events)
                if after.body.direction is Direction.TO_DUT
            ]
            assert len(silences) == 4
            assert min(silences) == pytest.approx(3.5 * 11 / 9600, abs=1e-5)

    run(main(), virtual=True)


def test_a_damaged_answer_is_none() -> None:
    async def main() -> None:
        async with linked(Controller(lambda asked: [IS_7[:-1] + b"\0"]), MODBUS) as (link, _):
            reply = await link.command(READ, "level")
            assert reply.value is None
            assert reply.problem == "no answer within 1 s"

    run(main(), virtual=True)
