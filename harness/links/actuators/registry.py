"""How users name actuators on the command line and in files, such as ``command:uhubctl -p 2 -a {action}``.

An installed package adds a kind of its own by an entry point in the group ``harness.actuators``: its name is
the word before the colon, and its object makes an :class:`~harness.links.actuators.Actuator` from the text
after it. That call opens nothing: it is also made to find mistakes in the text, and raises ActuatorError for
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from harness.links.actuators import (
    Actuator,
    ActuatorError,
)
from harness.links.actuators.command import CommandActuator
from harness.links.actuators.manual import the_operator
from harness.links.actuators.relay import (
    LineRelay,
    RelayBoard,
    channels_of,
    line_at,
)
from harness.registry import ACTUATORS, extensions, load_extension

HOW = (
    "console, operator, command:PROGRAM WITH {action} AND {name}, relay:PORT#CHANNEL, "
    "relay:PORT#KEY=CHANNEL,KEY=CHANNEL or line:PORT#TEXT WITH {action}"
)


class ActuatorKind(StrEnum):
    """The kinds that come with the harness; the values are the words that users write."""

    CONSOLE = "console"  # the board itself, by commands of the profile
    OPERATOR = "operator"  # a person at this terminal
    COMMAND = "command"  # a command of the lab
    RELAY = "relay"  # a relay board on a serial port that takes frames
    LINE = "line"  # a relay board that takes lines of text


@dataclass(frozen=True, slots=True)
class ActuatorName:
    """An actuator as users name it.

    ``kind``: an :class:`ActuatorKind`, or the word of an installed package. ``port``: serial port of a relay
    board.
    ``words``: what comes after the kind or the port.
    """

    kind: str
    port: str = ""
    words: str = ""

    @property
    def is_person(self) -> bool:
        """Whether a person does it, who needs time."""
        return self.kind == ActuatorKind.OPERATOR

    @property
    def is_console(self) -> bool:
        """Whether the board does it itself, on a command over its serial line."""
        return self.kind == ActuatorKind.CONSOLE

    def __str__(self) -> str:
        where = f"{self.port}#" if self.port else ""
        return f"{self.kind}:{where}{self.words}" if where or self.words else str(self.kind)


def parse(text: str) -> ActuatorName:
    """Read the name of an actuator. Raises ActuatorError, with a message for users."""
    word, _, rest = text.strip().partition(":")
    try:
        kind = ActuatorKind(word)
    except ValueError:
        _installed(word, rest)  # raises for mistakes
        return ActuatorName(word, words=rest)
    if kind in (ActuatorKind.CONSOLE, ActuatorKind.OPERATOR):
        if rest:
            raise ActuatorError(f"{text!r}: nothing may follow {kind}; allowed: {HOW}")
        return ActuatorName(kind)
    if kind is ActuatorKind.COMMAND:
        CommandActuator(rest)  # raises for mistakes
        return ActuatorName(kind, words=rest)
    port, _, words = rest.partition("#")
    if not port or not words:
        example = (
            "relay:/dev/ttyUSB1#1" if kind is ActuatorKind.RELAY else "line:/dev/ttyACM0#relay {action} 0"
        )
        raise ActuatorError(f"{text!r} lacks a port or what comes after #; an example: {example}")
    if kind is ActuatorKind.RELAY:
        channels_of(words)
    return ActuatorName(kind, port, words)


def actuator_named(name: ActuatorName) -> Actuator:
    """The actuator with that name; not for the console. Raises ActuatorError."""
    match name.kind:
        case ActuatorKind.OPERATOR:
            return the_operator()
        case ActuatorKind.COMMAND:
            return CommandActuator(name.words)
        case ActuatorKind.RELAY:
            return RelayBoard(line_at(name.port), channels_of(name.words))
        case ActuatorKind.LINE:
            return LineRelay(line_at(name.port), name.words)
        case ActuatorKind.CONSOLE:
            raise ActuatorError("the console of the board is not an actuator of its own")
    return _installed(name.kind, name.words)


def _installed(word: str, words: str) -> Actuator:
    """The actuator that an installed package makes from ``words``. Raises ActuatorError."""
    for entry in extensions(ACTUATORS):
        if entry.name == word:
            return cast("Callable[[str], Actuator]", load_extension(entry))(words)
    installed = ", ".join(entry.name for entry in extensions(ACTUATORS))
    more = f"; of installed packages: {installed}" if installed else ""
    raise ActuatorError(f"there is no actuator {word!r}; allowed: {HOW}{more}")
