"""Messages between the harness and the process that holds a place of labgrid: JSON, one line each."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeldResources:
    """The target's resources. ``serial`` is a port as pyserial opens it, None if there is none.

    ``place`` is the place that was acquired, None for a target whose resources are all on this machine.
    """

    serial: str | None
    power: bool
    place: str | None


@dataclass(frozen=True, slots=True)
class HolderReply:
    """To the process: ``on`` or ``off``. From it: what was done."""

    text: str


@dataclass(frozen=True, slots=True)
class HolderProblem:
    """Why something failed; the text is for people."""

    text: str


Message = HeldResources | HolderReply | HolderProblem

_KINDS: dict[str, type[Message]] = {"found": HeldResources, "reply": HolderReply, "problem": HolderProblem}


def to_line(message: Message) -> str:
    """A message as one line."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(message, cls))
    return json.dumps({"kind": kind, **dataclasses.asdict(message)}) + "\n"


def from_line(line: str | bytes) -> Message:
    """The message that :func:`to_line` wrote."""
    members = json.loads(line)
    kind = _KINDS[members.pop("kind")]
    return kind(**members)
