"""A serial line that is a trouble: what still works, and what is said about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from harness.links.clock.loop import run
from harness.links.serial.link import (
    SerialError,
    SerialLink,
)
from harness.model.bindings.serial import SerialCommand as Command
from harness.model.loading.profiles import load_profile
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import fault_named
from harness.simulate.faults.serial.line import misread
from harness.trace.recorder import Recorder
from harness.wire.serial.lines import Quality
from tests.unit.links.serial_peers import changes, lines_of

KINDS = ["air-conditioner", "smart-plug", "refrigerator"]  # a text console, frames, Modbus RTU
SENSORS = {"air-conditioner": "energy", "smart-plug": "voltage", "refrigerator": "fridge_temperature"}

Act = Callable[[SimulatedDevice, SerialLink, Recorder], Awaitable[None]]


def with_fault(path: Path, fault: str, act: Act) -> None:
    async def main() -> None:
        profile = load_profile(path)
        assert fault_named(fault).applies(profile)
        recorder = Recorder(asyncio.get_running_loop().time)
        device = SimulatedDevice(profile, host="127.0.0.78", console=True, faults=[fault_named(fault)])
        assert device.console is not None
        device.console.open()
        link = SerialLink(recorder, device.console.name, profile)
        await link.start()
        await device.start()
        try:
            await act(device, link, recorder)
        finally:
            await device.stop()
            await link.close()
            device.console.close()

    run(main(), virtual=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["console-noise", "console-half-lines"])
def test_commands_get_through(profiles: Path, kind: str, fault: str) -> None:
    async def act(device: SimulatedDevice, link: SerialLink, recorder: Recorder) -> None:
        for _ in range(50):
            reply = await link.command(Command.READ_STATE, SENSORS[kind])
            assert reply.problem is None
            assert reply.value == device.core.truth(SENSORS[kind])

    with_fault(profiles / f"{kind}.yaml", fault, act)


@pytest.mark.parametrize("fault", ["console-line-feeds", "console-floods"])
def test_commands_get_through_on_a_text_console(profiles: Path, fault: str) -> None:
    async def act(device: SimulatedDevice, link: SerialLink, recorder: Recorder) -> None:
        for _ in range(20):
            assert (await link.command(Command.READ_STATE, "energy")).problem is None
            await asyncio.sleep(0.1)
        if fault == "console-floods":
            assert sum("sched: tick" in line for line in lines_of(recorder)) > 1000

    with_fault(profiles / "air-conditioner.yaml", fault, act)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mute_line_is_told(profiles: Path, kind: str) -> None:
    async def act(device: SimulatedDevice, link: SerialLink, recorder: Recorder) -> None:
        reply = await link.command(Command.READ_STATE, SENSORS[kind])
        assert reply.problem is not None
        assert reply.problem.startswith("no answer within")

    with_fault(profiles / f"{kind}.yaml", "console-mute", act)


@pytest.mark.parametrize("kind", ["smart-plug", "refrigerator"])
def test_frames_with_a_wrong_checksum_are_no_answers(profiles: Path, kind: str) -> None:
    async def act(device: SimulatedDevice, link: SerialLink, recorder: Recorder) -> None:
        for _ in range(3):
            reply = await link.command(Command.READ_STATE, SENSORS[kind])
            assert reply.value is None
            assert reply.problem is not None
        assert link.complaint is not None

    with_fault(profiles / f"{kind}.yaml", "console-wrong-checksum", act)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_baud_rate_is_recognised(profiles: Path, kind: str) -> None:
    async def act(device: SimulatedDevice, link: SerialLink, recorder: Recorder) -> None:
        for _ in range(8):
            reply = await link.command(Command.READ_STATE, SENSORS[kind])
        assert reply.problem is not None
        assert device.profile.bindings.serial is not None
        assert f"{device.profile.bindings.serial.line.baud_rate} bits/s" in reply.problem

    with_fault(profiles / f"{kind}.yaml", "console-wrong-baud", act)


def test_a_cable_that_is_pulled_again_and_again(profiles: Path) -> None:
    async def act(device: SimulatedDevice, link: SerialLink, recorder: Recorder) -> None:
        answered = 0
        for _ in range(60):
            try:
                answered += (await link.command(Command.READ_STATE, "energy")).problem is None
            except SerialError as problem:
                assert "is gone" in str(problem)
            await asyncio.sleep(0.5)
        assert answered > 30
        assert changes(recorder).count("vanished") >= 4
        assert changes(recorder).count("returned") >= 4

    with_fault(profiles / "air-conditioner.yaml", "cable-vanishes", act)


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.6, 0.75, 1.5, 2.0, 3.0])
def test_text_at_another_speed_is_no_text(speed: float) -> None:
    text = b"I (311) cpu_start: Starting scheduler on PRO CPU.\r\napp: ready\r\n" * 10
    quality = Quality()
    quality.feed(misread(text, speed))
    assert quality.is_bad


def test_text_at_its_own_speed_is_text() -> None:
    text = b"I (311) cpu_start: Starting scheduler on PRO CPU.\r\napp: ready\r\n"
    assert misread(text, 1.0) == text
    assert misread(text, 1.02) == text  # a crystal may be that wrong
