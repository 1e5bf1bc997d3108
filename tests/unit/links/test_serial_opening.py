"""Ports that cannot be opened are explained; sockets, RFC 2217 and Modbus servers are spoken to."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import serial
from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from harness.links.clock.loop import run
from harness.links.serial.link import (
    SerialError,
    SerialLink,
)
from harness.links.serial.opening import open_port
from harness.model.bindings.serial import (
    LineSettings,
    SerialCommand,
)
from harness.trace.events import PortChange, SerialPort
from harness.trace.recorder import Recorder
from tests.conftest import needs
from tests.unit.links.serial_peers import TEXT, Typist, heard, linked, profile_with

READ, WRITE = SerialCommand.READ_STATE, SerialCommand.WRITE_PROPERTY


def refusal(port: str, settings: LineSettings | None = None) -> str:
    with pytest.raises(SerialError) as caught:
        open_port(port, settings or LineSettings())
    return str(caught.value)


def test_a_port_that_is_not_there_is_told_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.links.serial.opening.port_names", lambda: ["/dev/ttyUSB0", "/dev/ttyACM1"])
    assert refusal("/dev/ttyUSB7") == (
        "there is no serial port /dev/ttyUSB7; there are /dev/ttyUSB0, /dev/ttyACM1"
    )
    monkeypatch.setattr("harness.links.serial.opening.port_names", list)
    assert refusal("/dev/ttyUSB7").endswith("this machine has none; is the cable plugged in?")


def test_what_is_no_serial_port_is_told(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a port")
    assert f"{file} is no serial port" in refusal(str(file))


def test_a_port_that_another_program_has_open_is_busy() -> None:
    async def main() -> None:
        board = Typist()
        async with linked(board):
            assert "is busy: another program has it open" in refusal(board.terminal.name)

    run(main(), virtual=True)


def test_a_port_without_permission_names_the_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()

    def forbidden(self: serial.Serial) -> None:
        problem = serial.SerialException(13, f"could not open port {self.port}: [Errno 13] Permission denied")
        raise problem

    monkeypatch.setattr(serial.Serial, "open", forbidden)
    text = refusal(str(port))
    assert "may not be opened by this user" in text
    assert "usermod -a -G" in text


def test_a_server_that_does_not_run_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = refusal(f"socket://127.0.0.1:{port}")
    assert "Connection refused" in text
    assert "check that its server is running" in text


def test_a_kind_of_url_that_there_is_not_is_told() -> None:
    assert "bogus" in refusal("bogus://x")


@contextlib.asynccontextmanager
async def opened(
    url: str, serial_line: dict[str, object] = TEXT
) -> AsyncIterator[tuple[SerialLink, Recorder]]:
    recorder = Recorder(asyncio.get_running_loop().time)
    link = SerialLink(recorder, url, profile_with(serial_line))
    await link.start()
    try:
        yield link, recorder
    finally:
        await link.close()


async def changed_to(recorder: Recorder, change: PortChange) -> bool:
    """Wait until that has happened to the port."""
    event = await recorder.wait_for(
        lambda event: isinstance(event.body, SerialPort) and event.body.change is change, within=20, since=0
    )
    return event is not None


class LineServer:
    """Answers lines over TCP, as a serial server with a board behind it."""

    def __init__(self) -> None:
        self._clients: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for client in self._clients:
            client.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.append(writer)
        while line := await reader.readline():
            if line.strip().startswith(b"get level"):
                writer.write(line + b"level=11\r\n")
        writer.close()


def test_a_socket_is_a_port_too_and_comes_back_when_its_server_does() -> None:
    async def main() -> None:
        server = LineServer()
        await server.start()
        async with opened(f"socket://127.0.0.1:{server.port}") as (link, recorder):
            assert (await link.command(READ, "level")).value == 11
            server.stop()
            assert await changed_to(recorder, PortChange.VANISHED)
            with pytest.raises(SerialError, match="is gone"):
                await link.command(READ, "level")
            await server.start()
            assert await changed_to(recorder, PortChange.RETURNED)
            assert (await link.command(READ, "level")).value == 11
        server.stop()

    run(main())


@pytest.mark.peer
@needs("ser2net")
def test_ser2net_serves_a_port_over_rfc_2217(tmp_path: Path) -> None:
    """Another program has the port, on another machine perhaps; its settings are ours to choose."""

    async def main() -> None:
        board = Typist(lambda line: [line.encode() + b"\r\nlevel=17\r\n"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = tmp_path / "ser2net.yaml"
        config.write_text(
            "connection: &board\n"
            f"    accepter: telnet(rfc2217),tcp,127.0.0.1,{port}\n"
            "    options: { mdns: false }\n"
            f"    connector: serialdev,{board.device},115200n81,local\n"
        )
        program = shutil.which("ser2net")
        assert program is not None
        command = (program, "-n", "-d", "-c", str(config))
        process = await asyncio.create_subprocess_exec(*command)
        try:
            url = f"rfc2217://127.0.0.1:{port}?ign_set_control"  # a pty has no control lines
            async with asyncio.timeout(20):
                while True:
                    try:
                        context = opened(url)
                        link, recorder = await context.__aenter__()
                        break
                    except SerialError:
                        await asyncio.sleep(0.05)
            try:
                for _ in range(3):
                    assert (await link.command(READ, "level", within=10)).value == 17
                assert b"level=17\r\n" in heard(recorder)
                process.kill()
                await process.wait()
                assert await changed_to(recorder, PortChange.VANISHED)
                process = await asyncio.create_subprocess_exec(*command)
                assert await changed_to(recorder, PortChange.RETURNED)
                assert (await link.command(READ, "level", within=10)).value == 17
            finally:
                await context.__aexit__(None, None, None)
        finally:
            process.terminate()
            await process.wait()
            board.terminal.close()

    run(main())


MODBUS = {
    "line": {"baud_rate": 19200},
    "answer_within": 5,
    "modbus": {
        "address": 17,
        "properties": {
            "power": {"table": "coil", "register": 0},
            "level": {"table": "holding", "register": 4, "words": 2, "signed": True},
        },
        "commands": {
            "firmware_version": {"table": "input", "register": 8, "words": 3, "text": True},
            "memory": {"table": "input", "register": 900},
        },
    },
}


def test_the_modbus_server_of_pymodbus_is_read_and_written() -> None:
    async def main() -> None:
        device = SimDevice(
            id=17,
            simdata=(
                [SimData(0, values=[False] * 16, datatype=DataType.BITS)],
                [SimData(0, values=[False] * 16, datatype=DataType.BITS)],
                [SimData(0, values=[0, 0, 0, 0, 0xFFFF, 0xFFF6, 0, 0], datatype=DataType.REGISTERS)],
                [SimData(8, values=[0x312E, 0x322E, 0x3300], datatype=DataType.REGISTERS)],
            ),
        )
        server = ModbusTcpServer(device, framer=FramerType.RTU, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        assert server.transport is not None
        port = server.transport.sockets[0].getsockname()[1]
        try:
            async with opened(f"socket://127.0.0.1:{port}", MODBUS) as (link, _):
                assert (await link.command(READ, "level")).value == -10
                assert (await link.command(WRITE, "level", 99)).problem is None
                assert (await link.command(READ, "level")).value == 99
                assert (await link.command(READ, "power")).value is False
                assert (await link.command(WRITE, "power", True)).problem is None
                assert (await link.command(READ, "power")).value is True
                assert (await link.command(SerialCommand.FIRMWARE_VERSION)).value == "1.2.3"
                lost = await link.command(SerialCommand.MEMORY)
                assert lost.problem is not None
                assert f"Modbus exception {ExcCodes.ILLEGAL_ADDRESS.value}" in lost.problem
        finally:
            await server.shutdown()

    run(main())
