"""Finds a text that a regular expression accepts, which a simulated board prints for a pattern."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

# Python's own parser of expressions. Type checkers do not agree on whether they know these modules.
sre: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

_OF_CATEGORY: dict[Any, str] = {
    sre.CATEGORY_DIGIT: "0",
    sre.CATEGORY_NOT_DIGIT: "x",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_NOT_SPACE: "x",
    sre.CATEGORY_WORD: "x",
    sre.CATEGORY_NOT_WORD: "-",
}


def example_of(expression: str) -> str | None:
    """A short text that the expression accepts; None if none was found."""
    text = _sequence(parser.parse(expression))
    return text if re.search(expression, text) else None


def _sequence(parsed: Any) -> str:
    return "".join(_one(operation, argument) for operation, argument in parsed)


def _one(operation: Any, argument: Any) -> str:
    match operation:
        case sre.LITERAL:
            return chr(argument)
        case sre.NOT_LITERAL:
            return "x" if argument != ord("x") else "y"
        case sre.ANY:
            return "x"
        case sre.IN:
            return _member(argument)
        case sre.BRANCH:
            return _sequence(argument[1][0])
        case sre.SUBPATTERN:
            return _sequence(argument[-1])
        case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
            least, _, repeated = argument
            return _sequence(repeated) * int(least)
        case sre.ATOMIC_GROUP:
            return _sequence(argument)
    return ""  # anchors and look-arounds match no characters


def _member(members: Any) -> str:
    """A member of a set. Of an inverted one, the first printable character that is not excluded."""
    if members[0][0] is sre.NEGATE:
        excluded = re.compile("[" + "".join(map(_shown, members[1:])) + "]")
        return next((c for c in map(chr, range(0x21, 0x7F)) if not excluded.fullmatch(c)), "")
    operation, argument = members[0]
    if operation is sre.RANGE:
        return chr(argument[0])
    if operation is sre.CATEGORY:
        return _OF_CATEGORY[argument]
    return chr(argument)


def _shown(member: Any) -> str:
    operation, argument = member
    if operation is sre.RANGE:
        return f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
    if operation is sre.CATEGORY:
        return {sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_SPACE: r"\s", sre.CATEGORY_WORD: r"\w"}.get(
            argument, ""
        )
    return re.escape(chr(argument))
