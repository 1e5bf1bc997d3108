"""The simulated device as an MQTT client."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from random import Random
from typing import Any

from harness.links.mqtt.paho_client import (
    ClientWill,
    Connected,
    ConnectError,
    MqttError,
    PahoClient,
    ReceivedMessage,
)
from harness.links.mqtt.tap.tap import Tap
from harness.model.bindings.mqtt import MqttBinding
from harness.model.profile import Profile, RetainedCommandPolicy
from harness.simulate.firmware.core import (
    Change,
    Core,
    DeviceEvent,
    Reason,
    Refused,
)
from harness.simulate.firmware.payloads import PayloadError
from harness.simulate.firmware.values import default_value
from harness.simulate.mqtt.commands import (
    CommandReader,
    Invocation,
    RecentMessages,
    Write,
)
from harness.simulate.mqtt.deviations import (
    MqttDeviations,
    PacketFilter,
)
from harness.simulate.mqtt.heartbeat import Heartbeat
from harness.simulate.mqtt.interceptor import (
    announcing_keep_alive,
    filtered_tap,
)
from harness.simulate.mqtt.reports import (
    OutgoingMessage,
    ReportComposer,
)
from harness.simulate.mqtt.traffic import Traffic

ANSWER_WAIT = 4.0
"""Seconds to wait for CONNACK and for SUBACK before the attempt is abandoned."""

FAREWELL_WAIT = 1.0
"""Seconds to wait for the acknowledgement of the offline message."""

REFUSED = 0x80
"""SUBACK codes from here on are refusals."""


class SimulatedMqttClient:
    """Connects one device to its broker: reports, carries out commands, and reconnects after outages.

    ``login`` is the (user name, password) presented to the broker where the profile says that the device
    logs in. :attr:`problem` is the readable reason why the last connection attempt failed.
    """

    def __init__(
        self,
        profile: Profile,
        core: Core,
        *,
        broker: tuple[str, int],
        random: Random,
        login: tuple[str, str] | None = None,
    ) -> None:
        if profile.bindings.mqtt is None:
            raise ValueError(f"the profile {profile.profile} has no MQTT binding")
        self.deviations = MqttDeviations()
        # Faults on the wire: each turns one whole packet into those really sent.
        self.outgoing: list[PacketFilter] = []
        self.incoming: list[PacketFilter] = []
        self.problem: str | None = None
        self.broker = broker
        self.login = login
        self.traffic = Traffic()
        self._binding: MqttBinding = profile.bindings.mqtt
        self._profile = profile
        self._core = core
        self._random = random
        self._reports = ReportComposer(self._binding, core)
        self._commands = CommandReader(profile, self._binding)
        self._heartbeat = Heartbeat(random, self._repeat_states)
        self._client: PahoClient | None = None
        self._wire: Tap | None = None
        self._announcing: list[
            PacketFilter
        ] = []  # rewrites the keep-alive in CONNECT for a client that does not keep it
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()  # subscribed and reported on the present connection
        self._closed = asyncio.Event()  # the present connection has ended
        self._news = asyncio.Event()  # there is something to report
        self._sessions = 0  # since power-on
        self._dead = 0.0  # seconds that a crash lasts
        self._own: list[tuple[str, bytes]] = []  # its own reports that the broker delivers back
        self._recent = RecentMessages()
        core.on_change(self._note)
        core.on_event(self._note)

    def deviate(self, **deviations: Any) -> None:
        """Deviate from the standard or the profile in the given ways."""
        self.deviations = replace(self.deviations, **deviations)

    @property
    def ready(self) -> bool:
        """Whether the device is connected, subscribed, and has reported its state."""
        return self._ready.is_set()

    async def start(self) -> None:
        """Connects, and returns once the device is ready: subscribed and its state published."""
        self._sessions = 0
        self._client = None
        self._recent.clear()
        self._news.set()
        self._task = asyncio.create_task(self._live(), name=f"mqtt {self._binding.client_id}")
        await self._ready_or_over(self._task)

    async def stop(self) -> None:
        """Publishes the offline message and disconnects."""
        await self._end_task()
        if self._client is not None and self._client.connected:
            await self._leave(self._client)
        await self.kill()

    async def clear(self) -> None:
        """Clears its retained states, but not its availability."""
        if self._client is None or not self.ready:
            return
        kept = [report for report in self._reports.all_states() if report.retain]
        sent = [self._send(self._client, report.topic, b"", report.qos, True) for report in kept]
        with contextlib.suppress(MqttError, TimeoutError):
            async with asyncio.timeout(FAREWELL_WAIT):
                await asyncio.gather(*sent)

    async def kill(self) -> None:
        """Loses its power: the connection ends without DISCONNECT."""
        await self._end_task()
        self._heartbeat.stop()
        if self._client is not None:
            self._client.abort()
            self._client = None
        if self._wire is not None:
            await self._wire.stop()
            self._wire = None
        self._ready.clear()

    async def _ready_or_over(self, task: asyncio.Task[None]) -> None:
        waiting = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait((waiting, task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if task.done() and not task.cancelled() and task.exception() is not None:
            task.result()  # raises what ended it

    async def _end_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # Connecting and reconnecting

    async def _live(self) -> None:
        failures = attempts = 0  # attempts that failed since the last session
        held = True  # the last session was long enough to report everything
        while True:
            if self._binding.sleep is not None and held:
                await self._sleep(self._binding.sleep.wakes_every)
            lasted = await self._session()
            if lasted is None:
                failures, attempts, held = 0, 0, True
                continue  # it ended the session by itself, to sleep
            held = lasted >= self._binding.reconnect.first
            stable = held or not self.deviations.minds_short_sessions
            failures = 0 if lasted > 0 and stable else failures + 1
            attempts = 0 if lasted > 0 else attempts + 1
            limit = self.deviations.reconnects
            if limit is not None and self._sessions and attempts >= limit:
                return
            await asyncio.sleep(self._pause(failures))

    def _pause(self, failures: int) -> float:
        """Seconds before the next attempt: doubling with every failure, each device at its own moment."""
        if self._dead:
            dead, self._dead = self._dead, 0.0
            return dead
        reconnect = self._binding.reconnect
        longest = reconnect.first
        if self.deviations.backs_off:
            longest = min(reconnect.maximum, reconnect.first * 2.0 ** min(failures, 30))
        return longest * self._random.uniform(0.5, 1.0) if self.deviations.jitters else longest

    async def _session(self) -> float | None:
        """Runs one connection: returns the seconds it was ready, None if the device ended it to sleep."""
        loop = asyncio.get_running_loop()
        self._closed.clear()
        client = self._client = self._client or self._make_client()
        sessions = self._sessions
        try:
            await self._connect(client)
        except (MqttError, TimeoutError) as error:
            self.problem = str(error) or "the broker did not answer the subscription"
            client.abort()
            was_accepted = self._sessions > sessions
            return 1e-9 if was_accepted and not self.deviations.minds_short_sessions else 0.0
        if self._closed.is_set():
            return 0.0
        self._ready.set()
        self.traffic.note_ready()
        period = self._profile.behaviour.heartbeat
        self._heartbeat.start(period if self.deviations.heartbeat is None else self.deviations.heartbeat)
        began = loop.time()
        self._publish_news(states=False)
        if self._binding.sleep is not None and await self._stay_awake(self._binding.sleep.awake):
            await self._leave(client)
            return None
        if await self._stays(self.deviations.cycle):
            await self._leave(client)
        return max(loop.time() - began, 1e-9)

    async def _stays(self, seconds: float) -> bool:
        """Stays connected for that long, 0: for good. Returns whether the connection still stands then."""
        try:
            async with asyncio.timeout(seconds or None):
                await self._closed.wait()
        except TimeoutError:
            return True
        return False

    def _make_client(self) -> PahoClient:
        deviations, binding = self.deviations, self._binding
        announced = binding.keep_alive if deviations.keep_alive is None else deviations.keep_alive
        kept = min(65535, int(announced * deviations.ping_slowness)) if deviations.pings else 0
        self._announcing = [announcing_keep_alive(announced)] if kept != announced else []
        client = PahoClient(
            binding.client_id if deviations.client_id is None else deviations.client_id,
            protocol_level=binding.level,
            keep_alive=kept,
            clean_session=binding.clean_session,
            will=self._will(),
            manual_ack=not deviations.acknowledges,
            on_message=self._receive,
            on_closed=self._lost,
        )
        if binding.login and self.login is not None:
            client.username, client.password = self.login
        if not deviations.notices_half_open:
            client.ignore_missing_pong()
        return client

    def _will(self) -> ClientWill | None:
        availability, deviations = self._binding.availability, self.deviations
        if availability is None or not deviations.will:
            return None
        return ClientWill(
            availability.topic,
            availability.offline.encode(),
            availability.qos if deviations.will_qos is None else deviations.will_qos,
            availability.retain if deviations.will_retain is None else deviations.will_retain,
        )

    async def _connect(self, client: PahoClient) -> None:
        """Connects, subscribes, and reports: in this order, so that no answer to a report gets lost."""
        host, port = await self._next_hop()
        connected = await client.connect(host, port, timeout=ANSWER_WAIT)
        if connected.session_present and self._binding.clean_session:
            raise ConnectError("the broker resumed a session that the device did not ask for")
        if not connected.session_present:
            self._recent.clear()
        self._sessions += 1
        if not self.deviations.waits_for_suback:
            self._introduce(client)
        await self._subscribe(client, connected)
        if self.deviations.waits_for_suback:
            self._introduce(client)

    async def _subscribe(self, client: PahoClient, connected: Connected) -> None:
        deviations = self.deviations
        filters = self._commands.filters
        if deviations.obeys_own_state:
            filters += [(bound.state, 0) for bound in self._binding.properties.values()]
        if deviations.filters is not None:
            filters = [(text, 1) for text in deviations.filters]
        wanted = deviations.subscribes and (self._sessions == 1 or deviations.subscribes_again)
        if not filters or not wanted or (deviations.trusts_session and connected.session_present):
            return
        async with asyncio.timeout(ANSWER_WAIT):
            codes = await client.subscribe(*filters)
        refused = [text for (text, _), code in zip(filters, codes, strict=False) if code >= REFUSED]
        if refused and deviations.minds_refused_subscription:
            # Without its commands it would only seem to work. The will reports it offline.
            raise MqttError(f"the broker refused the subscription to {', '.join(refused)}")

    def _introduce(self, client: PahoClient) -> None:
        """Publishes its availability and states."""
        deviations, availability, again = self.deviations, self._binding.availability, self._sessions > 1
        if availability is not None and deviations.birth and (not again or deviations.birth_again):
            retain = availability.retain if deviations.birth_retain is None else deviations.birth_retain
            self._send(client, availability.topic, availability.online.encode(), availability.qos, retain)
        if deviations.publishes_state and (not again or deviations.publishes_state_again):
            for report in self._reports.all_states():
                self._publish(client, report)

    async def _leave(self, client: PahoClient) -> None:
        """Orderly disconnect: offline message, then DISCONNECT (the broker discards the will)."""
        self._ready.clear()
        self._heartbeat.stop()
        availability = self._binding.availability
        if availability is not None and self.deviations.says_offline:
            payload, qos = availability.offline.encode(), availability.qos
            told = self._send(client, availability.topic, payload, qos, availability.retain)
            with contextlib.suppress(MqttError, TimeoutError):
                async with asyncio.timeout(FAREWELL_WAIT):
                    await told
        if self.deviations.disconnects:
            await client.disconnect()
        else:
            client.abort()

    def _lost(self, reason: str) -> None:
        self.problem = reason
        self.traffic.note_lost()
        self._ready.clear()
        self._heartbeat.stop()
        self._closed.set()
        if not self.deviations.keeps_settings:
            for name, schema in self._profile.properties.items():
                self._core.command(name, default_value(schema))

    async def _next_hop(self) -> tuple[str, int]:
        """Where to connect: the broker, or the faulty wire before it if a fault needs one."""
        outgoing = [*self._announcing, *self.outgoing]
        if not outgoing and not self.incoming:
            return self.broker
        if self._wire is None:
            wire = filtered_tap(self.broker, outgoing, self.incoming)
            await wire.start()
            self._wire = wire
        return self._wire.address

    # Sleeping on a battery

    async def _sleep(self, wakes_every: float | None) -> None:
        """Returns when there is something to report, or when it is time to."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wakes_every):
                await self._news.wait()
        self._news.clear()

    async def _stay_awake(self, seconds: float) -> bool:
        """Stays until nothing was reported for that long; False if the connection ended before."""
        while not self._closed.is_set():
            self._news.clear()
            waits = [asyncio.create_task(event.wait()) for event in (self._news, self._closed)]
            try:
                done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if not done:
                return True
        return False

    # Reporting

    def _note(self, news: Change | DeviceEvent) -> None:
        """Takes news from the core; what has one cause is published together."""
        if isinstance(news, Change) and not news.changed and not self.deviations.confirms:
            return
        waiting = self._reports.waiting
        self._reports.add(news)
        if self._reports.waiting and not waiting:
            asyncio.get_running_loop().call_soon(self._publish_news)
        if self._reports.waiting:
            self._news.set()

    def _publish_news(self, *, states: bool = True) -> None:
        """Publishes what was noted; without ``states`` only the events."""
        if self.ready and self._client is not None:
            for report in self._reports.take():
                if not states and not report.is_event:
                    continue
                for _ in range(1 if report.is_event else self.deviations.repeats):
                    self._publish(self._client, report)
        elif self._binding.sleep is None:
            # The state is reported on the next connection anyway; an event told late would mislead.
            self._reports.take()

    def _repeat_states(self) -> None:
        """The heartbeat: how things stand, whether or not they changed."""
        if self.ready and self._client is not None and self.deviations.publishes_state:
            self._publish_news()  # first what changed, in the order in which it did
            for report in self._reports.all_states():
                self._publish(self._client, report)

    def _publish(self, client: PahoClient, report: OutgoingMessage) -> None:
        retain = self.deviations.event_retain if report.is_event else self.deviations.state_retain
        if self.deviations.obeys_own_state:
            self._own.append((report.topic, report.payload))
        self._send(
            client,
            report.topic,
            report.payload,
            report.qos if self.deviations.qos is None else self.deviations.qos,
            report.retain if retain is None else retain,
        )

    def _send(
        self, client: PahoClient, topic: str, payload: bytes, qos: int, retain: bool
    ) -> asyncio.Future[None]:
        self.traffic.sent += 1
        return client.publish(topic, payload, qos, retain)

    # Obeying

    def _receive(self, message: ReceivedMessage) -> None:
        self.traffic.received += 1
        too_large = len(message.payload) > self._binding.maximum_payload
        if too_large and self.deviations.large_crash:
            # In the receive buffer, before anything of the message is looked at.
            self._crash(self.deviations.large_crash)
            return
        repeated = self._recent.has(message) and not self.deviations.executes_duplicates
        if repeated or self._is_ghost(message) or (too_large and self.deviations.checks_size):
            return
        try:
            commands = self._commands_in(message)
        except PayloadError:
            if self.deviations.crash:
                self._crash(self.deviations.crash)
            return
        for command in commands:
            if isinstance(command, Write):
                self._write(command)
            else:
                self._core.invoke(command.name, command.input)

    def _commands_in(self, message: ReceivedMessage) -> list[Write | Invocation]:
        reader, topic, payload = self._commands, message.topic, message.payload
        commands = reader.read(topic, payload)
        if self.deviations.strict_members and not reader.knows_all_members(topic, payload):
            return []
        if self.deviations.replaces_missing:
            commands += reader.missing(topic, commands)
        if self.deviations.obeys_own_state and (topic, payload) in self._own:
            self._own.remove((topic, payload))
        elif self.deviations.obeys_own_state and not commands:
            commands += reader.read_state(topic, payload)
        return commands

    def _write(self, command: Write) -> None:
        answer = self._core.command(command.name, command.value)
        if not isinstance(answer, Refused) or answer.reason is Reason.WRONG_TYPE:
            return
        # Whoever asked sees by the state, told once more, that it stays as it is.
        self._note(Change(command.name, self._core.read(command.name), changed=False))

    def _is_ghost(self, message: ReceivedMessage) -> bool:
        """Whether it is an old command that the broker kept, which the device is not to obey."""
        obeys = self.deviations.obeys_retained
        if obeys is None:
            obeys = self._profile.behaviour.retained_command is RetainedCommandPolicy.APPLY
        return message.retain and not obeys

    def close_connection(self, reason: str) -> None:
        """Close the connection without DISCONNECT; it connects again as after any loss."""
        if self._client is not None:
            self._client.abort()
            self._lost(reason)

    def _crash(self, seconds: float) -> None:
        self._dead = seconds
        if self._client is not None:
            self._client.abort()
        self._lost("it crashed")
