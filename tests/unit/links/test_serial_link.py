"""The serial link over a pseudo-terminal: commands, noise, a port that comes and goes, and virtual time."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Iterator

import pytest

from harness.links.clock.loop import (
    VirtualLoop,
    run,
)
from harness.links.serial.link import SerialError
from harness.model.bindings.serial import SerialCommand
from harness.trace.events import Note, PortChange, SerialPort
from tests.unit.links.serial_peers import TEXT, Typist, answers, changes, heard, lines_of, linked

READ, WRITE = SerialCommand.READ_STATE, SerialCommand.WRITE_PROPERTY


def obedient(line: str) -> Iterator[bytes]:
    """A console with an echo."""
    yield line.encode() + b"\r\n"
    word, _, rest = line.partition(" ")
    known = {"power": b"on", "level": b"-3", "name": b"hall lamp"}
    if word == "get" and rest in known:
        yield rest.encode() + b"=" + known[rest] + b"\r\n"
    elif word == "set" and rest.split()[0] in known:
        yield b"OK\r\n"
    elif word == "heap":
        yield b"heap 0x1f40\r\n"
    elif word == "version":
        yield b"I (77) app: fw 1.2.3\r\n"
    elif word != "reboot":
        yield b"ERR what is " + line.encode() + b"\r\n"
    yield b"> "


def test_commands_are_answered_with_values_of_their_types() -> None:
    async def main() -> None:
        async with linked(Typist(obedient)) as (link, recorder):
            assert (await link.command(READ, "power")).value is True
            assert (await link.command(READ, "level")).value == -3
            assert (await link.command(READ, "name")).value == "hall lamp"
            assert (await link.command(SerialCommand.MEMORY)).value == 8000
            assert (await link.command(SerialCommand.FIRMWARE_VERSION)).value == "1.2.3"
            assert (await link.command(WRITE, "power", False)).problem is None
            assert (await link.command(SerialCommand.REBOOT)).problem is None
            told = [(answer.command, answer.name, answer.value) for answer in answers(recorder)]
            assert told[:2] == [("read_state", "power", "true"), ("read_state", "level", "-3")]

    run(main(), virtual=True)


def test_what_is_typed_is_in_the_words_of_the_console() -> None:
    async def main() -> None:
        board = Typist(obedient)
        async with linked(board) as (link, _):
            await link.command(WRITE, "power", True)
            await link.command(WRITE, "level", 12)
            await link.command(WRITE, "name", "two words")
            assert board.typed == ["set power on", "set level 12", "set name two words"]

    run(main(), virtual=True)


def test_a_refusal_and_nonsense_are_told() -> None:
    def contrary(line: str) -> Iterator[bytes]:
        yield b"ERR too hot\r\n" if line.startswith("set") else b"level=many\r\n"

    async def main() -> None:
        async with linked(Typist(contrary)) as (link, _):
            refused = await link.command(WRITE, "level", 1)
            assert refused.problem == "the board refused: too hot"
            nonsense = await link.command(READ, "level")
            assert nonsense.value is None
            assert nonsense.problem is not None
            assert "'many'" in nonsense.problem

    run(main(), virtual=True)


def test_a_board_that_is_mute_is_told_in_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with linked(Typist()) as (link, _):
            begin = loop.time()
            reply = await link.command(READ, "level", within=0.7)
            assert reply.problem == "no answer within 0.7 s"
            assert loop.time() - begin == pytest.approx(0.7)

    run(main(), virtual=True)


def test_what_the_profile_does_not_declare_is_not_sent() -> None:
    async def main() -> None:
        board = Typist(obedient)
        async with linked(board) as (link, _):
            with pytest.raises(SerialError, match="declares no factory_reset"):
                await link.command(SerialCommand.FACTORY_RESET)
            with pytest.raises(SerialError, match="declares no read_state humidity"):
                await link.command(READ, "humidity")
            assert board.typed == []

    run(main(), virtual=True)


def test_commands_of_many_callers_take_turns() -> None:
    def slow(line: str) -> Iterator[bytes]:
        asyncio.get_running_loop().call_later(0.4, board.say, f"{line[4:]}=1\r\n".encode())
        yield b""

    async def main() -> None:
        nonlocal board
        board = Typist(slow)
        async with linked(board) as (link, _):
            replies = await asyncio.gather(*(link.command(READ, "level") for _ in range(20)))
            assert [reply.value for reply in replies] == [1] * 20

    board: Typist
    run(main(), virtual=True)


def test_the_log_may_talk_in_between() -> None:
    def chatty(line: str) -> Iterator[bytes]:
        yield b"\x1b[0;32mI (1) wifi: level of noise = 3\x1b[0m\r\n"
        yield b"> get level\r\nlevel"
        yield b"=42\r"
        yield b"\nI (2) wifi: level=lost\r\n"

    async def main() -> None:
        async with linked(Typist(chatty)) as (link, recorder):
            assert (await link.command(READ, "level")).value == 42
            assert await link.line(lambda text: "lost" in text, within=1, since=0)
            assert "I (1) wifi: level of noise = 3" in lines_of(recorder)

    run(main(), virtual=True)


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\n\r", b"\r\r\n"])
def test_wrong_line_endings_do_not_matter(ending: bytes) -> None:
    async def main() -> None:
        board = Typist(lambda line: [b"> " + line.encode() + ending + b"level=5" + ending])
        async with linked(board) as (link, _):
            for _ in range(5):
                assert (await link.command(READ, "level")).value == 5

    run(main(), virtual=True)


def test_every_byte_is_recorded_in_order_and_each_line_once() -> None:
    async def main() -> None:
        generator = random.Random(4)
        board = Typist()
        sent = b""
        async with linked(board) as (link, recorder):
            for number in range(300):
                part = generator.randbytes(generator.randrange(40))
                part += f"\r\nline {number}\r\n".encode()
                sent += part
                for at in range(0, len(part), 7):
                    board.say(part[at : at + 7])
                assert await link.line(
                    lambda text, number=number: text == f"line {number}", within=1, since=0
                )
            assert heard(recorder) == sent
            lines = lines_of(recorder)
            assert [text for text in lines if text.startswith("line ")] == [f"line {n}" for n in range(300)]

    run(main(), virtual=True)


def test_noise_that_is_no_text_is_told_once_as_a_wrong_baud_rate() -> None:
    async def main() -> None:
        noise = random.Random(5)
        board = Typist(lambda line: [noise.randbytes(120)])
        async with linked(board) as (link, recorder):
            for _ in range(3):
                reply = await link.command(READ, "level")
            assert reply.problem is not None
            assert "115200 bits/s" in reply.problem
            notes = [event.body.text for event in recorder.events if isinstance(event.body, Note)]
            assert len(notes) == 1
            assert "are not text" in notes[0]

    run(main(), virtual=True)


def test_a_port_that_vanishes_is_waited_for() -> None:
    async def main() -> None:
        board = Typist(obedient)
        async with linked(board) as (link, recorder):
            assert (await link.command(READ, "level")).value == -3
            asking = asyncio.create_task(link.command(SerialCommand.MEMORY))
            asyncio.get_running_loop().call_soon(board.terminal.unplug)
            reply = await asking
            assert reply.problem is not None
            assert "vanished" in reply.problem
            assert not link.present
            with pytest.raises(SerialError, match="is gone"):
                await link.command(READ, "level")
            await asyncio.sleep(3)
            board.terminal.open()
            returned = await recorder.wait_for(
                lambda event: isinstance(event.body, SerialPort) and event.body.change is PortChange.RETURNED,
                within=2,
            )
            assert returned is not None
            assert link.present
            assert (await link.command(READ, "level")).value == -3
        assert changes(recorder) == ["opened", "vanished", "returned", "closed"]

    run(main(), virtual=True)


def test_nothing_is_typed_before_there_is_something_to_say() -> None:
    """A key that is pressed while a board starts keeps many a boot loader from going on."""

    async def main() -> None:
        typed = bytearray()
        board = Typist()
        board.terminal._on_data = typed.extend

        async def typed_for(command: SerialCommand) -> bytes:
            typed.clear()
            await link.command(command, "level" if command is READ else None, within=0.1)
            await asyncio.sleep(0.1)
            return bytes(typed)

        async with linked(board) as (link, _):
            board.say(b"Hit any key to stop autoboot:  2\r\n")
            await asyncio.sleep(5)
            assert typed == b""
            # Half a line may stand in the board's input, of whoever had the port before: it is ended first.
            assert await typed_for(SerialCommand.REBOOT) == b"\r\nreboot\r\n"
            assert await typed_for(SerialCommand.REBOOT) == b"reboot\r\n"
            assert await typed_for(READ) == b"get level\r\n"  # in vain: perhaps it was torn
            assert await typed_for(SerialCommand.REBOOT) == b"\r\nreboot\r\n"

    run(main(), virtual=True)


def test_a_link_whose_port_is_away_can_be_closed() -> None:
    async def main() -> None:
        board = Typist()
        async with linked(board) as (link, recorder):
            board.terminal.unplug()
            await recorder.wait_for(
                lambda event: isinstance(event.body, SerialPort) and event.body.change is PortChange.VANISHED,
                within=1,
                since=0,
            )
            await link.close()
            assert changes(recorder)[-1] == "closed"

    run(main(), virtual=True)


def test_thousands_of_exchanges_in_virtual_time_never_time_out() -> None:
    """Each answer comes 0.1 ms before its deadline: a clock that jumped ahead of the bytes would miss it."""

    def just_in_time(line: str) -> Iterator[bytes]:
        loop = asyncio.get_running_loop()
        loop.call_later(0.4999, board.say, b"> get level\r\nlevel=")
        loop.call_later(0.4999, board.say, b"8\r\n")
        yield b""

    async def main() -> None:
        nonlocal board
        board = Typist(just_in_time)
        loop = asyncio.get_running_loop()
        async with linked(board) as (link, recorder):
            begin = loop.time()
            for _ in range(2000):
                assert (await link.command(READ, "level", within=0.5)).value == 8
            assert loop.time() - begin == pytest.approx(2000 * 0.4999)
            assert all(answer.problem is None for answer in answers(recorder))

    board: Typist
    run(main(), virtual=True)


def test_the_virtual_clock_stands_still_for_bytes_that_the_kernel_has_not_delivered_yet() -> None:
    """The kernel of this machine may be quick; here a thread is slow in its place."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        board = Typist()
        async with linked(board) as (link, _):
            fd = board.terminal._master
            late = b"late\r\n"
            loop.terminals.written(fd, len(late))

            def deliver() -> None:
                time.sleep(0.05)
                os.write(fd, late)

            thread = threading.Thread(target=deliver)
            thread.start()
            begin = loop.time()
            assert await link.line(lambda text: text == "late", within=0.001) is not None
            assert loop.time() == begin
            thread.join()

    run(main(), virtual=True)


def test_the_virtual_clock_does_not_wait_for_ever_for_bytes_that_never_come() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        board = Typist()
        async with linked(board):
            loop.terminals.written(board.terminal._master, 100)
            await asyncio.sleep(3600)

    begin = time.perf_counter()
    run(main(), virtual=True)
    assert time.perf_counter() - begin < 60  # an hour, otherwise


def test_the_prompt_does_not_hide_an_answer() -> None:
    serial = {**TEXT, "text": {**TEXT["text"], "prompt": "board:~$ ", "echo": False}}  # type: ignore[dict-item]

    async def main() -> None:
        async with linked(Typist(lambda line: [b"board:~$ level=9\r\nboard:~$ "]), serial) as (link, _):
            assert (await link.command(READ, "level")).value == 9

    run(main(), virtual=True)
