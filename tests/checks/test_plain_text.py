"""Strings that travel over MQTT as plain text, and not as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.loading.profiles import load_profile
from harness.model.problems import ProfileError
from harness.model.verdict import Verdict
from harness.trace.events import Direction, MqttPacket, Point
from harness.trace.trace import bodies
from harness.wire import mqtt
from tests.checks.driving import check_simulated

SIGN = """
profile: door-sign
title: Door sign
category: sign
properties:
  label: { type: string, minLength: 1, maxLength: 16, default: "Free, come in" }
  lit: { type: boolean, default: false }
  hours: { type: integer, minimum: 0, maximum: 9, default: 1 }
bindings:
  mqtt:
    base: door-sign
    client_id: door-sign
    keep_alive: 30
    properties:
      label: { state: door-sign/label, command: door-sign/label/set, qos: 1%s }
      lit: { state: door-sign/lit, command: door-sign/lit/set, qos: 1 }
      hours: { state: door-sign/hours, command: door-sign/hours/set, qos: 1%s }
behaviour: { settle: 0.5, boot: 5, reconnect: 30 }
"""


def sign(folder: Path, label: str = ", format: text", hours: str = "") -> Path:
    path = folder / "door-sign.yaml"
    path.write_text(SIGN % (label, hours))
    return path


def test_a_device_that_talks_plain_text_conforms_and_is_left_as_it_was(tmp_path: Path) -> None:
    select = ["DEV-01", "DEV-03", "DEV-04", "DEV-05", "DEV-06", "DEV-09", "DEV-10", "PROFILE-63", "SEC-10"]
    result = check_simulated(sign(tmp_path), select=select)
    bad = [
        item.result.id
        for item in result.judgements
        if item.result.outcome.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
    ]
    assert bad == []
    packets = [
        mqtt.decode(body.raw, body.level)
        for _, body in bodies(result.events, MqttPacket)
        if body.point is Point.TAP and body.direction is Direction.FROM_DUT
    ]
    labels = [p.payload for p in packets if isinstance(p, mqtt.Publish) and p.topic == "door-sign/label"]
    assert labels[0] == labels[-1] == b"Free, come in"


@pytest.mark.parametrize(
    ("label", "hours", "what"),
    [
        ("", ", format: text", "plain text is for strings"),
        (", format: text, member: text", "", "`member` has no meaning"),
        (", format: text, values: { A: a }", "", "`values` has no meaning"),
    ],
)
def test_plain_text_is_for_whole_strings(tmp_path: Path, label: str, hours: str, what: str) -> None:
    with pytest.raises(ProfileError, match=what):
        load_profile(sign(tmp_path, label, hours))
