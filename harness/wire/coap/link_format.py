"""CoRE Link Format, the content of /.well-known/core (RFC 6690 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass


class LinkFormatError(ValueError):
    """Text that is not in CoRE Link Format; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link: its target as written, and its attributes in order, including repeated ones.

    The value of an attribute is unquoted; None if there is no "=".
    """

    target: str
    attributes: tuple[tuple[str, str | None], ...] = ()

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of this name; None without the attribute or a value."""
        return next((value for found, value in self.attributes if found == name), None)

    def has(self, name: str) -> bool:
        """Whether the attribute is present, with or without a value."""
        return any(found == name for found, _ in self.attributes)


_TARGET = re.compile(r"<((?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)>")
_NAME = re.compile(r"[A-Za-z0-9!#$&+\-.^_`|~]+\*?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'()*+\-./:<=>?@\[\]^_`{|}~]+")
_QUOTED = re.compile(r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\x00-\x7f])*)"')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_link_format(text: str) -> tuple[Link, ...]:
    """Parse a document of links; an empty document has none.

    Strict: no white space between the parts, no line breaks, targets are URI references. Raises
    LinkFormatError.
    """
    links: list[Link] = []
    at = 0
    while text:
        link, at = _read_link(text, at)
        links.append(link)
        if at == len(text):
            break
        if text[at] != ",":
            raise _error(text, at, "',', ';' or the end")
        at += 1
    return tuple(links)


def _read_link(text: str, at: int) -> tuple[Link, int]:
    target = _TARGET.match(text, at)
    if not target:
        raise _error(text, at, "a URI reference in '<' and '>'")
    attributes: list[tuple[str, str | None]] = []
    at = target.end()
    while text.startswith(";", at):
        name = _NAME.match(text, at + 1)
        if not name:
            raise _error(text, at + 1, "the name of an attribute")
        value, at = _read_value(text, name.end())
        attributes.append((name[0], value))
    return Link(target[1], tuple(attributes)), at


def _read_value(text: str, at: int) -> tuple[str | None, int]:
    if not text.startswith("=", at):
        return None, at
    if text.startswith('"', at + 1):
        quoted = _QUOTED.match(text, at + 1)
        if not quoted:
            raise _error(text, at + 1, "a closed quoted string without control characters")
        return _ESCAPE.sub(r"\1", quoted[1]), quoted.end()
    token = _TOKEN.match(text, at + 1)
    if not token:
        raise _error(text, at + 1, "a value")
    return token[0], token.end()


def _error(text: str, at: int, expected: str) -> LinkFormatError:
    found = repr(text[at : at + 12]) if at < len(text) else "the end"
    return LinkFormatError(f"at character {at}: expected {expected}, found {found}")
