"""Domain names: on the wire, and as text with a trailing dot.

In text, a backslash escapes a dot or another special character in a label; a backslash and three decimal
digits stand for a byte outside printable ASCII (RFC 1035 5.1): "My\\032Plug._http._tcp.local.".
"""

from __future__ import annotations

import re
from functools import lru_cache

from harness.wire.problem import Problem

MOST_LABEL = 63
"""The largest number of bytes in a label."""

MOST_NAME = 256
"""The largest number of bytes in a name: 255 and the final zero byte (RFC 6762 Appendix C)."""

_SPECIAL = b'"().;\\@$'
_PIECE = re.compile(rb"\\(\d{3})|\\(\D)|([^\\])", re.DOTALL)


class DomainNameError(ValueError):
    """Text that is not a domain name, or a name that cannot be encoded."""


class UnreadableName(Exception):
    """A name on the wire cannot be read; ``problem`` says why."""

    def __init__(self, clause: str, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(clause, text)


def join_name(*labels: bytes | str) -> str:
    """The text of the name with these labels: ``join_name("My Plug", "_http", "_tcp", "local")``."""
    return "".join(_escape(_bytes(label)) + "." for label in labels) or "."


def split_name(name: str) -> tuple[bytes, ...]:
    """The labels of a name, unescaped; non-ASCII characters count as UTF-8. Raises DomainNameError."""
    text = name.encode("utf-8", "surrogatepass")
    labels, label, at = [], bytearray(), 0
    if text in (b"", b"."):
        return ()
    while at < len(text):
        piece = _PIECE.match(text, at)
        if not piece:
            raise DomainNameError(f"{name!r} has a broken escape")
        at = piece.end()
        number, escaped, plain = piece.groups()
        if plain == b".":
            labels.append(bytes(label))
            label = bytearray()
        elif number and int(number) > 255:
            raise DomainNameError(f"{name!r} has a broken escape")
        else:
            label += bytes([int(number)]) if number else escaped or plain
    if label:
        labels.append(bytes(label))
    if not all(labels):
        raise DomainNameError(f"{name!r} has an empty label")
    return tuple(labels)


@lru_cache(maxsize=1024)
def _key(name: str) -> tuple[bytes, ...] | str:
    try:
        return tuple(label.lower() for label in split_name(name))
    except DomainNameError:
        return name


def same_name(a: str, b: str) -> bool:
    """Compare two names as DNS does: ignoring the case of A to Z, otherwise byte by byte."""
    return _key(a) == _key(b)


def encode_name(name: str) -> bytes:
    """The encoded name, without compression. Raises DomainNameError."""
    labels = split_name(name)
    for label in labels:
        if len(label) > MOST_LABEL:
            raise DomainNameError(f"a label of {name!r} has {len(label)} bytes, more than {MOST_LABEL}")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(encoded) > MOST_NAME:
        raise DomainNameError(f"{name!r} has {len(encoded)} bytes, more than {MOST_NAME}")
    return encoded


def read_name(raw: bytes, at: int, end: int) -> tuple[tuple[bytes, ...], int, bool]:
    """Read the name that begins at ``at`` and whose own bytes end before ``end``.

    Returns the labels, the next position, and whether the name was compressed. Raises UnreadableName.
    """
    labels: list[bytes] = []
    after: int | None = None
    earliest, size = at, 1
    while True:
        if at >= end:
            raise UnreadableName("RFC 1035 4.1.4", "a name exceeds its record or message")
        count = raw[at]
        if count >= 0xC0:
            if at + 2 > end:
                raise UnreadableName("RFC 1035 4.1.4", "a compression pointer is truncated")
            target = (count & 0x3F) << 8 | raw[at + 1]
            after = at + 2 if after is None else after
            if not 12 <= target < earliest:
                text = f"a compression pointer to byte {target} does not point back to an earlier name"
                raise UnreadableName("RFC 1035 4.1.4", text)
            at, earliest, end = target, target, len(raw)
            continue
        if count > MOST_LABEL:
            raise UnreadableName("RFC 1035 4.1.4", f"label type {count >> 6:02b} is reserved")
        at += 1
        if count == 0:
            return tuple(labels), at if after is None else after, after is not None
        if at + count > end:
            raise UnreadableName("RFC 1035 3.1", "a label exceeds its record or message")
        labels.append(raw[at : at + count])
        at, size = at + count, size + count + 1
        if size > MOST_NAME:
            raise UnreadableName("RFC 6762 C", f"a name has more than {MOST_NAME} bytes")


def name_problems(labels: tuple[bytes, ...]) -> list[Problem]:
    """Problems of decoded labels: they must be UTF-8 (RFC 6762 16)."""
    problems = []
    for label in labels:
        try:
            label.decode("utf-8")
        except UnicodeDecodeError:
            problems.append(Problem("RFC 6762 16", f"label {_escape(label)!r} is not well-formed UTF-8"))
    return problems


def _bytes(label: bytes | str) -> bytes:
    return label.encode("utf-8", "surrogatepass") if isinstance(label, str) else label


def _escape(label: bytes) -> str:
    return "".join(
        f"\\{chr(byte)}" if byte in _SPECIAL else chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03}"
        for byte in label
    )
