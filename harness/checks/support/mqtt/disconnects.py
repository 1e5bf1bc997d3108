"""Forced disconnects and reconnections: stimuli that several checks share."""

from __future__ import annotations

from collections.abc import Callable

from harness.checks.bench import Bench, StimulusError
from harness.checks.support.mqtt.sessions import (
    is_loss,
    tapped,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.requirement import BenchFeature
from harness.trace.events import (
    Act,
    Connection,
    Direction,
    Event,
    Stimulus,
)
from harness.wire import mqtt

RECONNECT = "profile: bindings.mqtt.reconnect"
HELD = 1.25  # times the first pause; a session of this length counts as established


async def force_disconnect(bench: Bench) -> bool:
    """Cut the connection of a settled session and wait. Returns whether the device reconnected."""
    await connected(bench)
    await settled(bench)
    bench.tap.drop()
    return await wait_reconnected(bench)


async def ensure_loss(bench: Bench) -> None:
    """Make sure that the trace contains a forced disconnect and a reconnection."""
    cut = (event.line for event in bench.trace if is_act(event, Act.DROP_LINK))
    first = next(cut, None)
    if first is None or not any(is_accepted(event) for event in bench.trace[first:]):
        await force_disconnect(bench)


def is_act(event: Event, act: Act) -> bool:
    """Whether an event is this act of the harness."""
    return isinstance(event.body, Stimulus) and event.body.act is act


async def ensure_restart(bench: Bench) -> None:
    """Make sure that the broker was restarted without its data, and that the device reconnected."""
    restarts = (event.line for event in bench.trace if is_act(event, Act.RESTART_BROKER))
    first = next(restarts, None)
    if first is None or not any(is_accepted(event) for event in bench.trace[first:]):
        await connected(bench)
        await settled(bench)
        await bench.mqtt.restart_broker(wipe=True)
        await wait_reconnected(bench)


async def connected(bench: Bench) -> None:
    """Make sure that the device is connected; a sleeping device is woken by operating it.

    A device that does not connect is power-cycled: the effects of earlier checks are not judged here. Raises
    StimulusError if it cannot be woken.
    """
    if binding_of(bench.profile).sleep is not None and not await _woken(bench):
        await _power_cycled(bench)


async def _woken(bench: Bench) -> bool:
    """Operate a sleeping device unless it is connected. Returns whether it is connected."""
    if bench.tap.connected:
        return True
    since = bench.mark()
    await wake(bench)
    return await _connects(bench, since)


async def _power_cycled(bench: Bench) -> None:
    """Power-cycle a device that does not connect when it is operated."""
    if bench.offers(BenchFeature.POWER):
        bench.note("the device does not connect when operated; power-cycling it")
        since = bench.mark()
        await bench.power.kill()
        await bench.power.start()
        if await _connects(bench, since):
            return
    raise StimulusError("the device did not connect when it was operated")


async def _connects(bench: Bench, since: int) -> bool:
    """Wait until a woken or started device has connected."""
    behaviour = bench.profile.behaviour
    accepted = await bench.wait_for(
        is_accepted,
        within=behaviour.report_local + max(behaviour.boot, behaviour.reconnect),
        what="the device to wake and connect",
        since=since,
        imposed_by=RECONNECT,
    )
    return accepted is not None


async def wake(bench: Bench) -> None:
    """Operate a sleeping device so that it has something to report."""
    control = reporting_control(bench)
    if control is None:
        raise StimulusError("the device sleeps, and no operable control wakes it")
    await bench.local.operate(control)


def reporting_control(bench: Bench) -> str | None:
    """A control whose operation is reported over MQTT as an event; None if none can be operated."""
    events = binding_of(bench.profile).events
    if not bench.offers(BenchFeature.LOCAL):
        return None
    for name, control in bench.profile.controls.items():
        if not control.unless and any(effect.event in events for effect in control.effects):
            return name
    return None


async def wait_reconnected(bench: Bench) -> bool:
    """Wait until the device has reconnected. A sleeping device is woken by operating it."""
    if binding_of(bench.profile).sleep is None:
        return await bench.ready()
    return await _woken(bench)


async def settled(bench: Bench) -> None:
    """Wait until the present session counts as established.

    A device may treat a shorter session as a failed attempt, and pause longer after it.
    """
    bench.note("waiting until the session counts as established")
    now = bench.trace[-1].time
    began = max((event.time for event in bench.trace if is_accepted(event)), default=now)
    remaining = HELD * binding_of(bench.profile).reconnect.first - (now - began)
    if remaining > 0 and binding_of(bench.profile).sleep is None:
        await bench.watch_silence(remaining, imposed_by=RECONNECT, what="a session that does not end at once")


async def closed_by_device(
    bench: Bench, *, since: int, within: float, imposed_by: str | None = None
) -> Event | None:
    """Wait for the device to end its connection."""
    return await bench.wait_for(
        is_closed_by_device,
        within=within,
        since=since,
        imposed_by=imposed_by,
        what="the device to close its connection",
    )


def is_closed_by_device(event: Event) -> bool:
    """Whether the device ends a connection."""
    body = event.body
    return is_loss(event) and isinstance(body, Connection) and body.by is Direction.FROM_DUT


def is_accepted(event: Event) -> bool:
    """Whether an event is a CONNACK that accepts the device."""
    packet = tapped(event, Direction.TO_DUT, mqtt.PacketType.CONNACK)
    return isinstance(packet, mqtt.Connack) and packet.code == 0


def publishes(topic: str) -> Callable[[Event], bool]:
    """A predicate for a PUBLISH of the device to ``topic``."""

    def published(event: Event) -> bool:
        packet = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBLISH)
        return isinstance(packet, mqtt.Publish) and packet.topic == topic

    return published
