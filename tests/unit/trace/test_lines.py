from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.trace.events import (
    FORMAT,
    Body,
    Direction,
    Event,
    MdnsPacket,
    Note,
    RunStarted,
    SerialData,
    Wait,
)
from harness.trace.lines import TraceError, from_line, read, to_line

bodies = st.one_of([st.from_type(cls) for cls in get_args(Body)]).filter(
    lambda body: (
        (not isinstance(body, Wait) or math.isfinite(body.seconds))
        and getattr(body, "format", FORMAT) <= FORMAT
    )
)
devices = st.none() | st.text()
events = st.builds(Event, st.integers(1, 10**6), st.floats(0, 10**6), bodies, devices)


@given(events)
def test_every_event_comes_back(event: Event) -> None:
    line = to_line(event)
    assert line.endswith("\n") and line.count("\n") == 1
    assert from_line(line) == event


@given(st.lists(bodies, max_size=5))
def test_a_file_of_events_comes_back(tmp_path_factory: pytest.TempPathFactory, found: list[Body]) -> None:
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    written = [Event(number, 0.5, body) for number, body in enumerate(found, start=1)]
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(to_line(event) for event in written)
    assert list(read(path)) == written


def test_an_event_of_the_only_device_reads_as_it_always_did() -> None:
    assert "device" not in json.loads(to_line(Event(1, 0.0, Note("x"))))
    assert json.loads(to_line(Event(1, 0.0, Note("x"), "lamp")))["device"] == "lamp"


def test_raw_bytes_and_their_decoded_form_stand_beside_each_other() -> None:
    body = MdnsPacket(Direction.FROM_DUT, "a", "b", b"\xff\0")
    record = json.loads(to_line(Event(3, 1.25, body)))
    assert (record["n"], record["t"], record["kind"], record["raw"]) == (3, 1.25, "MdnsPacket", "ff00")
    assert record["decoded"]["problems"]


def test_only_the_raw_bytes_are_read_back() -> None:
    body = SerialData(Direction.FROM_DUT, b"ok")
    record = json.loads(to_line(Event(1, 0.0, body))) | {"decoded": {"packet": "PINGREQ"}}
    assert from_line(json.dumps(record)).body == body


def test_fields_with_a_default_may_be_missing() -> None:
    started = RunStarted("{}", "p", "simulated", 1, "0.1", "now", ("tap",), ("F-1",), "192.0.2.1")
    record = json.loads(to_line(Event(1, 0.0, started)))
    del record["faults"], record["host"]
    read_back = from_line(json.dumps(record)).body
    assert isinstance(read_back, RunStarted)
    assert (read_back.faults, read_back.host, read_back.needs_met) == ((), None, ("tap",))


STARTED = RunStarted("{}", "p", "simulated", 1, "0.1", "now", ("tap",), format=FORMAT)


def test_a_trace_without_a_format_number_is_read_as_the_first_format() -> None:
    record = json.loads(to_line(Event(1, 0.0, STARTED)))
    assert record.pop("format") == FORMAT
    read_back = from_line(json.dumps(record)).body
    assert isinstance(read_back, RunStarted) and read_back.format == 1


@pytest.mark.parametrize("kind", ["RunStarted", "TogetherStarted", "SomethingNew"])
def test_a_trace_of_a_newer_format_is_refused_by_one_message(tmp_path: Path, kind: str) -> None:
    record = json.loads(to_line(Event(1, 0.0, STARTED))) | {"format": FORMAT + 1, "kind": kind}
    del record["profile"]  # whatever the newer format has changed
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(record) + "\nno event at all\n")
    with pytest.raises(TraceError) as refused:
        list(read(path))
    assert str(refused.value) == (
        f"{path}: this trace has format {FORMAT + 1}, and this version of the harness reads formats up to "
        f"{FORMAT}; update the harness"
    )


def note(number: int, text: str = "x") -> str:
    return to_line(Event(number, 0.0, Note(text)))


@pytest.mark.parametrize("size", range(1, len(note(2, "ä\u2028")) + 1))
def test_a_last_line_cut_short_is_left_out(tmp_path: Path, size: int) -> None:
    path = tmp_path / "trace.jsonl"
    whole, last = note(1, "a\u2028b\x85c").encode(), note(2, "ä\u2028").encode()
    path.write_bytes(whole + last[: len(last) - size])
    texts = [event.body.text for event in read(path) if isinstance(event.body, Note)]
    assert texts == (["a\u2028b\x85c", "ä\u2028"] if size == 1 else ["a\u2028b\x85c"])  # 1: only the line end


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "",
        "5",
        "[]",
        "{}",
        '{"n":1,"t":0.0,"kind":"Surprise"}',
        '{"n":1,"t":0.0,"kind":"Note"}',
        '{"n":1,"t":0.0,"kind":"Note","text":5}',
        '{"n":1,"t":0.0,"kind":"Wait","seconds":"1","imposed_by":"x","what":""}',
        '{"n":1,"t":0.0,"kind":"SerialData","direction":"from-dut","raw":"xy"}',
        '{"n":1,"t":0.0,"kind":"SerialData","direction":"sideways","raw":""}',
        '{"n":1,"t":0.0,"kind":"Judged","check":"c","subject":null,"transport":null,"verdict":"pass",'
        '"message":"","events":["1"]}',
        '{"n":1,"t":0.0,"kind":"Judged","check":"c","subject":null,"transport":null,"verdict":"pass",'
        '"message":"","events":"12"}',
        '{"n":"1","t":0.0,"kind":"Note","text":"x"}',
        '{"n":true,"t":0.0,"kind":"Note","text":"x"}',
        "[" * 100_000,
        '{"n":2,"t":0.0,"kind":"Note","text":"x"}',
    ],
    ids=range(17),
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(line + "\n" + note(2))
    with pytest.raises(TraceError, match=r"trace\.jsonl:1: "):
        list(read(path))


def test_a_missing_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(note(1) + note(3))
    with pytest.raises(TraceError, match=r"trace\.jsonl:2: this is line 3"):
        list(read(path))


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(b"\xff\n" + note(2).encode())
    with pytest.raises(TraceError, match=r"trace\.jsonl:1: "):
        list(read(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.jsonl: cannot be read"):
        list(read(tmp_path / "none.jsonl"))


def test_an_empty_file_has_no_events(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(b"")
    assert list(read(path)) == []


@pytest.mark.parametrize("cls", get_args(Body))
def test_no_field_of_an_event_hides_a_key_of_its_line(cls: type) -> None:
    assert not {"n", "t", "kind", "decoded"} & {field.name for field in fields(cls)}
