"""Traces of a smart plug on its broker, written by hand."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from harness.checks.case import Case
from harness.checks.catalogue import check_named
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
    Fate,
    MqttPacket,
    Point,
    RunStarted,
    Stimulus,
)
from harness.wire.mqtt.codec import (
    PacketType,
    encode_connack,
    encode_packet,
    encode_publish,
)
from tests.checks.driving import ROOT

PLUG = load_profile(ROOT / "profiles" / "smart-plug.yaml")
BASE = "plug-a4cf12"
AVAILABILITY = f"{BASE}/availability"
FROM, TO = Direction.FROM_DUT, Direction.TO_DUT
DISCONNECT = encode_packet(PacketType.DISCONNECT, 0, b"")
FENCE = "harness/fence/1"


def connect(client_id: str = BASE, *, will: bool = True, keep_alive: int = 15) -> bytes:
    """The plug's CONNECT, with its will unless that is left out."""
    texts = [client_id.encode()]
    if will:
        texts += [AVAILABILITY.encode(), b"offline"]
    flags = 0x02 | (0x04 | 1 << 3 | 0x20 if will else 0)
    tail = b"".join(struct.pack("!H", len(text)) + text for text in texts)
    return encode_packet(
        PacketType.CONNECT, 0, b"\0\4MQTT\4" + bytes([flags]) + struct.pack("!H", keep_alive) + tail
    )


@dataclass
class Run:
    """One run with the window of one check in it; times are in seconds."""

    check: str
    profile: Profile = PLUG
    now: float = 0.0
    events: list[Event] = field(default_factory=list)
    begun: int = 0

    def __post_init__(self) -> None:
        met = tuple(need.value for need in (BenchFeature.TAP, BenchFeature.BROKER, BenchFeature.POWER))
        self.add(RunStarted(profile_to_json(self.profile), "plug.yaml", "by hand", 1, "0", "", met))

    def add(self, body: Body) -> None:
        self.events.append(Event(len(self.events) + 1, self.now, body))

    def begin(self) -> None:
        """The window of the check begins here."""
        self.begun = len(self.events)
        self.add(CheckStarted(self.check, None, None))

    def act(self, act: Act, name: str | None = None) -> None:
        self.add(Stimulus(act, name))

    def change(self, number: int, change: ConnectionChange, by: Direction, point: Point = Point.TAP) -> None:
        self.add(Connection(point, number, change, by))

    def tap(self, direction: Direction, raw: bytes, number: int = 1, fate: Fate = Fate.FORWARDED) -> None:
        self.add(MqttPacket(Point.TAP, direction, number, raw, 4, fate))

    def client(self, direction: Direction, raw: bytes, number: int = 1) -> None:
        self.add(MqttPacket(Point.CLIENT, direction, number, raw))

    def session(
        self,
        number: int,
        client_id: str = BASE,
        *,
        will: bool = True,
        birth: bool = True,
        keep_alive: int = 15,
    ) -> None:
        """The device connects, and says that it is online."""
        self.change(number, ConnectionChange.OPENED, FROM)
        self.tap(FROM, connect(client_id, will=will, keep_alive=keep_alive), number)
        self.tap(TO, encode_connack(0), number)
        if birth:
            online = encode_publish(AVAILABILITY, b"online", 1, packet_id=1, retain=True)
            self.tap(FROM, online, number)

    def late_subscriber(self, number: int, kept: dict[str, bytes], *, complete: bool = True) -> None:
        """A new client of ours subscribes, and gets this."""
        self.change(number, ConnectionChange.OPENED, TO, Point.CLIENT)
        for topic, payload in kept.items():
            self.client(FROM, encode_publish(topic, payload, retain=True), number)
        if complete:
            self.client(FROM, encode_publish(FENCE, b""), number)

    def judged(self) -> Outcome:
        self.add(CheckEnded(self.check, None, None))
        case = Case(self.profile, Subject(), self.events, self.events[self.begun :])
        return check_named(self.check).judge(case)
