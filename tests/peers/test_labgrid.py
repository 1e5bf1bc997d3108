"""A board in a lab that labgrid looks after, with its own coordinator and exporter."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import serial

from harness.links.actuators import (
    ActuatorCommand,
    ActuatorError,
    Task,
)
from harness.links.labgrid.place import (
    LabgridError,
    LabgridPlace,
    LabgridTarget,
    PlacePower,
)
from tests.cli.running import ROOT, harness, start
from tests.conftest import needs
from tests.peers.labgrid_lab import PLACE, Lab, lab_in

HAS_LABGRID = importlib.util.find_spec("labgrid") is not None
PLUG = ROOT / "profiles" / "smart-plug.yaml"

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not HAS_LABGRID, reason="labgrid is not installed (pip install -e '.[lab]')"),
    needs("ser2net"),
]


def in_a_lab(folder: Path, test: Callable[[Lab], Awaitable[None]]) -> None:
    async def run() -> None:
        async with lab_in(folder) as lab:
            await test(lab)

    asyncio.run(run())


def place_of(lab: Lab, name: str = "main") -> LabgridPlace:
    return LabgridPlace(LabgridTarget(lab.environment, name, serial=True, power=True))


def said_back(url: str, text: bytes) -> bytes:
    with serial.serial_for_url(url, timeout=10) as port:
        port.write(text)
        return bytes(port.read(len(text)))


def test_the_place_gives_its_serial_port_and_its_power_and_is_free_afterwards(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        place = place_of(lab)
        found = await place.open()
        assert (found.place, found.power) == (PLACE, True)
        assert found.serial is not None and found.serial.startswith("rfc2217://127.0.0.1:")
        assert "-harness-" in await lab.holder()
        assert await asyncio.to_thread(said_back, found.serial, b"hello board\r\n") == b"hello board\r\n"
        power = PlacePower(place)
        for deed in (ActuatorCommand.POWER_OFF, ActuatorCommand.POWER_ON):
            assert "ExternalPowerDriver" in await power.perform(Task(deed, "conditioner"))
        assert lab.switched.read_text().split() == ["off", "on"]
        await place.close()
        assert await lab.holder() == "None"

    in_a_lab(tmp_path, test)


def test_a_place_that_somebody_has_is_not_taken_and_one_of_ones_own_is_left_to_its_owner(
    tmp_path: Path,
) -> None:
    async def test(lab: Lab) -> None:
        await lab.client("-p", PLACE, "acquire", user="anna")
        place = place_of(lab)
        with pytest.raises(LabgridError, match=f"{PLACE} is taken by .*/anna"):
            await place.open()
        await place.close()
        await lab.client("-p", PLACE, "release", user="anna")

        await lab.client("-p", PLACE, "acquire")
        holder = await lab.holder()
        place = place_of(lab)
        await place.open()
        await place.close()
        assert await lab.holder() == holder

    in_a_lab(tmp_path, test)


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        for name, told in (("nowhere", f"it knows {PLACE}"), ("other", "names no target other")):
            place = place_of(lab, name)
            with pytest.raises(LabgridError, match=told):
                await place.open()
            await place.close()
        text = lab.environment.read_text().replace("echo off", "false; exit 3; echo")
        lab.environment.write_text(text)
        place = place_of(lab)
        await place.open()
        with pytest.raises(ActuatorError, match=r"power off: ExternalPowerDriver: .*exit status 3"):
            await place.switch("off")
        await place.close()
        text = lab.environment.read_text().replace(lab.coordinator, "127.0.0.1:1")
        lab.environment.write_text(text)
        place = place_of(lab)
        with pytest.raises(LabgridError, match=r"no coordinator answers at 127\.0\.0\.1:1"):
            await place.open()
        await place.close()

    in_a_lab(tmp_path, test)


def test_resources_of_this_machine_need_no_coordinator(tmp_path: Path) -> None:
    environment = tmp_path / "environment.yaml"
    environment.write_text("targets: { main: { resources: { RawSerialPort: { port: /dev/ttyUSB7 } } } }\n")

    async def test() -> None:
        place = LabgridPlace(LabgridTarget(environment, "main", serial=True, power=False))
        found = await place.open()
        await place.close()
        assert (found.serial, found.power, found.place) == ("/dev/ttyUSB7", False, None)

    asyncio.run(test())


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_however_a_run_ends_the_place_can_be_taken_again(tmp_path: Path, blow: signal.Signals) -> None:
    """The run waits for a device that never connects, until it is stopped."""

    async def test(lab: Lab) -> None:
        options = ("--listen", "127.0.0.1:0", "--labgrid", lab.environment, "--report", tmp_path / "out")
        run = start("check", PLUG, *options)
        try:
            await lab.is_switched("on")  # not before has it all that it takes
            assert "-harness-" in await lab.holder()
            run.send_signal(blow)
            await asyncio.to_thread(run.communicate, timeout=60)
            await lab.is_free()
        finally:
            run.kill()
        place = place_of(lab)
        await place.open()
        await place.close()
        trace = (tmp_path / "out" / "trace.jsonl").read_text()
        assert f"the place {PLACE}, serial rfc2217://" in trace
        assert lab.switched.read_text().split()[0] == "on", "a board in a rack may be without power at first"

    in_a_lab(tmp_path, test)


def test_a_coordinator_that_is_gone_in_the_end_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with lab_in(tmp_path) as lab:
            place = place_of(lab)
            await place.open()
        with pytest.raises(LabgridError, match="releasing the place"):
            await place.close()

    asyncio.run(run())


def test_a_place_whose_run_was_killed_with_all_its_processes_is_taken_over(tmp_path: Path) -> None:
    async def test(lab: Lab) -> None:
        run = place_of(lab)
        await run.open()
        holder = await lab.holder()
        os.kill(int(holder.rpartition("-")[2]), signal.SIGKILL)
        with pytest.raises(ActuatorError):
            await run.switch("on")
        await run.close()
        assert await lab.holder() == holder, "nobody was left to release it"
        place = place_of(lab)
        await place.open()
        assert await lab.holder() != holder
        await place.close()
        assert await lab.holder() == "None"

    in_a_lab(tmp_path, test)


def test_a_target_that_is_not_in_the_environment_is_told_with_its_line(tmp_path: Path) -> None:
    environment = tmp_path / "environment.yaml"
    environment.write_text("# of the lab\ntargets:\n  main: { resources: {} }\n")
    done = harness(
        "check", PLUG, "--mqtt", "mqtt://127.0.0.1:1", "--labgrid", environment, "--target", "rack"
    )
    assert done.returncode == 2
    assert f"{environment}:2: targets: has no target with this name; found rack; allowed: main" in done.stderr
