"""What a CoAP representation tells of a property, where servers differ in how they say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checks.observations import Readings, Report
from harness.model.loading.profiles import load_profile
from harness.trace.events import CoapDatagram, Direction, Event
from harness.wire import coap
from harness.wire.coap.options import Block

PROFILE = """
profile: meter
title: Meter
category: sensor
properties:
  level: { type: number, readOnly: true, default: 1 }
  name: { type: string, readOnly: true, default: a }
bindings:
  coap:
    properties:
      level: { path: /level, format: json }
      name: { path: /name, format: text }
"""

TOKEN = b"\1"


def told(folder: Path, path: str, payload: bytes, *options: coap.Option) -> Report:
    """What the answer to a GET on that path tells."""
    file = folder / "meter.yaml"
    file.write_text(PROFILE)
    asked = coap.request(coap.Code.GET, path, mid=1, token=TOKEN)
    answer = coap.Message(1, coap.Type.ACK, coap.Code.CONTENT, 1, TOKEN, options, payload)
    bodies = [(Direction.TO_DUT, asked), (Direction.FROM_DUT, answer)]
    events = [
        Event(line, 0.0, CoapDatagram(direction, "127.0.0.1:9", "127.0.0.1:5683", coap.encode(message)))
        for line, (direction, message) in enumerate(bodies, 1)
    ]
    (report,) = Readings(load_profile(file), events).until(len(events))
    return report


@pytest.mark.parametrize(("path", "payload", "value"), [("/level", b"2.5", 2.5), ("/name", b"", "")])
def test_without_content_format_the_profile_says_how_to_read_it(
    tmp_path: Path, path: str, payload: bytes, value: object
) -> None:
    report = told(tmp_path, path, payload)
    assert report.problem is None
    assert report.value == value


@pytest.mark.parametrize("payload", [b"12", b"true", b"null", b'"hall"'])
def test_plain_text_of_a_string_is_the_string(tmp_path: Path, payload: bytes) -> None:
    text = coap.Option(coap.OptionNumber.CONTENT_FORMAT, b"")
    assert told(tmp_path, "/name", payload, text).value == payload.decode()


def test_a_content_format_that_is_told_counts(tmp_path: Path) -> None:
    cbor = coap.Option(coap.OptionNumber.CONTENT_FORMAT, b"\x3c")
    assert told(tmp_path, "/level", b"\x03", cbor).value == 3
    assert told(tmp_path, "/level", b"2.5", cbor).problem


@pytest.mark.parametrize(("number", "more"), [(0, True), (1, False), (1, True)])
def test_one_block_of_several_is_no_value(tmp_path: Path, number: int, more: bool) -> None:
    block = coap.Option(coap.OptionNumber.BLOCK2, coap.encode_uint(Block(number, more, 6).value))
    report = told(tmp_path, "/name", b"a" * 1024, block)
    assert report.problem == "is one block of several"


def test_a_single_block_is_the_whole_value(tmp_path: Path) -> None:
    block = coap.Option(coap.OptionNumber.BLOCK2, coap.encode_uint(Block(0, False, 6).value))
    assert told(tmp_path, "/name", b"hall", block).value == "hall"
