"""Trying a TCP port of the DUT: whether it takes a connection, and what it answers."""

from __future__ import annotations

import asyncio

from harness.trace.events import TcpProbe
from harness.trace.recorder import Recorder

MOST_ANSWER = 4096  # bytes of an answer that are kept


async def probe(recorder: Recorder, host: str, port: int, send: bytes, within: float) -> TcpProbe:
    """Connect, send, and take the first bytes that come back; the result is recorded, too.

    Ends with the first answer, when the other side closes, or after ``within`` seconds in all. With nothing
    to send no answer is due, so that the connection alone is the result. Never raises for what the network
    or the DUT does: a port that cannot be reached is ``connected=False``.
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
            # Not close(): a DUT that reads nothing could keep that waiting for ever.
            writer.transport.abort()
    result = TcpProbe(host, port, connected, send if connected else b"", answer)
    recorder.record(result)
    return result
