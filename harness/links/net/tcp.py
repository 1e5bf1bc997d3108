"""Probing a TCP port of the device: whether it accepts a connection, and what it answers."""

from __future__ import annotations

import asyncio

from harness.trace.events import TcpProbe
from harness.trace.recorder import Recorder

MOST_ANSWER = 4096  # bytes of an answer to keep


async def probe(recorder: Recorder, host: str, port: int, send: bytes, within: float) -> TcpProbe:
    """Connect, send, and read the first bytes of the answer; records the result.

    Ends with the first answer, when the other side closes, or after ``within`` seconds in all. If there is
    nothing to send, the connection alone is the result. Never raises because of the network or the device: a
    port that cannot be reached is ``connected=False``.
    """
    connected, answer = False, b""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(host, port)
            connected = True
            if send:
                writer.write(send)
                answer = await reader.read(MOST_ANSWER)
    except (OSError, UnicodeError):  # TimeoutError is an OSError; the resolver raises both
        pass
    finally:
        if writer:
            # Not close(): a device that reads nothing could delay that for ever.
            writer.transport.abort()
    result = TcpProbe(host, port, connected, send if connected else b"", answer)
    recorder.record(result)
    return result
