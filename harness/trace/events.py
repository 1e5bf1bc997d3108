"""The events of a trace: every packet, stimulus, wait and note of a run, timed on one clock.

A trace is a list of :class:`Event`. An event is a line number, a time and a body; the body's class says
what happened. Bodies are immutable and hold the raw bytes; decoded forms are computed from the bytes
(:func:`harness.wire.mqtt.codec.decode` and its sisters), so that what a judge sees never depends on what a
link thought it saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FORMAT = 2
"""The number of this format of traces, which stands in the first line.

It goes up when an older version of the harness could not read a trace, or would judge it differently: with
a new kind of event, or a new meaning of one. A new optional field that judges can do without leaves it. All
older formats are read; traces of 0.1.0 have no number and are format 1. Format 2 has DeviceLost and LoopLate.
"""


class Direction(StrEnum):
    """Which way a packet went, from the point of view of the device."""

    FROM_DUT = "from-dut"
    TO_DUT = "to-dut"
    OTHER = "other"  # seen on the link, neither from the device nor only for it


class Point(StrEnum):
    """Where an MQTT packet was seen."""

    TAP = "tap"  # between device and broker: the device's own packets
    CLIENT = "client"  # on our own controller's connection to the broker


class Fate(StrEnum):
    """What the tap did with a packet."""

    FORWARDED = "forwarded"
    DROPPED = "dropped"  # not passed on
    INJECTED = "injected"  # made by the harness, not sent by the other side


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
    dut: str  # how the device was reached, as text: "simulated", "mqtt://…"
    seed: int
    tool_version: str
    wall_time: str  # RFC 3339, the only wall-clock time in a trace
    needs_met: tuple[str, ...]  # values of harness.model.requirement.BenchFeature that the bench offered
    faults: tuple[str, ...] = ()  # faults of a simulated device
    host: str | None = None  # the device's IP address, if known
    format: int = 1  # of the trace; FORMAT in those that are written now


@dataclass(frozen=True, slots=True)
class TogetherStarted:
    """First line of the trace of several devices on one bus; a RunStarted of each device follows.

    ``roles`` are the names that the events carry as their :attr:`Event.device`.
    """

    purpose: str  # "pair" or "scene"
    roles: tuple[str, ...]
    plan: str  # the scene as canonical JSON text; empty for a pair
    plan_path: str
    seed: int
    tool_version: str
    wall_time: str  # RFC 3339
    format: int = 1  # of the trace; FORMAT in those that are written now


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

    ``problem`` says why the stimulus could not be carried out, if so. ``harness_fault``: because of an
    error in the harness; ``beyond_bench``: because the bench lacks something.
    """

    check: str
    subject: str | None
    transport: str | None
    problem: str | None = None
    harness_fault: bool = False
    beyond_bench: bool = False


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """After a check, the device did not come back by itself within its own recovery time."""

    check: str
    subject: str | None
    transport: str | None
    waited_for: str  # what did not happen, for people
    seconds: float  # how long it was waited for


@dataclass(frozen=True, slots=True)
class Connection:
    """A TCP connection of the device (seen at the tap) or of our controller changed its state."""

    point: Point
    connection: int  # counts from 1 for each point
    change: ConnectionChange
    by: Direction  # FROM_DUT: by the device; TO_DUT: by the broker or the harness


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
    """One UDP datagram to or from the device's CoAP endpoint."""

    direction: Direction
    local: str  # our address and port, "127.0.0.1:40000"
    remote: str  # the device's
    raw: bytes


@dataclass(frozen=True, slots=True)
class MdnsPacket:
    """One mDNS packet on the link. ``unicast``: it was not sent to the group address."""

    direction: Direction
    source: str  # "192.0.2.7:5353"
    destination: str  # "224.0.0.251:5353", or our own address for a unicast answer
    raw: bytes
    unicast: bool = False


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """The harness connected to a TCP port of the device; ``answer`` is the response to ``sent``."""

    host: str
    port: int
    connected: bool
    sent: bytes = b""
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class SerialData:
    """Bytes on the serial line, as they came.

    ``line`` is the decoded text of the line that these bytes complete, without its ending; None if they
    complete none. The ``raw`` of all events together is exactly what went over the line.
    """

    direction: Direction
    raw: bytes
    line: str | None = None
    what: str | None = None  # the frame or message that they complete, as text for people


class PortChange(StrEnum):
    """What happened to the serial port."""

    OPENED = "opened"
    VANISHED = "vanished"  # unplugged, or its server is gone
    RETURNED = "returned"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SerialPort:
    """The serial port appeared or disappeared; ``detail`` is for people."""

    change: PortChange
    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class SerialAnswer:
    """The board's answer to a command of the harness, decoded.

    ``value`` is the reported value as JSON text; ``problem`` says what is wrong with the answer. The bytes
    are in the SerialData before it.
    """

    command: str  # of harness.model.bindings.serial.SerialCommand
    name: str | None = None  # the property or control
    value: str | None = None
    problem: str | None = None


class Refusal(StrEnum):
    """How the tap refuses the device's connections; the value of :attr:`Act.REFUSE`."""

    RESET = "reset"  # accepted and reset at once
    CONNACK = "connack"  # CONNECT answered by a refusing return code, then closed
    SILENT = "silent"  # accepted, and nothing sent
    KICK = "kick"  # a good CONNACK, then closed at once


class Act(StrEnum):
    """What the harness did to the device, besides sending packets."""

    WRITE = "write"  # a value was commanded over the network
    INVOKE = "invoke"  # an action was invoked over the network
    LOCAL = "local"  # a button, a sensor, the front panel
    START = "start"  # the device was started (power on)
    STOP = "stop"  # the device was stopped in order
    KILL = "kill"  # the device lost power or its network without warning
    DROP_LINK = "drop-link"  # the tap closed the device's connection
    REFUSE = "refuse"  # the tap refuses the device's connections
    ACCEPT = "accept"  # … and accepts them again
    WITHHOLD = "withhold"  # the tap holds back packets; ``name`` says which
    RELEASE = "release"  # … and forwards them again
    RESTART_BROKER = "restart-broker"
    DONE = "done"  # the act before it is over; it happened between the two events
    RAW = "raw"  # crafted bytes were sent; ``name`` says what
    AUTOMATE = "automate"  # the harness acts as the hub of the home; ``name`` is the automation
    REBOOT = "reboot"  # the device was commanded to reboot
    FACTORY_RESET = "factory-reset"  # the device was commanded to reset
    NETWORK_OFF = "network-off"  # the device was commanded to leave its network
    NETWORK_ON = "network-on"
    CONSOLE = "console"  # another command over the serial line; ``name`` is the command


@dataclass(frozen=True, slots=True)
class Stimulus:
    """A deliberate act of the harness. ``name`` is the affordance, ``value`` its canonical JSON text."""

    act: Act
    name: str | None = None
    value: str | None = None  # JSON text; None: no value
    transport: str | None = None
    legal: bool | None = None  # for WRITE: whether the profile allows the value


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait that a standard or the profile imposes, with its real duration."""

    seconds: float
    imposed_by: str
    what: str


@dataclass(frozen=True, slots=True)
class LoopLate:
    """The harness's own loop came to a timer this late: what happened meanwhile was noticed late, too."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Note:
    """A remark for the reader of the trace. Judges do not read notes."""

    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict of the run, so that judging again can be compared with it."""

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
    | DeviceLost
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
    | LoopLate
    | Note
    | Judged
)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a trace: ``line`` counts from 1, ``time`` is seconds since the start of the run.

    ``device`` is the role of the device if several share a run; None if there is only one, or for all of
    them.
    """

    line: int
    time: float
    body: Body
    device: str | None = None
