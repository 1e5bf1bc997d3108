"""Makes text from a device safe to show in a terminal, in XML and on a page; formats numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Control characters control terminals and are not allowed in XML, bidirectional overrides disguise text,
# and a lone surrogate cannot be encoded in UTF-8.
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\uffff]"
)
_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/\s]*@")


def showable(text: str) -> str:
    """``text`` with every invisible character written as ``\\x1b`` or ``\\u202e``.

    Line ends and tabs stay. U+FFFD stands for undecodable bytes and becomes ``\\ufffd``.
    """
    return _UNSHOWABLE.sub(_escaped, text)


def one_line(text: str) -> str:
    """Like :func:`showable`, on one line."""
    return showable(text).replace("\n", "\\n").replace("\t", " ")


def shortened(text: str, length: int) -> str:
    """``text``, cut with an ellipsis if it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def without_password(text: str) -> str:
    """``text`` with the password of every URL in it replaced by asterisks."""
    return _PASSWORD.sub(r"\1:***@", text)


def line_numbers(lines: Sequence[int], most: int = 12) -> str:
    """Trace lines as text: ``3, 5, 9 and 40 more``."""
    shown = ", ".join(str(line) for line in lines[:most])
    left = len(lines) - most
    return f"{shown} and {left} more" if left > 0 else shown


def seconds_text(seconds: float) -> str:
    """A duration as text: ``0.034 s``, ``12.3 s``, ``4 min 5 s``, ``2 h 3 min``."""
    if seconds < 60:
        return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def plural(count: int, word: str, words: str | None = None) -> str:
    """``1 check``, ``2 checks``."""
    return f"{count} {word if count == 1 else words or word + 's'}"


def lane_names(profiles: Sequence[str]) -> tuple[str, ...]:
    """A name for each device of a run, from the names of their profiles: ``smart-plug``, ``smart-plug-2``."""
    names: list[str] = []
    for profile in profiles:
        name, count = profile, 1
        while name in names:
            count += 1
            name = f"{profile}-{count}"
        names.append(name)
    return tuple(names)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
