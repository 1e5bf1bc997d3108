import asyncio
from pathlib import Path

import pytest

from harness.links.clock import loop as clock
from harness.links.mqtt.brokers.broker import EmbeddedBroker
from harness.links.mqtt.paho_client import (
    PahoClient,
    ReceivedMessage,
)
from harness.model.loading.profiles import load_profile
from harness.simulate.device import SimulatedDevice

PROFILES = Path(__file__).parents[3] / "profiles"
SHIPPED = sorted(path.stem for path in PROFILES.glob("*.yaml"))
HOST = "127.9.5.1"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_device_comes_goes_and_comes_back(name: str) -> None:
    profile = load_profile(PROFILES / f"{name}.yaml", unit="0A1B2C")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with EmbeddedBroker() as broker:
            device = SimulatedDevice(profile, host=HOST, broker=(broker.endpoint.host, broker.endpoint.port))
            for end in (device.stop, device.kill, device.stop):
                began = loop.time()
                async with asyncio.timeout(20):
                    await device.start()
                assert loop.time() - began <= profile.behaviour.boot
                assert device.core.powered
                assert device.mqtt is None or device.mqtt.ready
                assert (device.coap_address is None) == (profile.bindings.coap is None)
                await end()
                assert not device.core.powered
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"

    clock.run(main(), virtual=True)


def test_what_is_announced_is_what_is_served() -> None:
    profile = load_profile(PROFILES / "smart-plug.yaml")

    async def main() -> None:
        device = SimulatedDevice(profile, host=HOST)
        await device.start()
        mdns = profile.bindings.mdns
        assert mdns is not None
        assert device.port_of(mdns.services[0]) == device.http_port
        reader, writer = await asyncio.open_connection(HOST, device.http_port)
        writer.write(b"GET /info HTTP/1.1\r\nHost: plug\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await device.stop()

    asyncio.run(main())


def test_the_same_seed_gives_the_same_life() -> None:
    profile = load_profile(PROFILES / "smart-plug.yaml")

    async def attempts(seed: int) -> list[float]:
        """When the device tries to reach a broker that is not there."""
        loop = asyncio.get_running_loop()
        times: list[float] = []

        async def turn_away(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            times.append(round(loop.time() - began, 3))
            writer.close()

        async with await asyncio.start_server(turn_away, "127.0.0.1", 0) as server:
            device = SimulatedDevice(profile, broker=server.sockets[0].getsockname()[:2], seed=seed)
            device.core.power_on()
            assert device.mqtt is not None
            began = loop.time()
            starting = asyncio.create_task(device.mqtt.start())
            await asyncio.sleep(60)
            starting.cancel()
            await device.kill()
        return times

    first, again, other = (clock.run(attempts(seed), virtual=True) for seed in (1, 1, 2))
    assert len(first) > 3
    assert first == again
    assert first != other


def test_two_devices_of_one_kind_live_side_by_side() -> None:
    heard: dict[str, bytes] = {}

    def hear(message: ReceivedMessage) -> None:
        heard[message.topic] = message.payload

    async def main() -> None:
        async with EmbeddedBroker() as broker:
            endpoint = broker.endpoint
            controller = PahoClient("controller", on_message=hear)
            await controller.connect(endpoint.host, endpoint.port, timeout=5)
            await controller.subscribe(("#", 1))
            devices = [
                SimulatedDevice(
                    load_profile(PROFILES / "air-conditioner.yaml", unit=unit),
                    host=f"127.9.5.{number}",
                    broker=(endpoint.host, endpoint.port),
                    seed=number,
                )
                for number, unit in enumerate(("aaa", "bbb"), 1)
            ]
            await asyncio.gather(*(device.start() for device in devices))
            await controller.publish("ac-bbb/climate/mode/command", b"fan_only", 1)
            await asyncio.sleep(1)
            assert heard["ac-aaa/climate/mode/state"] == b"cool"
            assert heard["ac-bbb/climate/mode/state"] == b"fan_only"
            assert [device.core.read("compressor") for device in devices] == [True, False]
            await asyncio.gather(*(device.stop() for device in devices))
            assert heard["ac-aaa/status"] == heard["ac-bbb/status"] == b"offline"
            await controller.disconnect()

    clock.run(main(), virtual=True)
