from __future__ import annotations

import re

import pytest
from aiocoap.util.linkformat import parse as parse_by_aiocoap
from hypothesis import given
from hypothesis import strategies as st

from harness.wire.coap.codec import (
    Link,
    LinkFormatError,
    parse_link_format,
)

targets = st.from_regex(r"/[a-z0-9./?=&-]{0,12}", fullmatch=True)
names = st.sampled_from(["rt", "if", "sz", "ct", "obs", "title", "x-own"])
tokens = st.from_regex(r"[a-z0-9.\-]{1,10}", fullmatch=True)
quoted = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, tuple[Link, ...]]:
    links, texts = [], []
    for target in draw(st.lists(targets, max_size=4)):
        attributes: list[tuple[str, str | None]] = []
        text = f"<{target}>"
        for name in draw(st.lists(names, max_size=3)):
            form = draw(st.sampled_from(["alone", "token", "quoted"]))
            value = None if form == "alone" else draw(tokens if form == "token" else quoted)
            attributes.append((name, value))
            text += f";{name}"
            if form == "token":
                text += f"={value}"
            elif value is not None:
                escaped = re.sub(r'(["\\])', r"\\\1", value)
                text += f'="{escaped}"'
        links.append(Link(target, tuple(attributes)))
        texts.append(text)
    return ",".join(texts), tuple(links)


@given(documents())
def test_documents_are_read(document: tuple[str, tuple[Link, ...]]) -> None:
    text, links = document
    assert parse_link_format(text) == links


@pytest.mark.parametrize(
    "text",
    [
        '</sensors/temp>;rt="temperature-c";if="sensor",</sensors/light>;rt="light-lux";obs;ct="0 41"',
        '</.well-known/core>;ct=40,<coap://[2001:db8::1]/x%20y?q=1>;rel="hosts next";anchor="/a"',
    ],
)
def test_reading_agrees_with_aiocoap(text: str) -> None:
    ours = [(link.target, list(link.attributes)) for link in parse_link_format(text)]
    theirs = [(link.href, [tuple(pair) for pair in link.attr_pairs]) for link in parse_by_aiocoap(text).links]
    assert ours == theirs


def test_looking_at_a_link() -> None:
    (link,) = parse_link_format('</t>;obs;rt="a b";rt=c')
    assert link.has("obs") and link.attribute("obs") is None
    assert link.attribute("rt") == "a b"
    assert not link.has("ct") and link.attribute("ct") is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("/a", 0),
        ("</a", 0),
        ("</a b>", 0),
        ("</ä>", 0),
        ("</%zz>", 0),
        ("</a>,", 5),
        (",</a>", 0),
        ("</a>, </b>", 5),
        ("</a> ,</b>", 4),
        ("</a>\n", 4),
        ("</a>;", 5),
        ("</a>;=1", 5),
        ("</a>;rt=", 8),
        ('</a>;rt="x', 8),
        ('</a>;rt="x\ny"', 8),
        ('</a>;rt="x"y', 11),
        ("</a>;rt=x y", 9),
        ("</a></b>", 4),
    ],
)
def test_what_is_not_link_format(text: str, place: int) -> None:
    with pytest.raises(LinkFormatError, match=f"^at character {place}: expected "):
        parse_link_format(text)


def test_nothing_is_an_empty_document() -> None:
    assert parse_link_format("") == ()


@given(st.text(alphabet='</a>;,="\\ rt\n', max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        links = parse_link_format(text)
    except LinkFormatError:
        return
    assert text.count("<") >= len(links)
