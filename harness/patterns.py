"""Expands shell patterns that the shell did not, as in quotes, in CI files, and on Windows."""

from __future__ import annotations

from collections.abc import Iterable
from glob import glob
from pathlib import Path


def expanded(names: Iterable[str]) -> list[str]:
    """File names with patterns (``*``, ``?``, ``[a-z]``, ``**``) replaced by what they match, sorted.

    A file whose own name looks like a pattern is that file; a pattern without a match stays as it is.
    """
    found: list[str] = []
    for name in names:
        # Not Path.glob, which takes no absolute pattern.
        matches = [] if Path(name).exists() else sorted(glob(name, recursive=True))  # noqa: PTH207
        found += matches or [name]
    return list(dict.fromkeys(found))
