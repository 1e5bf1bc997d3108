"""Traces of an air conditioner with its console attached, written by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from harness.checks.case import Case
from harness.checks.catalogue import check_named
from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.loading.profiles import (
    load_profile,
    profile_to_json,
)
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.model.verdict import Outcome, Subject
from harness.trace.events import (
    Act,
    Body,
    CheckEnded,
    CheckStarted,
    Connection,
    ConnectionChange,
    Direction,
    Event,
    MqttPacket,
    Point,
    RunStarted,
    SerialAnswer,
    SerialData,
    Stimulus,
)
from harness.wire.mqtt.codec import encode_publish
from tests.checks.driving import ROOT

COOLER = load_profile(ROOT / "profiles" / "air-conditioner.yaml")
BASE = "ac-7b19d0"
FROM, TO = Direction.FROM_DUT, Direction.TO_DUT
STARTED = "2026-11-28T01:00:00+00:00"
MET = (
    BenchFeature.TAP,
    BenchFeature.BROKER,
    BenchFeature.COAP,
    BenchFeature.POWER,
    BenchFeature.LOCAL,
    BenchFeature.SERIAL,
)

TOPICS = {
    "power": f"{BASE}/climate/power/state",
    "mode": f"{BASE}/climate/mode/state",
    "target_temperature": f"{BASE}/climate/target_temperature/state",
    "room_temperature": f"{BASE}/climate/current_temperature/state",
    "fan_speed": f"{BASE}/climate/fan_mode/state",
}
WORDS = {True: "ON", False: "OFF"}


@dataclass
class Desk:
    """A board on the desk, told step by step; ``judged`` asks the check about the window, or about all."""

    check: str
    subject: str | None = None
    transport: str | None = None
    now: float = 0.0
    events: list[Event] = field(default_factory=list)
    begun: int = 0
    profile: Profile = COOLER

    def __post_init__(self) -> None:
        met = tuple(need.value for need in MET)
        self.add(RunStarted(profile_to_json(self.profile), "ac.yaml", "by hand", 1, "0", STARTED, met))

    def add(self, body: Body) -> Desk:
        self.events.append(Event(len(self.events) + 1, self.now, body))
        return self

    def at(self, time: float) -> Desk:
        self.now = time
        return self

    def begin(self, check: str | None = None) -> Desk:
        """The window of the check begins, or one of another check."""
        self.begun = len(self.events) if check is None else self.begun
        own = (self.check, self.subject, self.transport)
        return self.add(CheckStarted(*(own if check is None else (check, None, None))))

    def end(self, check: str) -> Desk:
        return self.add(CheckEnded(check, None, None))

    def act(self, act: Act, name: str | None = None, value: Value = None, *, legal: bool = True) -> Desk:
        text = None if value is None else json.dumps(value)
        serial = act not in (Act.WRITE, Act.KILL, Act.START)
        return self.add(Stimulus(act, name, text, "serial" if serial else "mqtt", legal))

    def board(self, command: SerialCommand, name: str | None = None, value: Value = None) -> Desk:
        """The board answers."""
        return self.add(SerialAnswer(command.value, name, json.dumps(value)))

    def shows(self, name: str, value: Value) -> Desk:
        """The board tells a property."""
        return self.board(SerialCommand.READ_STATE, name, value)

    def silent(self, command: SerialCommand, name: str | None = None) -> Desk:
        """The board does not answer."""
        return self.add(SerialAnswer(command.value, name, None, "no answer within 2 s"))

    def prints(self, *lines: str) -> Desk:
        """The board prints lines."""
        for line in lines:
            self.add(SerialData(FROM, line.encode() + b"\r\n", line))
        return self

    def types(self, line: str) -> Desk:
        return self.add(SerialData(TO, line.encode() + b"\r\n", line))

    def boots(self) -> Desk:
        return self.prints("ESP-ROM:esp32c3-api1-20210207", "app: air conditioner 3.2.0 starting")

    def ready(self) -> Desk:
        return self.prints("app: ready")

    def tells(self, name: str, value: Value) -> Desk:
        """The network hears a property, at the tap."""
        if isinstance(value, bool):
            payload = WORDS[value]
        else:
            payload = value if isinstance(value, str) else json.dumps(value)
        raw = encode_publish(TOPICS[name], payload.encode(), 1, packet_id=7, retain=True)
        return self.add(MqttPacket(Point.TAP, FROM, 1, raw))

    def connection(self, change: ConnectionChange, number: int = 1) -> Desk:
        return self.add(Connection(Point.TAP, number, change, FROM))

    def judged(self) -> Outcome:
        check = check_named(self.check)
        subject = Subject(self.subject, self.transport)
        if check.passive:
            return check.judge(Case(self.profile, subject, self.events, self.events))
        self.add(CheckEnded(self.check, self.subject, self.transport))
        return check.judge(Case(self.profile, subject, self.events, self.events[self.begun :]))
