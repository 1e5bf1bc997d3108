"""Runs simulated devices for other tools: hubs, brokers, test benches."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.links.errors import LinkError, reason_of
from harness.links.mqtt.brokers.address import (
    BrokerAddress,
    BrokerError,
)
from harness.links.mqtt.brokers.broker import (
    Broker,
    EmbeddedBroker,
    broker_for,
)
from harness.links.mqtt.tap.tap import Tap
from harness.model.profile import Profile
from harness.session.bench.addresses import (
    SIMULATION,
    address_for,
)
from harness.session.setup.limits import allow_sockets
from harness.session.setup.profile_overrides import logging_in
from harness.session.simulation.rates import Rates
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import fault_named

MQTT_PORT = 1883
AT_ONCE = 20  # devices that start at the same time; ``herd`` starts all at once
FEW = 20  # up to this number, each device is described in a line of its own


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to simulate.

    ``host`` None gives every device a loopback address of its own. ``herd`` starts all at once, not in waves.
    ``serial`` gives each a console on a pseudo-terminal. ``rates``: seconds between lines of rates, or None.
    """

    profiles: tuple[Profile, ...]
    faults: tuple[str, ...] = ()
    broker: str | None = None
    ca: Path | None = None
    host: str | None = None
    seed: int = 1
    herd: bool = False
    serial: bool = False
    rates: float | None = None


async def simulate(simulation: Simulation, say: Callable[[str], None]) -> None:
    """Run the devices until SIGINT or SIGTERM, then stop them.

    ``say`` gets each line for the user. Raises BrokerError.
    """
    allow_sockets(sum(map(_sockets_of, simulation.profiles)))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        endpoint = await _broker(simulation, stack, say)
        devices = [_device(simulation, index, endpoint) for index in range(len(simulation.profiles))]
        for console in (device.console for device in devices):
            if console is not None:
                console.open()
                stack.callback(console.close)
        stack.push_async_callback(_stop, devices)
        rates = Rates(devices, simulation.rates or 0.0, say)
        started = partial(_started, rates, say if len(devices) <= FEW else None)
        starting = asyncio.create_task(_start(devices, len(devices) if simulation.herd else AT_ONCE, started))
        stopping = asyncio.create_task(stopped.wait())
        tasks = [starting, stopping]
        if simulation.rates:
            tasks.append(asyncio.create_task(rates.run()))
        stack.push_async_callback(_cancel, tasks)
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            if len(devices) > FEW:
                say(_summary(simulation.profiles))
            say("ready; stop with Ctrl-C")
            await stopping
        say("stopping")


async def _broker(
    simulation: Simulation, stack: contextlib.AsyncExitStack, say: Callable[[str], None]
) -> BrokerAddress | None:
    """Where the devices connect, without TLS; None if none of them uses MQTT."""
    if not any(profile.bindings.mqtt for profile in simulation.profiles):
        return None
    if simulation.broker is None:
        endpoint = (await _own_broker(stack)).endpoint
        say(f"broker (ours): mqtt://{endpoint.host}:{endpoint.port}")
        return endpoint
    broker = await stack.enter_async_context(broker_for(simulation.broker, ca=simulation.ca))
    endpoint = broker.endpoint
    say(f"broker: mqtt{'s' if endpoint.secure else ''}://{endpoint.host}:{endpoint.port}")
    if not endpoint.secure:
        return endpoint
    # The simulated devices use plain MQTT; a tap without recorder adds TLS.
    gateway = await stack.enter_async_context(Tap(endpoint, broker_tls=broker.tls))
    host, port = gateway.address
    return BrokerAddress(host, port, user=endpoint.user)


async def _own_broker(stack: contextlib.AsyncExitStack) -> Broker:
    """A broker of ours on the MQTT port if that is free, otherwise on any."""
    try:
        return await stack.enter_async_context(EmbeddedBroker(port=MQTT_PORT))
    except BrokerError:
        return await stack.enter_async_context(EmbeddedBroker())


def _device(simulation: Simulation, index: int, endpoint: BrokerAddress | None) -> SimulatedDevice:
    profile = simulation.profiles[index]
    user = endpoint.user if endpoint else None
    return SimulatedDevice(
        logging_in(profile) if user else profile,
        host=simulation.host or address_for(index, SIMULATION).device,
        broker=(endpoint.host, endpoint.port) if endpoint else None,
        login=(user.name, user.password) if user else None,
        seed=simulation.seed + index,
        faults=[fault_named(name) for name in simulation.faults],
        console=simulation.serial,
    )


async def _start(
    devices: Sequence[SimulatedDevice], at_once: int, started: Callable[[SimulatedDevice], None]
) -> None:
    """Start the devices in order, ``at_once`` at a time."""
    waiting = iter(devices)

    async def start_in_turn() -> None:
        for device in waiting:
            try:
                await device.start()
            except OSError as problem:
                name = f"{device.profile.profile} (unit {device.profile.unit})"
                text = f"{name} cannot start on {device.host}: {reason_of(problem)}"
                raise LinkError(text) from problem
            started(device)

    await asyncio.gather(*(start_in_turn() for _ in range(min(at_once, len(devices)))))


def _started(rates: Rates, say: Callable[[str], None] | None, device: SimulatedDevice) -> None:
    rates.started()
    if say is not None:
        say(_description(device))


def _sockets_of(profile: Profile) -> int:
    """Most sockets of a device; with mDNS comes a web server with its clients."""
    bindings = profile.bindings
    return 2 * bool(bindings.mqtt) + bool(bindings.coap) + 4 * bool(bindings.mdns) + 2 * bool(bindings.serial)


def _summary(profiles: Sequence[Profile]) -> str:
    """One line for many devices."""
    kinds = Counter(profile.profile for profile in profiles)
    return ", ".join(f"{number} × {kind}" for kind, number in kinds.items())


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _stop(devices: Sequence[SimulatedDevice]) -> None:
    await asyncio.gather(*(device.stop() for device in devices), return_exceptions=True)


def _description(device: SimulatedDevice) -> str:
    """One line: how the device can be reached."""
    bindings = device.profile.bindings
    parts = []
    if bindings.mqtt and device.mqtt:
        parts.append(f"mqtt {bindings.mqtt.base}/#")
    if device.coap_address:
        parts.append(f"coap://{device.coap_address[0]}:{device.coap_address[1]}")
    if bindings.mdns:
        parts += [
            f'mdns "{service.instance}" {service.type} port {device.port_of(service)}'
            for service in bindings.mdns.services
        ]
    if device.console is not None:
        parts.append(f"serial {device.console.name}")
    return f"{device.profile.profile} (unit {device.profile.unit}): {'; '.join(parts)}"
