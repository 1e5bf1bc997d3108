"""What the kinds of serial protocol have in common: a stream in pieces, and commands that are answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes as they came, and what they complete: a line, or something else that ``what`` describes."""

    raw: bytes
    line: str | None = None
    what: str | None = None
    content: object = None  # the frame or message that is complete now


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What the board answered."""

    value: Value = None
    problem: str | None = None


class CommandExchange(Protocol):
    """One command and its answer."""

    @property
    def raw(self) -> bytes:
        """The bytes to send."""

    @property
    def text(self) -> str:
        """The same for people."""

    @property
    def awaits(self) -> bool:
        """Whether an answer is to be waited for."""

    def offer(self, piece: Piece) -> CommandAnswer | None:
        """What the board answered, if this piece is its answer, or the last one of it."""

    def quiet(self) -> CommandAnswer | None:
        """What the board has answered, now that nothing more comes."""

    @property
    def instead(self) -> str | None:
        """What came in place of the answer, for people."""


class SerialProtocol(Protocol):
    """One kind of protocol, on one line."""

    @property
    def gap(self) -> float:
        """Seconds of silence that have to come before a command."""

    def greeting(self) -> tuple[bytes, str] | None:
        """What is sent before a command where half of another one may have come; the same as text."""

    def split(self, data: bytes) -> Iterable[Piece]:
        """The pieces of what has come; all bytes are in them."""

    def stalled(self) -> Iterable[Piece]:
        """Nothing came for a while: give up what is not complete."""

    @property
    def unfinished(self) -> bool:
        """Whether :meth:`stalled` is to be called when nothing comes."""

    def exchange(self, command: SerialCommand, name: str | None, value: Value) -> CommandExchange:
        """A command. Raises UnfitError when it cannot be said in this protocol."""

    def complaint(self) -> str | None:
        """What seems to be wrong with the line itself, if something does."""


class Cutter:
    """Gives each byte to one piece: the one that it completes, or the rest that completes nothing yet.

    What completes is told by its end, counted in bytes of the stream.
    """

    def __init__(self) -> None:
        self._given = 0  # bytes of the stream that are in pieces
        self._seen = 0

    def cut(self, data: bytes, complete: Iterable[tuple[int, Piece]]) -> Iterator[Piece]:
        """Pieces of ``data``, given what it completes with its ends in the stream."""
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
