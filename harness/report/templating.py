"""The template environment of all pages, with style sheets and scripts inlined."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.model.verdict import Verdict
from harness.report.text import line_numbers, one_line, plural, seconds_text
from harness.report.words import AREAS, BASES, LEVELS, SOURCES, VERDICTS

_TEMPLATES = Path(__file__).with_name("templates")


def environment(
    styles: Sequence[str] = ("style.css",), scripts: Sequence[str] = ("script.js",)
) -> Environment:
    """A template environment for one kind of page, with these style sheets and scripts."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _inlined(styles), _inlined(scripts)
    environment.globals.update(
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        Verdict=Verdict,
        VERDICTS=VERDICTS,
        BASES=BASES,
        LEVELS=LEVELS,
        SOURCES=SOURCES,
        AREAS=AREAS,
    )
    environment.filters.update(
        duration=seconds_text,
        lines=line_numbers,
        one_line=one_line,
        plural=plural,
        plainly=_plainly,
        moment=_moment,
    )
    return environment


def _moment(started: str) -> str:
    """A point in time as text."""
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{moment:%d %B %Y, %H:%M:%S} {moment.tzname() or ''}".strip()


def _plainly(text: str) -> str:
    """Replaces a term of the test standards by an everyday one."""
    return text.replace("the IUT", "the device").replace("IUT", "device")


def _inlined(names: Sequence[str]) -> Markup:
    return Markup("".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names))


def _digest(text: str) -> str:
    """The Content Security Policy source expression that allows exactly this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
