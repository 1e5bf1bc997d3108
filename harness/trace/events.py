"""The events of a trace: every packet, stimulus, wait and note of a run, timed on one clock.

A trace is a list of :class:`Event`. An event is a line number, a time and a body; the body's class says
what happened. Bodies are immutable and hold the raw bytes; decoded forms are computed from the bytes
(:func:`harness.wire.mqtt.codec.decode` and its sisters), so that what a judge sees never depends on what a
link thought it saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FORMAT = 1
"""The number of this format of traces, which stands in the first line.

It goes up when an older version of the harness could not read a trace, or would judge it differently: with
a new kind of event, or a new meaning of one. A new optional field that judges can do without leaves it. All
older formats are read; traces of 0.1.0 have no number and are format 1.
"""


class Direction(StrEnum):
    """Which way a packet went, seen from the device under test."""

    FROM_DUT = "from-dut"
    TO_DUT = "to-dut"
    OTHER = "other"  # seen on the link, neither sent by nor meant for the DUT alone


class Point(StrEnum):
    """Where an MQTT packet was seen."""

    TAP = "tap"  # between DUT and broker: these are the DUT's own packets
    CLIENT = "client"  # on our own controller's connection to the broker


class Fate(StrEnum):
    """What the tap did with a packet."""

    FORWARDED = "forwarded"
    DROPPED = "dropped"  # seen but not passed on
    INJECTED = "injected"  # made by the harness: the other side never sent it


class ConnectionChange(StrEnum):
    """What happened to a TCP connection."""

    OPENED = "opened"
    CLOSED = "closed"  # orderly, FIN
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class RunStarted:
    """First line of every trace: all that is needed to judge it again."""

    profile: str  # the resolved profile as canonical JSON text
    profile_path: str
    dut: str  # how the DUT was reached, for people: "simulated", "mqtt://…"
    seed: int
    tool_version: str
    wall_time: str  # RFC 3339, the only wall-clock time in a trace
    needs_met: tuple[str, ...]  # values of harness.model.requirement.Need that this bench offers
    faults: tuple[str, ...] = ()  # faults given to a simulated device
    host: str | None = None  # the DUT's IP address, where known
    format: int = FORMAT  # of the trace


@dataclass(frozen=True, slots=True)
class TogetherStarted:
    """First line of the trace of several devices on one bus; a RunStarted of each device follows.

    ``roles`` are the names that the events carry as their :attr:`Event.device`.
    """

    purpose: str  # what they were brought together for: "pair" or "scene"
    roles: tuple[str, ...]
    plan: str  # what was to be played, as canonical JSON text of a scene
    plan_path: str
    seed: int
    tool_version: str
    wall_time: str  # RFC 3339
    format: int = FORMAT  # of the trace


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Last line of a complete trace."""

    reason: str  # "complete", "interrupted", or what went wrong


@dataclass(frozen=True, slots=True)
class CheckStarted:
    """The stimulus of a check begins; events up to its CheckEnded are its window."""

    check: str
    subject: str | None
    transport: str | None


@dataclass(frozen=True, slots=True)
class CheckEnded:
    """The stimulus of a check is over.

    ``problem`` tells why it could not be carried out, if so; ``harness_fault`` that the harness is to blame,
    ``beyond_bench`` that this bench cannot do what the check needs.
    """

    check: str
    subject: str | None
    transport: str | None
    problem: str | None = None
    harness_fault: bool = False
    beyond_bench: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """A TCP connection of the DUT (seen at the tap) or of our controller changed state."""

    point: Point
    connection: int  # counts from 1 for each point
    change: ConnectionChange
    by: Direction  # FROM_DUT: the DUT did it; TO_DUT: the broker or the harness did


@dataclass(frozen=True, slots=True)
class MqttPacket:
    """One MQTT control packet. ``level`` is the protocol level of its connection (4: 3.1.1, 5: 5.0)."""

    point: Point
    direction: Direction
    connection: int
    raw: bytes
    level: int = 4
    fate: Fate = Fate.FORWARDED


@dataclass(frozen=True, slots=True)
class CoapDatagram:
    """One UDP datagram to or from the DUT's CoAP endpoint."""

    direction: Direction
    local: str  # our address and port, "127.0.0.1:40000"
    remote: str  # the DUT's
    raw: bytes


@dataclass(frozen=True, slots=True)
class MdnsPacket:
    """One mDNS packet as seen on the link. ``unicast`` tells that it did not go to the group address."""

    direction: Direction
    source: str  # "192.0.2.7:5353"
    destination: str  # "224.0.0.251:5353", or our own address for a unicast answer
    raw: bytes
    unicast: bool = False


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """The harness connected to a TCP port of the DUT; ``answer`` is what came back to ``sent``."""

    host: str
    port: int
    connected: bool
    sent: bytes = b""
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class SerialData:
    """Bytes on the serial line, as they came.

    ``line`` is the decoded text of the whole line that these bytes complete, without its ending; bytes that
    complete none have None. So the ``raw`` of all events is what went over the line, and each line is told
    once.
    """

    direction: Direction
    raw: bytes
    line: str | None = None
    what: str | None = None  # the frame or message that they complete, where it is not text; for people


class PortChange(StrEnum):
    """What happened to the serial port."""

    OPENED = "opened"
    VANISHED = "vanished"  # unplugged, or its server is gone
    RETURNED = "returned"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SerialPort:
    """The serial port came or went; ``detail`` says more for people."""

    change: PortChange
    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class SerialAnswer:
    """What the board answered to a command of the harness, as it was understood.

    ``value`` is the JSON text of what it told; ``problem`` says why there is no good answer. The bytes
    themselves are in the SerialData before.
    """

    command: str  # of harness.model.bindings.serial.SerialCommand
    name: str | None = None  # the property or control that it is about
    value: str | None = None
    problem: str | None = None


class Refusal(StrEnum):
    """How the tap turns the DUT's connections away; stands in the stimulus :attr:`Act.REFUSE`."""

    RESET = "reset"  # accepted and reset at once
    CONNACK = "connack"  # CONNECT answered by a refusing return code, then closed
    SILENT = "silent"  # accepted, and not a byte said
    KICK = "kick"  # a good CONNACK, then closed at once


class Act(StrEnum):
    """What the harness did to the DUT, besides the packets that it sent."""

    WRITE = "write"  # a value was commanded over the network
    INVOKE = "invoke"  # an action was invoked over the network
    LOCAL = "local"  # a button, a sensor, the front panel
    START = "start"  # the DUT was started (power on)
    STOP = "stop"  # the DUT was stopped in order
    KILL = "kill"  # the DUT lost power or its network without a word
    DROP_LINK = "drop-link"  # the tap cut the DUT's connection
    REFUSE = "refuse"  # the tap refuses the DUT's connections
    ACCEPT = "accept"  # … and takes them again
    WITHHOLD = "withhold"  # the tap keeps back packets; ``name`` says which
    RELEASE = "release"  # … and lets them through again
    RESTART_BROKER = "restart-broker"
    DONE = "done"  # the act before it, which took a while, is over: it happened between the two
    RAW = "raw"  # crafted bytes were sent; ``name`` says what
    AUTOMATE = "automate"  # the harness as the hub of the home acts on a device; ``name`` is the automation
    REBOOT = "reboot"  # the DUT was told to start anew
    FACTORY_RESET = "factory-reset"  # the DUT was told to forget everything
    NETWORK_OFF = "network-off"  # the DUT was told to leave its network
    NETWORK_ON = "network-on"
    CONSOLE = "console"  # another command over the serial line; ``name`` is the command


@dataclass(frozen=True, slots=True)
class Stimulus:
    """A deliberate act of the harness. ``name`` is the affordance, ``value`` its canonical JSON text."""

    act: Act
    name: str | None = None
    value: str | None = None  # JSON text, exactly as valid as the value itself; None: no value
    transport: str | None = None
    legal: bool | None = None  # for WRITE: does the profile allow this value?


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait that a standard or the profile imposes, with the time that it really took."""

    seconds: float
    imposed_by: str
    what: str


@dataclass(frozen=True, slots=True)
class Note:
    """A remark for the reader of the trace. Judges do not read notes."""

    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict that the run gave, kept so that judging again can be compared with it."""

    check: str
    subject: str | None
    transport: str | None
    verdict: str
    message: str
    events: tuple[int, ...]


Body = (
    RunStarted
    | TogetherStarted
    | RunEnded
    | CheckStarted
    | CheckEnded
    | Connection
    | MqttPacket
    | CoapDatagram
    | MdnsPacket
    | TcpProbe
    | SerialData
    | SerialPort
    | SerialAnswer
    | Stimulus
    | Wait
    | Note
    | Judged
)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a trace: ``line`` counts from 1, ``time`` is seconds since the start of the run.

    ``device`` is the role of the device that it is about, where several share a run; None: there is only
    one, or it is about all.
    """

    line: int
    time: float
    body: Body
    device: str | None = None
