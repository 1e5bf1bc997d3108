from __future__ import annotations

import paho.mqtt.client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire.mqtt.codec import (
    filter_problems,
    topic_matches,
    topic_problems,
)

levels = st.sampled_from(["", "a", "b", "$SYS"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.lists(st.one_of(levels, st.just("+")), max_size=4).flatmap(
    lambda parts: st.sampled_from(["/".join(parts), "/".join([*parts, "#"])])
)


@given(filters.filter(bool), topics)
def test_matching_agrees_with_paho(filter: str, topic: str) -> None:
    assert topic_matches(filter, topic) == paho.mqtt.client.topic_matches_sub(filter, topic)


@pytest.mark.parametrize(
    ("filter", "topic", "matches"),
    [
        ("sport/#", "sport", True),
        ("sport/+", "sport", False),
        ("+", "/a", False),
        ("/+", "/a", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a", "A", False),
        ("a/#/b", "a/x/b", False),
        ("a", "a/", False),
        ("a+", "a+", False),
    ],
)
def test_matching(filter: str, topic: str, matches: bool) -> None:
    assert topic_matches(filter, topic) is matches


@pytest.mark.parametrize(
    ("filter", "level_4", "level_5"),
    [
        ("a/+/b/#", [], []),
        ("#", [], []),
        ("", ["MQTT-4.7.3-1"], ["MQTT-4.7.3-1"]),
        ("a\0", ["MQTT-4.7.3-2"], ["MQTT-4.7.3-2"]),
        ("a#", ["MQTT-4.7.1-2"], ["MQTT-4.7.1-1"]),
        ("#/a", ["MQTT-4.7.1-2"], ["MQTT-4.7.1-1"]),
        ("a+/b", ["MQTT-4.7.1-3"], ["MQTT-4.7.1-2"]),
        ("\ud800", ["MQTT-1.5.3-1"], ["MQTT-1.5.4-1"]),
        ("$share//a", [], ["MQTT-4.8.2-1"]),
        ("$share/g", [], ["MQTT-4.8.2-2"]),
        ("$share/+/a", [], ["MQTT-4.8.2-2"]),
        ("$share/g/a", [], []),
    ],
)
def test_filter_problems(filter: str, level_4: list[str], level_5: list[str]) -> None:
    assert [problem.clause for problem in filter_problems(filter)] == level_4
    assert [problem.clause for problem in filter_problems(filter, 5)] == level_5


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("a/ b/", []), ("", ["MQTT-4.7.3-1"]), ("a/+", ["MQTT-4.7.1-1"]), ("#", ["MQTT-4.7.1-1"])],
)
def test_topic_problems(topic: str, expected: list[str]) -> None:
    assert [problem.clause for problem in topic_problems(topic)] == expected


@given(st.text(), st.text())
def test_any_text_is_judged(filter: str, topic: str) -> None:
    if filter_problems(filter) or topic_problems(topic):
        assert not topic_matches(filter, topic)
    else:
        assert topic_matches("#", topic) is not topic.startswith("$")
