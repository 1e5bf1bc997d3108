"""Driver interfaces for stimuli, independent of the libraries behind them.

Implementations record everything in the trace. Each driver exists only if the bench offers the
:class:`~harness.model.requirement.BenchFeature` of the same name; a check that declares the need can rely on
it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.model.base import Value
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.trace.events import Act, Direction, Event, Refusal, TcpProbe
from harness.wire import (
    coap,
    mqtt,
)


class StimulusError(Exception):
    """The stimulus could not be carried out; the message says why. Ends ``inconclusive``."""


class BenchLimitationError(StimulusError):
    """This bench lacks what the check needs, whatever the device does. Ends ``not-applicable``."""


class Hold(Protocol):
    """Packets kept back by the tap."""

    def release(self) -> None:
        """Pass on what was kept back, in order, and stop keeping back."""

    def discard(self) -> None:
        """Discard what was kept back, and stop keeping back."""


class MqttDriver(Protocol):
    """Our own client on the device's broker (``BenchFeature.BROKER``)."""

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish through the broker. Returns when the broker has acknowledged it (QoS 0: when sent)."""

    async def subscribe(self, filter: str, qos: int = 2) -> None:
        """Subscribe our client to a further filter, besides everything below the device's base topic."""

    async def late_subscriber(self, filter: str, *, within: float = 2.0) -> int:
        """Connect one more client, subscribe, and disconnect when the broker has sent its retained messages.

        Its packets are in the trace (point CLIENT, a connection number of its own, which is returned).
        """

    async def restart_broker(self, *, wipe: bool) -> None:
        """Restart the broker (``BenchFeature.RESTART``); with ``wipe``, without what it has stored."""


class TapDriver(Protocol):
    """The point between device and broker (``BenchFeature.TAP``)."""

    def drop(self) -> None:
        """Cut the device's connection at once, as a lost network does; the broker sends the will."""

    def drop_unnoticed(self) -> Hold:
        """Cut only the device's side of its connection: for the broker, the device stays connected.

        When the hold is ended, either way, the broker's side is cut too, as if the keep-alive had run out.
        """

    def refuse(self, how: Refusal, code: int = 5) -> None:
        """Refuse the device's next connections until :meth:`accept`; ``code`` is for CONNACK."""

    def accept(self) -> None:
        """Accept the device's connections again."""

    def freeze(self) -> None:
        """Let the link go dead silently: bytes of both sides are swallowed, TCP stays open."""

    def thaw(self) -> None:
        """End :meth:`freeze`; the connection that was frozen is cut, because its stream has a gap."""

    def hold(self, wanted: Callable[[mqtt.Packet], bool], direction: Direction, what: str) -> Hold:
        """Keep back packets; ``what`` names them for the reader of the trace."""

    def inject(self, *raw: bytes, segments: Sequence[int] = (), what: str) -> Event:
        """Send crafted packets to the device on its present connection; returns the stimulus.

        ``segments`` are the sizes of the TCP segments to cut the bytes into; empty means one segment.
        Raises StimulusError when the device is not connected.
        """

    def next_packet_id(self) -> int:
        """A packet id that the broker is not using, for QoS 1 and 2 packets to be injected."""

    @property
    def connected(self) -> bool:
        """Whether the device has a connection through the tap now."""


class CoapEndpoint(Protocol):
    """A UDP socket of ours towards the device's CoAP port."""

    @property
    def local(self) -> str:
        """Our address and port, as they stand in the trace."""

    def send(self, raw: bytes, what: str | None = None) -> Event:
        """Send one datagram as it is. ``what`` says what is special about it, for the reader of the trace."""

    async def request(self, message: coap.Message, *, within: float | None = None) -> coap.Message | None:
        """Send a request and return its response (matched by token), or None when none came.

        CON requests are repeated per RFC 7252 4.2 until they are answered, separate responses are
        acknowledged. ``within`` defaults to what RFC 7252 gives an exchange, 93 s at most for CON; give a
        smaller one where the profile promises it.
        """

    async def receive(self, wanted: Callable[[coap.Message], bool], *, within: float) -> Event | None:
        """Wait for a datagram that ``wanted`` accepts and that came after the last call of send."""

    def acknowledge(self, notification: coap.Message) -> None:
        """Send the empty ACK for a CON message."""

    def reset(self, message: coap.Message) -> None:
        """Send RST for a CON or NON message."""

    @property
    def acknowledges(self) -> bool:
        """Whether incoming CON messages are acknowledged automatically (the default)."""

    @acknowledges.setter
    def acknowledges(self, value: bool) -> None: ...

    def close(self) -> None:
        """Close the socket; the port is not used again in this run."""


class CoapDriver(Protocol):
    """The device's CoAP server (``BenchFeature.COAP``)."""

    async def endpoint(self, remote: tuple[str, int] | None = None) -> CoapEndpoint:
        """A new endpoint of ours, with a port of its own; closed by the bench after the check.

        ``remote`` (host and port) is for another CoAP server of the device than that of the profile.
        """

    def next_mid(self) -> int:
        """A message id that this run has not used yet."""

    def next_token(self, length: int = 4) -> bytes:
        """A token that this run has not used yet."""


class MdnsDriver(Protocol):
    """Multicast DNS on the device's link (``BenchFeature.MDNS``). Every packet there is recorded."""

    def send(self, raw: bytes, what: str | None = None) -> Event:
        """Multicast a packet from port 5353."""

    def send_legacy(self, raw: bytes, what: str | None = None) -> Event:
        """Multicast a query from an ephemeral port, as a resolver that knows no mDNS does.

        Unicast answers to that port are recorded.
        """

    @property
    def address(self) -> str:
        """Our own IP address on the link."""


class OperatorDriver(Protocol):
    """Local operation of the device: buttons and sensors (``BenchFeature.LOCAL``)."""

    async def operate(self, control: str) -> None:
        """Operate a control of the profile: press the button, open the door."""

    async def sense(self, name: str, value: Value) -> None:
        """Make a sensor see ``value``."""

    async def attach(self, what: str, plugged_in: bool) -> None:
        """Plug something in or unplug it; ``NETWORK`` is the device's connection to its network."""


NETWORK = "network"
"""A cable, an antenna, the power of the access point: what is unplugged to take a device off its network."""


class PowerDriver(Protocol):
    """The device's power and orderly stop (``BenchFeature.POWER``)."""

    async def stop(self) -> None:
        """Stop the device in an orderly way, as its menu or a reboot does. Returns when it is down."""

    async def kill(self) -> None:
        """Cut its power."""

    async def start(self) -> None:
        """Switch it on. Returns at once; use :meth:`Bench.ready` to wait."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the board answered to a command; ``event`` is its :class:`~harness.trace.events.SerialAnswer`."""

    event: Event
    value: Value = None  # the value, where the command reads one
    problem: str | None = None  # why there is no good answer, for people

    @property
    def good(self) -> bool:
        """Whether the board carried out the command."""
        return self.problem is None


class SerialDriver(Protocol):
    """The device's serial line (``BenchFeature.SERIAL``). All its output is in the trace, as SerialData."""

    def knows(self, command: SerialCommand, name: str | None = None) -> bool:
        """Whether the profile declares that command, for that property or control if it needs one."""

    async def command(
        self,
        command: SerialCommand,
        name: str | None = None,
        value: Value = None,
        *,
        within: float | None = None,
    ) -> Answer:
        """Send a command to the board, and return its answer; ``name`` is the property or control.

        What changes the device is recorded as a stimulus (``Act.LOCAL``, ``REBOOT``, …). ``within``
        defaults to the answer time of the profile. Raises StimulusError when the profile declares no such
        command or the port is missing; :attr:`Answer.problem` says what is wrong with an answer.
        """

    async def send(self, raw: bytes, what: str) -> Event:
        """Send bytes as they are; ``what`` says what is special about them."""

    @property
    def present(self) -> bool:
        """Whether the port is present now; one that is unplugged may come back."""

    async def line(
        self, wanted: Callable[[str], bool], *, within: float, since: int | None = None
    ) -> Event | None:
        """Wait for a line of the console that ``wanted`` accepts; None when none came in time.

        Lines after ``since`` (:meth:`Bench.mark`) count too. See also
        :mod:`harness.model.bindings.serial_log`.
        """


class Bench(Protocol):
    """Everything that a stimulus can use."""

    profile: Profile
    random: random.Random  # seeded per check and subject

    @property
    def mqtt(self) -> MqttDriver:
        """Our client on the device's broker."""

    @property
    def tap(self) -> TapDriver:
        """The tap between device and broker."""

    @property
    def coap(self) -> CoapDriver:
        """The device's CoAP server."""

    @property
    def mdns(self) -> MdnsDriver:
        """Multicast DNS on the device's link."""

    @property
    def local(self) -> OperatorDriver:
        """Buttons and sensors of the device."""

    @property
    def power(self) -> PowerDriver:
        """The device's power."""

    @property
    def serial(self) -> SerialDriver:
        """The device's serial line."""

    def offers(self, need: BenchFeature) -> bool:
        """Whether this bench has that feature."""

    @property
    def host(self) -> str | None:
        """The device's IP address or host name, if known."""

    async def probe_tcp(self, host: str, port: int, send: bytes = b"", *, within: float) -> TcpProbe:
        """Connect to a TCP port, send, and take the first bytes that come back; all of it is recorded.

        Never raises for what the network or the device does.
        """

    @property
    def trace(self) -> Sequence[Event]:
        """Everything recorded so far in this run."""

    @property
    def now(self) -> float:
        """Seconds since the start of the run, as in the times of events."""

    def mark(self) -> int:
        """The present end of the trace, for ``since``."""

    def note(self, text: str) -> None:
        """Leave a remark for the reader of the trace."""

    def stimulus(
        self,
        act: Act,
        name: str | None = None,
        value: Value = None,
        *,
        transport: str | None = None,
        legal: bool | None = None,
    ) -> Event:
        """Record a deliberate act that no driver records by itself."""

    async def wait_for(
        self,
        wanted: Callable[[Event], bool],
        *,
        within: float,
        imposed_by: str | None = None,
        what: str = "",
        since: int | None = None,
    ) -> Event | None:
        """Wait for the event that decides. None when ``within`` seconds passed without it.

        Give ``imposed_by`` (a clause, or a key of the profile) where a standard or the profile sets how
        long this takes, whatever the speed of the device: the time is then booked as imposed.
        ``since`` (a :meth:`mark`) also looks at events that were recorded after the mark.
        """

    async def watch_silence(self, seconds: float, *, imposed_by: str, what: str) -> None:
        """Watch for ``seconds`` where the absence of something is the evidence, as a clause defines it."""

    async def write(self, name: str, value: Value, *, transport: str, legal: bool = True) -> Event:
        """Command a property through its binding; returns the stimulus event.

        Over MQTT the command is published with the declared QoS; over CoAP it is a CON PUT, and this
        returns after its response. The report is not awaited.
        """

    async def invoke(self, name: str, value: Value = None, *, transport: str) -> Event:
        """Invoke an action through its binding; returns the stimulus event."""

    async def watch(self) -> None:
        """For the rest of this check, observe every CoAP property that can be observed.

        Without it, CoAP properties are only read on request. Over MQTT all reports are seen anyway.
        """

    async def read(self, name: str, *, transport: str) -> Value:
        """The present value of a property: over CoAP a GET, over MQTT the last report.

        Raises StimulusError when the device reports none.
        """

    async def wait_for_report(
        self,
        name: str,
        wanted: Callable[[Value], bool],
        *,
        transport: str,
        within: float,
        since: int,
        imposed_by: str | None = None,
    ) -> Event | None:
        """Wait until the device reports a value of ``name`` that ``wanted`` accepts.

        Properties that CoAP does not observe are read again and again until then.
        """

    async def ready(self, *, within: float | None = None) -> bool:
        """Wait until the device is on all its transports: MQTT connected and subscribed, CoAP answering.

        ``within`` defaults to the profile's ``behaviour.boot`` or ``reconnect``, whichever is longer.
        """
