from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from harness.report.text import line_numbers, one_line, seconds_text, showable, without_password


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    shown = one_line(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in shown)
    ElementTree.fromstring(f"<a>{shown.replace('&', '').replace('<', '')}</a>")


def test_control_characters_stay_recognisable() -> None:
    assert showable("a\x1b[31m\nb\u202e\ud800") == "a\\x1b[31m\nb\\u202e\\ud800"
    assert one_line("a\nb") == "a\\nb"


def test_passwords_in_urls_are_hidden() -> None:
    shown = without_password("mqtts://lab:s3cret@broker.local:8883 and coap://[::1]:5683/a")
    assert shown == "mqtts://lab:***@broker.local:8883 and coap://[::1]:5683/a"


def test_a_password_with_an_at_sign_is_hidden_whole() -> None:
    assert without_password("mqtt://lab:p@ss@broker/") == "mqtt://lab:***@broker/"


def test_many_lines_are_counted() -> None:
    assert line_numbers(range(1, 4)) == "1, 2, 3"
    assert line_numbers(range(1, 20), most=2) == "1, 2 and 17 more"


def test_durations_read_well() -> None:
    shown = [seconds_text(seconds) for seconds in (0.0341, 12.34, 59.99, 245, 7380)]
    assert shown == ["0.034 s", "12.3 s", "60.0 s", "4 min 5 s", "2 h 3 min"]
