"""Simulated devices on their own: how they start, what they are made of, what is said about them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from harness.links.clock.loop import run
from harness.links.mqtt.paho_client import (
    PahoClient,
    ReceivedMessage,
)
from harness.model.loading.profiles import load_profile
from harness.model.loading.units import (
    load_units,
    numbered_units,
)
from harness.model.profile import Profile
from harness.patterns import expanded
from harness.session.setup.profile_overrides import (
    reporting_every,
    speaking_only,
)
from harness.session.simulation.fleet import (
    AT_ONCE,
    Simulation,
    simulate,
)
from harness.session.target import UsageError

PROFILES = Path(__file__).parents[3] / "profiles"
PLUG = PROFILES / "smart-plug.yaml"


def plugs(count: int) -> tuple[Profile, ...]:
    return tuple(speaking_only(each, ["mqtt"]) for each in load_units(PLUG, numbered_units("a", count)))


def with_simulation(
    simulation: Simulation, test: Callable[[list[str]], Coroutine[None, None, None]]
) -> list[str]:
    """Runs ``test`` beside the simulation, in virtual time; what was said to people meanwhile."""
    said: list[str] = []

    async def main() -> None:
        task = asyncio.create_task(simulate(simulation, said.append))
        try:
            await test(said)
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"

    run(main(), virtual=True)
    return said


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(600):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.25)


async def ready(said: list[str]) -> None:
    await until(lambda: "ready; stop with Ctrl-C" in said)


async def rates_told(said: list[str], count: int) -> None:
    await until(lambda: sum("sent" in line for line in said) == count)


def port_of(said: list[str]) -> int:
    return int(said[0].rpartition(":")[2])


@pytest.mark.parametrize(("herd", "expected"), [(False, AT_ONCE), (True, 30)])
def test_they_come_in_waves_unless_a_herd_is_asked_for(herd: bool, expected: int) -> None:
    """Seen by a broker that takes every connection and says nothing, so that nobody gets on."""

    async def main() -> None:
        connections = 0

        def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        task = asyncio.create_task(simulate(Simulation(plugs(30), broker=url, herd=herd), lambda _: None))
        await asyncio.sleep(3)  # less than a device waits for its answer
        probes = 1  # the look whether there is a broker at all
        assert connections - probes == expected
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        server.close()

    run(main(), virtual=True)


def test_a_few_devices_are_described_one_by_one() -> None:
    said = with_simulation(Simulation(plugs(3)), ready)
    assert len([line for line in said if "plug-a" in line]) == 3


def test_many_devices_are_summed_up() -> None:
    said = with_simulation(Simulation(plugs(30)), ready)
    assert not [line for line in said if "plug-a" in line]
    assert "30 × smart-plug" in said
    assert len(said) < 10


def test_the_rates_are_those_that_the_broker_sees() -> None:
    count, period, seconds = 25, 10.0, 60.0
    heard: list[str] = []

    async def test(said: list[str]) -> None:
        await ready(said)
        client = PahoClient("rates", on_message=note)
        await client.connect("127.0.0.1", port_of(said), timeout=5)
        await client.subscribe(("#", 0))
        await rates_told(said, 1)
        heard.clear()
        await rates_told(said, 2)
        await client.disconnect()

    def note(message: ReceivedMessage) -> None:
        if not message.retain:
            heard.append(message.topic)

    profiles = tuple(reporting_every(profile, period) for profile in plugs(count))
    said = with_simulation(Simulation(profiles, rates=seconds), test)
    line = next(line for line in reversed(said) if "sent" in line)
    assert f"{count}/{count} started" in line
    assert f"{count} connected" in line
    assert "lost 0  reconnected 0" in line
    rate = float(line.partition("sent ")[2].partition("/s")[0])
    assert rate == pytest.approx(len(heard) / seconds, rel=0.1)
    assert rate == pytest.approx(count * 5 / period, rel=0.1)  # each has five state topics


def test_devices_that_cannot_connect_say_why() -> None:
    async def main() -> list[str]:
        said: list[str] = []

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                if await reader.read(2):
                    writer.write(bytes([0x20, 2, 0, 5]))
                writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        task = asyncio.create_task(simulate(Simulation(plugs(2), broker=url, rates=30), said.append))
        await asyncio.sleep(100)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        server.close()
        return said

    said = run(main(), virtual=True)
    assert any("0/2 started" in line and "2 devices" in line and "not authorized" in line for line in said)


def test_only_some_transports() -> None:
    conditioner = load_profile(PROFILES / "air-conditioner.yaml")
    left = speaking_only(conditioner, ["mqtt"]).bindings
    assert left.mqtt == conditioner.bindings.mqtt
    assert left.coap is None
    assert left.mdns is None
    plug = load_profile(PLUG)
    assert speaking_only(plug, ["mqtt", "mdns"]) == plug
    with pytest.raises(UsageError, match=r"--only coap.*smart-plug has mqtt, mdns"):
        speaking_only(plug, ["coap"])


def test_a_sleeping_device_wakes_to_report() -> None:
    remote = reporting_every(load_profile(PROFILES / "remote-control.yaml"), 60)
    assert remote.bindings.mqtt is not None
    assert remote.bindings.mqtt.sleep is not None
    assert remote.bindings.mqtt.sleep.wakes_every == 60
    assert remote.behaviour.heartbeat is None


def test_patterns_become_the_files_that_they_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.yaml", "a.yaml", "c.txt", "[x].yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert expanded(["*.yaml"]) == ["[x].yaml", "a.yaml", "b.yaml"]
    assert expanded([str(tmp_path / "?.yaml")]) == [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    assert expanded(["[x].yaml", "missing*.yaml", "a.yaml", "a*"]) == ["[x].yaml", "missing*.yaml", "a.yaml"]
