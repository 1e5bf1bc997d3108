"""How people name helpers on the command line and in files, such as ``command:uhubctl -p 2 -a {action}``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.links.actuators import (
    Actuator,
    ActuatorError,
)
from harness.links.actuators.command import CommandHelper
from harness.links.actuators.manual import the_operator
from harness.links.actuators.relay import (
    LineRelay,
    RelayBoard,
    channels_of,
    line_at,
)

HOW = (
    "console, operator, command:PROGRAM WITH {action} AND {name}, relay:PORT#CHANNEL, "
    "relay:PORT#KEY=CHANNEL,KEY=CHANNEL or line:PORT#TEXT WITH {action}"
)


class Kind(StrEnum):
    """Who does it; the values are the words that people use."""

    CONSOLE = "console"  # the board itself, by commands of the profile
    OPERATOR = "operator"  # a person at this terminal
    COMMAND = "command"  # a command of the lab's own
    RELAY = "relay"  # a relay board on a serial port that takes frames
    LINE = "line"  # one that takes lines of text


@dataclass(frozen=True, slots=True)
class HelperName:
    """A helper as people name it: its kind, the port of a relay board, and what it is told there."""

    kind: Kind
    port: str = ""
    words: str = ""

    @property
    def is_person(self) -> bool:
        """Whether it takes as long as people do."""
        return self.kind is Kind.OPERATOR

    @property
    def is_console(self) -> bool:
        """Whether the board does it itself, told over its serial line."""
        return self.kind is Kind.CONSOLE

    def __str__(self) -> str:
        where = f"{self.port}#" if self.port else ""
        return self.kind.value if not where and not self.words else f"{self.kind}:{where}{self.words}"


def parse(text: str) -> HelperName:
    """Read how a helper is named. Raises HelperError, with a message for people."""
    word, _, rest = text.strip().partition(":")
    try:
        kind = Kind(word)
    except ValueError:
        raise ActuatorError(f"{text!r} names no helper; allowed: {HOW}") from None
    if kind in (Kind.CONSOLE, Kind.OPERATOR):
        if rest:
            raise ActuatorError(f"{text!r}: {kind} takes nothing after it; allowed: {HOW}")
        return HelperName(kind)
    if kind is Kind.COMMAND:
        CommandHelper(rest)  # complains about what cannot be
        return HelperName(kind, words=rest)
    port, _, words = rest.partition("#")
    if not port or not words:
        example = "relay:/dev/ttyUSB1#1" if kind is Kind.RELAY else "line:/dev/ttyACM0#relay {action} 0"
        raise ActuatorError(f"{text!r} lacks a port or what comes after #; an example: {example}")
    if kind is Kind.RELAY:
        channels_of(words)
    return HelperName(kind, port, words)


def helper_of(name: HelperName) -> Actuator:
    """The helper of that name, other than the console. Raises HelperError."""
    match name.kind:
        case Kind.OPERATOR:
            return the_operator()
        case Kind.COMMAND:
            return CommandHelper(name.words)
        case Kind.RELAY:
            return RelayBoard(line_at(name.port), channels_of(name.words))
        case Kind.LINE:
            return LineRelay(line_at(name.port), name.words)
        case Kind.CONSOLE:
            raise ActuatorError("the console of the board is no equipment of its own")
