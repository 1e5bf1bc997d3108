"""What stock clients see of simulated devices: `harness simulate` is for other people's tools."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.running import PLUG, ROOT, command
from tests.conftest import needs
from tests.peers.avahi import avahi
from tests.peers.external_mosquitto import external_mosquitto
from tests.peers.namespaces import OURS, Link, needs_namespaces
from tests.peers.programs import Program, output, own_address

pytestmark = pytest.mark.peer

FRIDGE = ROOT / "profiles" / "refrigerator.yaml"


@contextlib.asynccontextmanager
async def simulated(profile: Path, *options: str | Path) -> AsyncIterator[tuple[Program, list[str]]]:
    """The device, and what to give to the clients of Mosquitto so that they find its broker."""
    async with Program(command("simulate", profile, "--host", own_address(), *options)) as device:
        await device.says("ready")
        found = re.search(r"mqtt://([^:]+):(\d+)", "\n".join(device.lines))
        yield device, ["-h", found[1], "-p", found[2]] if found else []


@needs("mosquitto_sub")
def test_mosquitto_sub_gets_availability_and_retained_states() -> None:
    async def main() -> dict[str, str]:
        async with simulated(PLUG) as (_, broker):
            # Exactly what a hub that starts after the device has to find.
            told = await output(
                *("mosquitto_sub", *broker, "-t", "plug-a4cf12/#", "-v"),
                *("--retained-only", "-C", "6", "-W", "10"),
            )
            return dict(line.split(" ", 1) for line in told.splitlines())

    kept = asyncio.run(main())
    assert kept.pop("plug-a4cf12/availability") == "online"
    assert kept.pop("plug-a4cf12/relay/state") == "ON"
    telemetry = json.loads(kept.pop("plug-a4cf12/telemetry"))
    assert telemetry.keys() == {"power", "voltage", "energy", "temperature"}
    assert kept == {
        "plug-a4cf12/config/overload_limit": "3680",
        "plug-a4cf12/led/brightness": "50",
        "plug-a4cf12/led/mode": "switch",
    }


@needs("mosquitto_sub")
def test_mosquitto_pub_commands_and_the_state_follows() -> None:
    async def main() -> None:
        async with (
            simulated(PLUG) as (_, broker),
            Program(["mosquitto_sub", *broker, "-t", "plug-a4cf12/relay/state"]) as seen,
        ):
            await seen.says("ON")
            await output("mosquitto_pub", *broker, "-t", "plug-a4cf12/relay/set", "-m", "OFF")
            await seen.says("OFF")

    asyncio.run(main())


@needs("mosquitto_sub")
def test_the_plug_says_that_it_is_offline_when_it_is_stopped(tmp_path: Path) -> None:
    async def main() -> None:
        async with external_mosquitto(tmp_path) as url:
            address = ["-h", own_address(), "-t", "plug-a4cf12/availability"]
            async with Program(["mosquitto_sub", *address]) as seen:
                async with simulated(PLUG, "--broker", url):
                    await seen.says("online")
                await seen.says("offline")

    asyncio.run(main())


def coap(*arguments: str) -> list[str]:
    """coap-client, giving up after ten seconds, with a line end after each payload."""
    return ["coap-client-notls", "-w", "-B", "10", *arguments]


@needs("coap-client-notls")
def test_coap_client_reads_writes_and_observes() -> None:
    async def main() -> None:
        base = f"coap://{own_address()}"
        async with simulated(FRIDGE):
            assert (await output(*coap(f"{base}/fridge/setpoint"))).strip() == "4"
            async with Program(coap("-s", "10", f"{base}/fridge/setpoint")) as observer:
                await observer.says("4")
                await output(*coap("-m", "put", "-t", "50", "-e", "6", f"{base}/fridge/setpoint"))
                await observer.says("6")
            refused = await output(*coap("-m", "put", "-t", "50", "-e", "60", f"{base}/fridge/setpoint"))
            assert refused.startswith("4.")
            assert (await output(*coap(f"{base}/fridge/setpoint"))).strip() == "6"
            assert (await output(*coap(f"{base}/nowhere"))).startswith("4.04")

    asyncio.run(main())


@needs("coap-client-notls")
def test_coap_client_finds_every_resource_and_fetches_a_large_one_block_by_block() -> None:
    async def main() -> tuple[str, str]:
        base = f"coap://{own_address()}"
        async with simulated(FRIDGE):
            return await output(*coap(f"{base}/.well-known/core")), await output(*coap(f"{base}/log"))

    links, log = asyncio.run(main())
    for path in ("/fridge/temperature", "/freezer/fast", "/events/door", "/log"):
        assert f"<{path}>" in links
    assert len(log) >= 3000


@needs_namespaces()
@needs("avahi-daemon")
@needs("avahi-browse")
@needs("dbus-daemon")
def test_avahi_finds_a_simulated_device_and_hears_it_leave(link: Link) -> None:
    async def main() -> None:
        async with avahi(link.theirs) as tools:
            browse = tools.tool_at_work("avahi-browse", "-k", "--resolve", "--parsable", "_http._tcp")
            device = Program(command("simulate", PLUG, "--host", OURS), inside=link.ours)
            async with browse as browser:
                async with device:
                    await device.says("ready")
                    found = (await browser.says("=;")).split(";")
                    assert found[1:6] == ["device", "IPv4", r"Smart\032plug\032a4cf12", "_http._tcp", "local"]
                    assert found[6:9] == ["plug-a4cf12.local", OURS, "80"]
                    for key in ("id=plug-a4cf12", "model=EP-16M", "fw=1.4.2", "path=/info"):
                        assert f'"{key}"' in found[9]
                    subtype = await tools.tool(
                        *("avahi-browse", "--parsable", "--terminate", "_plug._sub._http._tcp")
                    )
                    assert "Smart" in subtype
                    resolved = await tools.tool("avahi-resolve", "-4", "-n", "plug-a4cf12.local")
                    assert resolved.split() == ["plug-a4cf12.local", OURS]
                await browser.says("-;device;IPv4;Smart")

    asyncio.run(main())
