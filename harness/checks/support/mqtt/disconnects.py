"""Losing the connection on purpose, and having the device back: stimuli that several checks share."""

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
HELD = 1.25  # times the first pause that a session has to last, so that the next one is no second attempt


async def force_disconnect(bench: Bench) -> bool:
    """Cut the connection of a settled session, and wait for the device. Returns whether it came back."""
    await connected(bench)
    await settled(bench)
    bench.tap.drop()
    return await wait_reconnected(bench)


async def ensure_loss(bench: Bench) -> None:
    """See to it that the trace has a forced loss after which the device came back."""
    cut = (event.line for event in bench.trace if is_act(event, Act.DROP_LINK))
    first = next(cut, None)
    if first is None or not any(is_accepted(event) for event in bench.trace[first:]):
        await force_disconnect(bench)


def is_act(event: Event, act: Act) -> bool:
    """Whether an event is this act of the harness."""
    return isinstance(event.body, Stimulus) and event.body.act is act


async def ensure_restart(bench: Bench) -> None:
    """See to it that the broker was restarted with all forgotten, and that the device came back."""
    restarts = (event.line for event in bench.trace if is_act(event, Act.RESTART_BROKER))
    first = next(restarts, None)
    if first is None or not any(is_accepted(event) for event in bench.trace[first:]):
        await connected(bench)
        await settled(bench)
        await bench.mqtt.restart_broker(wipe=True)
        await wait_reconnected(bench)


async def connected(bench: Bench) -> None:
    """See to it that the device is connected: a sleeping one is woken by operating it.

    One that stays away has its power cycled: what an earlier check brought it to is not for this one to
    judge. Raises CannotStimulateError when it cannot be woken.
    """
    if binding_of(bench.profile).sleep is not None and not await _woken(bench):
        await _power_cycled(bench)


async def _woken(bench: Bench) -> bool:
    """Operate a sleeping device, if it is not connected anyway. Returns whether it connected."""
    if bench.tap.connected:
        return True
    since = bench.mark()
    await wake(bench)
    return await _connects(bench, since)


async def _power_cycled(bench: Bench) -> None:
    """Cut the power of a device that does not connect when it is operated, and have it connect."""
    if bench.offers(BenchFeature.POWER):
        bench.note("the device does not connect when it is operated: its power is cycled")
        since = bench.mark()
        await bench.power.kill()
        await bench.power.start()
        if await _connects(bench, since):
            return
    raise StimulusError("the device did not connect when it was operated")


async def _connects(bench: Bench, since: int) -> bool:
    """Wait until a device that was woken or started has connected."""
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
    """Operate the device so that a sleeping one has something to tell."""
    control = telling_control(bench)
    if control is None:
        raise StimulusError("the device sleeps, and nothing here can wake it")
    await bench.local.operate(control)


def telling_control(bench: Bench) -> str | None:
    """A control whose operation is told over MQTT as an event; None when there is none to hand."""
    events = binding_of(bench.profile).events
    if not bench.offers(BenchFeature.LOCAL):
        return None
    for name, control in bench.profile.controls.items():
        if not control.unless and any(effect.event in events for effect in control.effects):
            return name
    return None


async def wait_reconnected(bench: Bench) -> bool:
    """Wait until the device is back after a loss. A sleeping one comes back when it is operated."""
    if binding_of(bench.profile).sleep is None:
        return await bench.ready()
    return await _woken(bench)


async def settled(bench: Bench) -> None:
    """Wait until the present session counts as one that held.

    A device may take one that ended sooner for a failed attempt, and make a longer pause after it.
    """
    bench.note("the session has to hold for a while first")
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
    """Whether a CONNACK lets the device in."""
    packet = tapped(event, Direction.TO_DUT, mqtt.PacketType.CONNACK)
    return isinstance(packet, mqtt.Connack) and packet.code == 0


def publishes(topic: str) -> Callable[[Event], bool]:
    """Tells whether an event is a PUBLISH of the device to ``topic``."""

    def published(event: Event) -> bool:
        packet = tapped(event, Direction.FROM_DUT, mqtt.PacketType.PUBLISH)
        return isinstance(packet, mqtt.Publish) and packet.topic == topic

    return published
