"""Topic names and topic filters: how they match, and what is wrong with them."""

from __future__ import annotations

from harness.wire.mqtt.fields import MQTT_5
from harness.wire.problem import Problem


def topic_matches(filter: str, topic: str) -> bool:
    """Tell whether a subscription to ``filter`` covers ``topic`` (3.1.1 and 5.0: 4.7).

    A malformed filter matches nothing. A shared subscription has to be stripped of its "$share/name/".
    """
    if filter_problems(filter) or topic_problems(topic):
        return False
    wanted, levels = filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("#", "+"):  # 4.7.2: wildcards do not reach $-topics
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index == len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


def filter_problems(filter: str, level: int = 4) -> tuple[Problem, ...]:
    """What is wrong with a topic filter, by the clauses of protocol ``level``."""
    five = level == MQTT_5
    problems = _common_problems("topic filter", filter, level)
    parts = filter.split("/")
    for index, part in enumerate(parts):
        if "#" in part and (part != "#" or index != len(parts) - 1):
            clause = "MQTT-4.7.1-1" if five else "MQTT-4.7.1-2"
            problems.append(Problem(clause, f"topic filter {filter!r}: '#' is not the whole last level"))
        if "+" in part and part != "+":
            clause = "MQTT-4.7.1-2" if five else "MQTT-4.7.1-3"
            problems.append(Problem(clause, f"topic filter {filter!r}: '+' does not fill its level"))
    if five and parts[0] == "$share":
        problems += _share_problems(filter, parts)
    return tuple(problems)


def _share_problems(filter: str, parts: list[str]) -> list[Problem]:
    problems = []
    name = parts[1] if len(parts) > 1 else ""
    if not name:
        problems.append(Problem("MQTT-4.8.2-1", f"topic filter {filter!r} has an empty share name"))
    if "+" in name or "#" in name:
        problems.append(Problem("MQTT-4.8.2-2", f"topic filter {filter!r}: wildcard in the share name"))
    if not "/".join(parts[2:]):
        problems.append(Problem("MQTT-4.8.2-2", f"topic filter {filter!r}: no filter behind the share name"))
    return problems


def topic_problems(topic: str, level: int = 4) -> tuple[Problem, ...]:
    """What is wrong with a topic name (the topic of a PUBLISH or of a will), by protocol ``level``."""
    problems = _common_problems("topic name", topic, level)
    if "#" in topic or "+" in topic:
        clause = "MQTT-4.7.0-1" if level == MQTT_5 else "MQTT-4.7.1-1"
        problems.append(Problem(clause, f"topic name {topic!r} contains a wildcard"))
    return tuple(problems)


def _common_problems(what: str, text: str, level: int) -> list[Problem]:
    problems = []
    if not text:
        problems.append(Problem("MQTT-4.7.3-1", f"{what} is empty"))
    if "\0" in text:
        problems.append(Problem("MQTT-4.7.3-2", f"{what} {text!r} contains U+0000"))
    if any("\ud800" <= character <= "\udfff" for character in text):
        clause = "MQTT-1.5.4-1" if level == MQTT_5 else "MQTT-1.5.3-1"
        problems.append(Problem(clause, f"{what} {text!r} contains a lone surrogate"))
    return problems
