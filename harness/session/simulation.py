"""Simulated devices on their own, for other people's tools: hubs, brokers, test benches."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.links.broker import Broker, EmbeddedBroker, broker_for
from harness.links.endpoint import BrokerError, Endpoint
from harness.links.tap import Tap
from harness.model.profile import Profile
from harness.session.addresses import SIMULATION, address_for
from harness.session.target import logging_in
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import fault_named

MQTT_PORT = 1883
AT_ONCE = 20  # devices that start at the same time: a herd at the door is a test of its own


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to simulate. ``host`` None gives every device a loopback address of its own."""

    profiles: tuple[Profile, ...]
    faults: tuple[str, ...] = ()
    broker: str | None = None
    ca: Path | None = None
    host: str | None = None
    seed: int = 1


async def simulate(simulation: Simulation, say: Callable[[str], None]) -> None:
    """Run the devices until the process is told to stop (SIGINT, SIGTERM), then stop them in order.

    ``say`` gets a line for everything that people want to know. Raises BrokerError.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        endpoint = await _broker(simulation, stack, say)
        devices = [_device(simulation, index, endpoint) for index in range(len(simulation.profiles))]
        stack.push_async_callback(_stop, devices)
        starting = asyncio.create_task(_start(devices, say))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            say("ready; stop with Ctrl-C")
            await stopping
        starting.cancel()
        say("stopping")


async def _broker(
    simulation: Simulation, stack: contextlib.AsyncExitStack, say: Callable[[str], None]
) -> Endpoint | None:
    """Where the devices connect, without TLS; None when none of them speaks MQTT."""
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
    # The simulated devices speak plain MQTT; a tap that records nothing wraps it in TLS.
    gateway = await stack.enter_async_context(Tap(endpoint, broker_tls=broker.tls))
    host, port = gateway.address
    return Endpoint(host, port, user=endpoint.user)


async def _own_broker(stack: contextlib.AsyncExitStack) -> Broker:
    """On MQTT's own port where that is free, otherwise on any."""
    try:
        return await stack.enter_async_context(EmbeddedBroker(port=MQTT_PORT))
    except BrokerError:
        return await stack.enter_async_context(EmbeddedBroker())


def _device(simulation: Simulation, index: int, endpoint: Endpoint | None) -> SimulatedDevice:
    profile = simulation.profiles[index]
    user = endpoint.user if endpoint else None
    return SimulatedDevice(
        logging_in(profile) if user else profile,
        host=simulation.host or address_for(index, SIMULATION).device,
        broker=(endpoint.host, endpoint.port) if endpoint else None,
        login=(user.name, user.password) if user else None,
        seed=simulation.seed + index,
        faults=[fault_named(name) for name in simulation.faults],
    )


async def _start(devices: Sequence[SimulatedDevice], say: Callable[[str], None]) -> None:
    turn = asyncio.Semaphore(AT_ONCE)

    async def start(device: SimulatedDevice) -> None:
        async with turn:
            await device.start()
            say(_description(device))

    await asyncio.gather(*(start(device) for device in devices))


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
    return f"{device.profile.profile} (unit {device.profile.unit}): {'; '.join(parts)}"
