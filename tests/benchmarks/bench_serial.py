"""A soak of the serial link: a board that prints without end, with garbage in between, and answers commands.

    python tests/benchmarks/bench_serial.py [--lines 1000000] [--rate 2000000]

The board is a process of its own behind a pseudo-terminal. It sends lines of a log at a steady rate, now and
then random bytes, and answers commands in the middle of that. Both sides hash every byte that went over the
line; the hashes have to be equal. The trace goes to a file and is not kept in memory, so that what grows
would be the link's own; with --keep it stays in memory, as in a run.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import re
import select
import sys
import tempfile
import time
import tty
from asyncio.subprocess import PIPE
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from harness.links.serial.link import SerialLink
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.trace.events import Body, Direction, Event, SerialData
from harness.trace.lines import read
from harness.trace.recorder import Recorder

GARBAGE_EVERY = 100  # lines, on average
COMMAND_EVERY = 0.5  # seconds
MOST_GROWTH = 5.0  # MB after the first tenth
BLOCK = 4096  # bytes that the board hands over at once

PROFILE = {
    "profile": "chatterbox",
    "title": "A board that prints without end",
    "category": "board",
    "properties": {"level": {"type": "integer"}},
    "bindings": {
        "coap": {"properties": {"level": {"path": "/level"}}},
        "serial": {
            "line": {"baud_rate": 2_000_000},
            "answer_within": 10,
            "text": {
                "echo": False,
                "commands": {"read_state": {"send": "get {property}", "answer": "{property}={value}"}},
                "properties": {"level": {}},
            },
        },
    },
}


# The board


def board(lines: int, rate: float, seed: int) -> None:
    """Print the name of the terminal, wait for the first byte, then send; at the end print the hash."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    print(os.ttyname(slave), flush=True)
    select.select([master], [], [])
    generator, digest, sent = random.Random(seed), hashlib.sha256(), 0
    pending, begin, number, answered = bytearray(), time.perf_counter(), 0, 0
    noise = bytes(byte for byte in range(256) if byte not in b"\r\n")
    while number < lines or pending:
        while len(pending) < BLOCK and number < lines:
            if generator.randrange(GARBAGE_EVERY) == 0:
                pending += bytes(generator.choices(noise, k=generator.randrange(1, 60))) + b"\n"
            pending += b"I (%d) app: line %d of the log, all is well %s\r\n" % (
                number * 7,
                number,
                b"." * generator.randrange(24),
            )
            number += 1
        due = (time.perf_counter() - begin) * rate / 8 - sent
        readable, writable, _ = select.select(
            [master], [master] if due > 0 else [], [], 0 if due > 0 else 0.002
        )
        if readable:
            for _ in range(os.read(master, 65536).count(b"get level")):
                # Between two lines: the board has one output, and takes turns.
                place = pending.rfind(b"\n") + 1
                pending[place:place] = b"level=%d\r\n" % answered
                answered += 1
        if writable:
            written = os.write(master, pending[: max(1, min(int(due), BLOCK))])
            digest.update(pending[:written])
            sent += written
            del pending[:written]
    took = time.perf_counter() - begin
    print(f"{digest.hexdigest()} {sent} {answered} {took:.3f}", flush=True)
    sys.stdin.readline()  # the terminal stays until everything has been read


# The harness


class Latest:
    """In place of a recorder's list: only the newest events stay."""

    def __init__(self) -> None:
        self._count = 0
        self._kept: deque[Event] = deque(maxlen=1000)

    def append(self, event: Event) -> None:
        self._count += 1
        self._kept.append(event)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return list(self._kept)[index]


class Soaking(Recorder):
    """Hashes what comes, and forgets what is in the file."""

    def __init__(self, path: Path, *, forgets: bool) -> None:
        super().__init__(asyncio.get_running_loop().time, path)
        if forgets:
            self._events: Any = Latest()
        self.digest = hashlib.sha256()
        self.bytes = self.lines = self.log_lines = 0

    def record(self, body: Body) -> Event:
        if isinstance(body, SerialData) and body.direction is Direction.FROM_DUT:
            self.digest.update(body.raw)
            self.bytes += len(body.raw)
            self.lines += body.line is not None
            self.log_lines += body.line is not None and "app: line" in body.line
        return super().record(body)


def resident() -> float:
    """Memory of this process in MB."""
    status = Path("/proc/self/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+)", status)
    return int(match[1]) / 1024 if match else 0.0


@dataclass
class Figures:
    """What was measured."""

    asked: int = 0
    unanswered: int = 0
    delays: list[float] = field(default_factory=list)  # seconds
    memory: list[tuple[float, float]] = field(default_factory=list)  # share of the lines, MB
    wall: float = 0.0
    processor: float = 0.0

    @property
    def settled(self) -> list[float]:
        """Memory after the first tenth of the lines."""
        return [megabytes for share, megabytes in self.memory if share > 0.1]


async def soak(link: SerialLink, recorder: Soaking, lines: int, ended: asyncio.Future[str]) -> Figures:
    """Ask for the level again and again until the board has sent everything and all of it has come."""
    figures, loop = Figures(), asyncio.get_running_loop()
    begin, used = loop.time(), time.process_time()
    await link.start()
    while not ended.done():
        await asyncio.wait({ended}, timeout=COMMAND_EVERY)
        figures.memory.append((recorder.log_lines / lines, resident()))
        if ended.done():
            break
        sent_at = loop.time()
        reply = await link.command(SerialCommand.READ_STATE, "level")
        figures.asked += 1
        figures.delays.append(loop.time() - sent_at)
        figures.unanswered += reply.problem is not None
    expected = int(ended.result().split()[1])
    await recorder.wait_for(lambda _: recorder.bytes >= expected, within=60, since=len(recorder.events) - 1)
    figures.wall, figures.processor = loop.time() - begin, time.process_time() - used
    await link.close()
    return figures


def told(figures: Figures, recorder: Soaking, lines: int, sent: str, trace: Path, forgets: bool) -> bool:
    """Print the figures; returns whether all is as it should be."""
    digest, count, answered, took = sent.split()
    same = recorder.digest.hexdigest() == digest and recorder.bytes == int(count)
    read_back = sum(
        len(event.body.raw)
        for event in read(trace)
        if isinstance(event.body, SerialData) and event.body.direction is Direction.FROM_DUT
    )
    rate = int(count) * 8 / float(took) / 1e6
    answers = f"{figures.asked - figures.unanswered} of {figures.asked} answered ({answered} by the board)"
    print(f"  sent       {int(count) / 1e6:.1f} MB in {took} s: {rate:.2f} Mbit/s")
    print(f"  lines      {recorder.log_lines} of {lines}; {recorder.lines} with garbage and answers")
    print(f"  bytes      {'none lost, hashes equal' if same else 'LOST: hashes differ'}")
    print(
        f"  trace      {trace.stat().st_size / 1e6:.1f} MB, {read_back / 1e6:.1f} MB of raw bytes read back"
    )
    print(f"  commands   {answers}")
    if delays := sorted(figures.delays):
        print(
            f"  answers    median {delays[len(delays) // 2] * 1e3:.1f} ms, longest {delays[-1] * 1e3:.1f} ms"
        )
    if settled := figures.settled:
        first, last, most = settled[0], settled[-1], max(settled)
        print(f"  memory     {first:.1f} MB at a tenth, {last:.1f} MB at the end, {most:.1f} MB at most")
    print(f"  processor  {figures.processor / figures.wall:.0%} of one core")
    flat = not forgets or not settled or max(settled) - settled[0] < MOST_GROWTH
    complete = recorder.log_lines == lines and read_back == int(count)
    return same and flat and complete and not figures.unanswered


async def run(lines: int, rate: float, seed: int, forgets: bool, folder: Path) -> bool:
    """Start the board and the link."""
    options = [f"--lines={lines}", f"--rate={rate}", f"--seed={seed}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--board", *options, stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    port = (await process.stdout.readline()).decode().strip()
    recorder = Soaking(folder / "trace.jsonl", forgets=forgets)
    link = SerialLink(recorder, port, Profile.model_validate(PROFILE))
    ended = asyncio.create_task(_line(process.stdout))
    figures = await soak(link, recorder, lines, ended)
    process.stdin.write(b"\n")
    process.stdin.close()
    await process.wait()
    recorder.close()
    return told(figures, recorder, lines, ended.result(), folder / "trace.jsonl", forgets)


async def _line(stream: asyncio.StreamReader) -> str:
    return (await stream.readline()).decode()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=2e6, help="bits per second, eight for each byte")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the trace in memory, as a run does")
    parser.add_argument("--board", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.board:
        board(given.lines, given.rate, given.seed)
        return 0
    print(f"serial soak: {given.lines} lines at {given.rate / 1e6:g} Mbit/s")
    with tempfile.TemporaryDirectory() as folder:
        good = asyncio.run(run(given.lines, given.rate, given.seed, not given.keep, Path(folder)))
    print("good" if good else "NOT as it should be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
