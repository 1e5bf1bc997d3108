"""Splitting a serial stream into lines of text, and judging whether it is text at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 4096
"""Bytes after which a line is ended, so that binary data without line ends is not collected for ever."""

_ENDING = re.compile(rb"\r\n|\r|\n")
_CONTROL_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-B]|[=>78cDEHM])")
_UNREADABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LineSplitter:
    """Splits a stream into lines, which end with CR, LF, or CR LF.

    A CR ends its line at once; an LF right after it belongs to it.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_return = False

    def feed(self, data: bytes) -> Iterator[tuple[int, str]]:
        """Each line that these bytes complete, with the number of those bytes up to its end."""
        start = 0
        if self._after_return and data[:1] == b"\n":
            start = 1
        if data:
            self._after_return = False
        while start < len(data):
            # Usually text and line end come together.
            match = _ENDING.search(data, start)
            end = match.start() if match else len(data)
            room = LONGEST - len(self._line)
            if end - start > room:
                self._line += data[start : start + room]
                start += room
                yield start, self._taken()
                continue
            self._line += data[start:end]
            if match is None:
                return
            start = match.end()
            if match[0] == b"\r" and start == len(data):
                self._after_return = True
            yield start, self._taken()

    @property
    def rest(self) -> str:
        """The text of the incomplete line."""
        return readable_text(bytes(self._line))

    def _taken(self) -> str:
        text = readable_text(bytes(self._line))
        self._line.clear()
        return text


def readable_text(raw: bytes) -> str:
    """Text for people and patterns: without colours and cursor movements, with other bytes escaped."""
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    text = _CONTROL_SEQUENCE.sub("", text)
    return _UNREADABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


class Quality:
    """How much of the recent stream is not text. At a wrong baud rate, most of it is not."""

    WINDOW = 2048  # bytes of recent data
    ENOUGH = 48  # bytes needed for a result
    MOST = 0.25  # share of bytes that are not text; colours and a few glitches stay far below

    def __init__(self) -> None:
        self._seen = self._bad = 0.0

    def feed(self, data: bytes) -> None:
        """Count bytes."""
        self._seen += len(data)
        if not data.isascii() or data.translate(None, _TEXT):
            self._bad += unreadable_bytes(data)
        if self._seen > self.WINDOW:
            self._seen, self._bad = self._seen / 2, self._bad / 2

    @property
    def share(self) -> float:
        """The share of bytes that are not text."""
        return self._bad / self._seen if self._seen else 0.0

    @property
    def is_bad(self) -> bool:
        """Whether the stream cannot be text."""
        return self._seen >= self.ENOUGH and self.share > self.MOST


_TEXT = bytes([*range(0x20, 0x7F), 0x07, 0x08, 0x09, 0x0A, 0x0D, 0x1B])


def unreadable_bytes(data: bytes) -> int:
    """Bytes that are neither printable ASCII nor part of a UTF-8 character."""
    stray = sum(0xDC80 <= ord(character) <= 0xDCFF for character in data.decode("utf-8", "surrogateescape"))
    controls = bytes(byte for byte in data if byte < 0x80).translate(None, _TEXT)
    return stray + len(controls)
