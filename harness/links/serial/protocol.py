"""Interfaces of serial protocols: splitting a stream into pieces, and commands with answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes as they came, and what they complete: a line, or something that ``what`` describes."""

    raw: bytes
    line: str | None = None
    what: str | None = None
    content: object = None  # the complete frame or message


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """The board's answer."""

    value: Value = None
    problem: str | None = None


class CommandExchange(Protocol):
    """One command and its answer."""

    @property
    def raw(self) -> bytes:
        """The bytes to send."""

    @property
    def text(self) -> str:
        """The bytes as text for people."""

    @property
    def awaits(self) -> bool:
        """Whether the command has an answer."""

    def offer(self, piece: Piece) -> CommandAnswer | None:
        """The answer, if this piece completes it."""

    def quiet(self) -> CommandAnswer | None:
        """The answer so far, after a silence; None if there is none."""

    @property
    def instead(self) -> str | None:
        """What came instead of the answer, as text."""


class SerialProtocol(Protocol):
    """One kind of protocol, on one line."""

    @property
    def gap(self) -> float:
        """Seconds of silence required before a command."""

    def greeting(self) -> tuple[bytes, str] | None:
        """Bytes that clear the board's input before a command, and their text; None if not needed."""

    def split(self, data: bytes) -> Iterable[Piece]:
        """Split received bytes into pieces; together they hold all bytes."""

    def stalled(self) -> Iterable[Piece]:
        """After a silence: the pieces of what is incomplete."""

    @property
    def unfinished(self) -> bool:
        """Whether something is incomplete, so that :meth:`stalled` has to be called after a silence."""

    def exchange(self, command: SerialCommand, name: str | None, value: Value) -> CommandExchange:
        """A command to send. Raises UnfitError if the protocol cannot express it."""

    def complaint(self) -> str | None:
        """What seems to be wrong with the line, as text; None if nothing."""


class Cutter:
    """Assigns each byte of a stream to one piece.

    A piece that is complete is given with its end, counted in bytes of the stream.
    """

    def __init__(self) -> None:
        self._given = 0  # bytes of the stream that are in pieces
        self._seen = 0

    def cut(self, data: bytes, complete: Iterable[tuple[int, Piece]]) -> Iterator[Piece]:
        """Pieces of ``data``; ``complete``: what it completes, each with its end in the stream."""
        begin = self._seen
        self._seen += len(data)
        for end, piece in complete:
            raw = data[max(0, self._given - begin) : max(0, end - begin)]
            self._given = max(self._given, end)
            yield Piece(raw, piece.line, piece.what, piece.content)
        rest = data[self._given - begin :]
        self._given = self._seen
        if rest:
            yield Piece(rest)

    @property
    def position(self) -> int:
        """Bytes of the stream so far."""
        return self._seen
