"""Problems in a profile, reported so that its author can fix them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath

from harness.errors import HarnessError

# Keys of mappings and indexes of lists, from the root of a profile downwards.
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ProfileProblem:
    """One mistake in a profile.

    ``line`` counts from 1, and is 0 where no line can be named. ``key`` is the path of the key, such as
    ``bindings.mqtt.properties.relay.qos``, empty for the file as a whole. ``message`` says what is wrong;
    ``found`` and ``allowed`` are None where there is nothing to show.
    """

    file: FilePath
    line: int
    key: str
    message: str
    found: str | None = None
    allowed: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        text = f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"
        if self.found is not None:
            text += f"; found {self.found}"
        if self.allowed is not None:
            text += f"; allowed: {self.allowed}"
        return text


class ProfileError(HarnessError):
    """An unusable profile, with all its problems."""

    def __init__(self, problems: tuple[ProfileProblem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def dotted(path: Path) -> str:
    """A path of keys and list indexes as text: ``behaviour.rules[2].then[0].equals``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
