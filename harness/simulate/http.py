"""The info page of a simulated device: the parts of HTTP/1.1 (RFC 9112) that ``_http._tcp`` needs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus

from harness.model.profile import Profile

_PATIENCE = 10.0  # seconds to wait for a request
_LARGEST_HEAD = 8192  # bytes


class SimulatedHttpServer:
    """Serves ``GET /`` and ``GET /info``: the identity of the device as JSON."""

    def __init__(self, profile: Profile, *, host: str, port: int) -> None:
        self._info = json.dumps(
            {"id": profile.unit, "model": profile.model or profile.title, "firmware": profile.firmware}
        ).encode()
        self._host = host
        self._declared = port
        self._port = port
        self._server: asyncio.Server | None = None
        self._talking: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The TCP port; the declared one if it was free and permitted, otherwise the one used instead."""
        return self._port

    async def start(self) -> None:
        """Opens the port and serves."""
        for port in (self._declared, self._port, 0):
            try:
                self._server = await asyncio.start_server(
                    self._connected, self._host, port, limit=_LARGEST_HEAD
                )
                break
            except OSError:
                if port == 0:
                    raise
        assert self._server is not None
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops serving; open connections are cut."""
        await self.kill()

    async def kill(self) -> None:
        """Stops immediately."""
        if self._server is None:
            return
        self._server.close()
        for task in self._talking:
            task.cancel()
        await asyncio.gather(*self._talking, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talking.add(task)
        try:
            while await self._answer_one(reader, writer):
                pass
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, TimeoutError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._talking.discard(task)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; returns whether the connection stays open for more."""
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                await self._send(writer, HTTPStatus.BAD_REQUEST, keep=False)
            return False
        except asyncio.LimitOverrunError:
            await self._send(writer, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, keep=False)
            return False
        request = _parsed(head)
        if request is None:
            await self._send(writer, HTTPStatus.BAD_REQUEST, keep=False)
            return False
        method, path, keep = request
        if path not in ("/", "/info"):
            status = HTTPStatus.NOT_FOUND
        else:
            status = HTTPStatus.OK if method in ("GET", "HEAD") else HTTPStatus.METHOD_NOT_ALLOWED
        await self._send(writer, status, keep=keep, with_body=method != "HEAD")
        return keep

    async def _send(
        self, writer: asyncio.StreamWriter, status: HTTPStatus, *, keep: bool, with_body: bool = True
    ) -> None:
        body = self._info if status is HTTPStatus.OK else json.dumps({"error": status.phrase}).encode()
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Connection: {'keep-alive' if keep else 'close'}",
        ]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            lines.append("Allow: GET, HEAD")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (body if with_body else b""))
        with contextlib.suppress(ConnectionError):
            await writer.drain()


def _parsed(head: bytes) -> tuple[str, str, bool] | None:
    """Method, path and whether the connection stays open; None if this is not a valid request head."""
    try:
        first, *rest = head.decode("ascii").split("\r\n")[:-2]
        method, target, version = first.split(" ")
        fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in rest)}
    except ValueError:
        return None
    if not method.isalpha() or not target.startswith("/") or version not in ("HTTP/1.1", "HTTP/1.0"):
        return None
    if version == "HTTP/1.1" and "host" not in fields:
        return None
    if fields.get("content-length", "0") != "0" or "transfer-encoding" in fields:
        return method, target.partition("?")[0], False  # the body is not read, so no request can follow
    wants = fields.get("connection", "").lower()
    keep = wants != "close" if version == "HTTP/1.1" else wants == "keep-alive"
    return method, target.partition("?")[0], keep
