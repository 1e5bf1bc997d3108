"""An MQTT peer made of bare bytes, to see exactly what the other side sends; a runner that finds leaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self

import pytest

from harness.links.mqtt.brokers.broker import (
    Broker,
    EmbeddedBroker,
    MosquittoBroker,
    TlsFiles,
    User,
)
from harness.wire.mqtt.codec import (
    Connack,
    Framer,
    Packet,
    PacketType,
    Publish,
    Suback,
    decode,
    encode_ack,
    encode_packet,
    encode_publish,
)

DEADLINE = 20.0  # seconds; only a test that fails waits so long


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test on a loop of its own, and make sure that it leaves no task, socket or complaint behind."""
    complaints: list[dict[str, Any]] = []

    async def guarded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(DEADLINE * 2):
            await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"

    before = open_sockets()
    asyncio.run(guarded())
    assert not open_sockets() - before, "sockets left open"
    assert not complaints


def open_sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:"):
                found.add(target)
    return found


def connect(
    client_id: str,
    *,
    clean: bool = True,
    keep_alive: int = 60,
    will: tuple[str, bytes, int, bool] | None = None,
    user: User | None = None,
    level: int = 4,
) -> bytes:
    """The bytes of a CONNECT; ``will`` is topic, payload, QoS, retain."""
    flags, tail = clean << 1, _field(client_id.encode())
    if will:
        topic, payload, qos, retain = will
        flags |= 4 | qos << 3 | retain << 5
        tail += (b"\0" if level == 5 else b"") + _field(topic.encode()) + _field(payload)
    if user:
        flags |= 0xC0
        tail += _field(user.name.encode()) + _field(user.password.encode())
    head = _field(b"MQTT") + bytes([level, flags]) + struct.pack("!H", keep_alive)
    return encode_packet(PacketType.CONNECT, 0, head + (b"\0" if level == 5 else b"") + tail)


def subscribe(packet_id: int, *filters: tuple[str, int]) -> bytes:
    body = b"".join(_field(name.encode()) + bytes([qos]) for name, qos in filters)
    return encode_packet(PacketType.SUBSCRIBE, 2, struct.pack("!H", packet_id) + body)


def _field(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


PINGREQ = encode_packet(PacketType.PINGREQ, 0, b"")
DISCONNECT = encode_packet(PacketType.DISCONNECT, 0, b"")


class Peer:
    """One TCP connection that sends what it is told and reads packets one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._framer = Framer()
        self._packets: list[Packet] = []

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext | None = None) -> Self:
        return cls(*await asyncio.open_connection(host, port, ssl=tls))

    @classmethod
    async def to(cls, broker: Broker) -> Self:
        return await cls.open(broker.endpoint.host, broker.endpoint.port, broker.tls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, *packets: bytes) -> None:
        self.writer.write(b"".join(packets))

    async def next(self) -> Packet | None:
        """The next packet; None at the end of the connection."""
        while not self._packets:
            async with asyncio.timeout(DEADLINE):
                try:
                    data = await self.reader.read(65536)
                except ConnectionResetError:
                    return None
            if not data:
                return None
            self._packets += [decode(raw) for raw in self._framer.feed(data)]
        return self._packets.pop(0)

    async def connect(self, client_id: str, **settings: Any) -> Connack:
        self.send(connect(client_id, **settings))
        answer = await self.next()
        assert isinstance(answer, Connack), answer
        return answer

    async def subscribe(self, *filters: tuple[str, int]) -> tuple[int, ...]:
        self.send(subscribe(1, *filters))
        answer = await self.next()
        assert isinstance(answer, Suback), answer
        return answer.codes

    async def publish(self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False) -> None:
        """Send, and wait for the PUBACK of QoS 1."""
        self.send(encode_publish(topic, payload, qos, packet_id=7 if qos else None, retain=retain))
        if qos == 1:
            answer = await self.next()
            assert answer is not None and answer.type is PacketType.PUBACK

    async def message(self, *, acknowledge: bool = True) -> Publish:
        answer = await self.next()
        assert isinstance(answer, Publish), answer
        if acknowledge and answer.qos == 1 and answer.packet_id is not None:
            self.send(encode_ack(PacketType.PUBACK, answer.packet_id))
        return answer

    async def silence(self) -> None:
        """Make sure that nothing was under way: the next thing that comes is the answer to a ping."""
        self.send(PINGREQ)
        answer = await self.next()
        assert answer is not None and answer.type is PacketType.PINGRESP, answer

    async def ended(self) -> None:
        """Wait until the other side has ended the connection, whatever comes before that."""
        while await self.next():
            pass

    def finish(self) -> None:
        """Send FIN and still listen."""
        with contextlib.suppress(OSError):
            self.writer.write_eof()

    def reset(self) -> None:
        """End with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", "")) is None,
    reason="mosquitto is not installed",
)
BROKERS = [
    pytest.param(EmbeddedBroker, id="embedded"),
    pytest.param(MosquittoBroker, id="mosquitto", marks=[pytest.mark.peer, needs_mosquitto]),
]


def certificate(directory: Path) -> TlsFiles:
    """A certificate for 127.0.0.1 that signed itself; skips the test where OpenSSL's program is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    files = TlsFiles(directory / "certificate.pem", directory / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(files.key)]
    subprocess.run([*command, "-out", files.certificate], check=True, capture_output=True)
    return files
