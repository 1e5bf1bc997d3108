"""Simulated boards on their serial lines: each kind of protocol, the same commands, one state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.links.clock.loop import run
from harness.links.serial.link import SerialLink
from harness.model.bindings.serial import ChecksumKind, CrashKind
from harness.model.bindings.serial import SerialCommand as Command
from harness.model.bindings.serial_log import (
    crash_in,
    tells_boot,
    tells_ready,
)
from harness.model.loading.profiles import load_profile
from harness.model.profile import Profile
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import fault_named
from harness.simulate.firmware.example_text import example_of
from harness.trace.recorder import Recorder
from harness.wire.serial.checksums import value_of
from harness.wire.serial.frames import (
    Frame,
    FrameCodec,
)
from tests.unit.links.serial_peers import lines_of

KINDS = ["air-conditioner", "smart-plug", "refrigerator"]  # a text console, frames, Modbus RTU


class Desk:
    """A board on the desk, with its cable plugged in."""

    def __init__(self, device: SimulatedDevice, link: SerialLink, recorder: Recorder) -> None:
        self.device = device
        self.link = link
        self.recorder = recorder
        assert device.profile.bindings.serial is not None
        self.binding = device.profile.bindings.serial
        self.knows = self.binding.knows

    async def done(self, command: Command, name: str | None = None, value: object = None) -> object:
        """Tell it something; it has to do it."""
        reply = await self.link.command(command, name, value)
        assert reply.problem is None, reply
        return reply.value

    async def said(self, tells: Callable[..., object], since: int) -> None:
        """Wait until it has said such a line."""
        found = await self.link.line(lambda text: bool(tells(self.binding, text)), within=1, since=since)
        assert found is not None, lines_of(self.recorder)


@asynccontextmanager
async def desk(path: Path) -> AsyncIterator[Desk]:
    profile = load_profile(path)
    recorder = Recorder(asyncio.get_running_loop().time)
    device = SimulatedDevice(profile, host="127.0.0.77", console=True)
    assert device.console is not None
    device.console.open()
    link = SerialLink(recorder, device.console.name, profile)
    await link.start()
    await device.start()
    try:
        yield Desk(device, link, recorder)
    finally:
        await device.stop()
        await link.close()
        device.console.close()


def on_desk(path: Path, act: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        async with desk(path) as the_desk:
            await act(the_desk)

    run(main(), virtual=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_board_tells_what_each_property_really_is(profiles: Path, kind: str) -> None:
    async def act(desk: Desk) -> None:
        names = [name for name in desk.device.profile.properties if desk.knows(Command.READ_STATE, name)]
        assert len(names) == len(desk.device.profile.properties)
        for name in names:
            assert await desk.done(Command.READ_STATE, name) == desk.device.core.truth(name)

    on_desk(profiles / f"{kind}.yaml", act)


WRITES = {
    "air-conditioner": [("target_temperature", 21.5), ("fan_speed", "low"), ("power", False)],
    "smart-plug": [("overload_limit", 500), ("led_mode", "off"), ("relay", False)],
    "refrigerator": [("freezer_setpoint", -20), ("fast_freeze", True)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_there_is_the_state_everywhere(profiles: Path, kind: str) -> None:
    async def act(desk: Desk) -> None:
        for name, value in WRITES[kind]:
            await desk.done(Command.WRITE_PROPERTY, name, value)
            assert desk.device.core.read(name) == value
            assert await desk.done(Command.READ_STATE, name) == value

    on_desk(profiles / f"{kind}.yaml", act)


def test_a_value_that_does_not_fit_into_a_frame_loses_what_is_too_much(profiles: Path) -> None:
    """As in a microcontroller: firmware that checks no range tells nonsense, and lives."""

    async def act(desk: Desk) -> None:
        fault_named("range-unchecked").apply(desk.device)
        desk.device.core.command("led_brightness", -1)
        assert await desk.done(Command.READ_STATE, "led_brightness") == 2**32 - 1

    on_desk(profiles / "smart-plug.yaml", act)


MEASURED = {"air-conditioner": "room_temperature", "smart-plug": "power", "refrigerator": "filter_life"}


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_reads_a_property_asks_the_board_for_nothing_else(profiles: Path, kind: str) -> None:
    """A board that loses memory whenever it is asked for that would have none left when it is watched."""

    async def act(desk: Desk) -> None:
        fault_named("memory-leaks").apply(desk.device)
        before = await desk.done(Command.MEMORY)
        for _ in range(10):
            await desk.done(Command.READ_STATE, MEASURED[kind])
        after = await desk.done(Command.MEMORY)
        assert isinstance(before, int) and isinstance(after, int)
        assert before - after < 2 * 4096

    on_desk(profiles / f"{kind}.yaml", act)


@pytest.mark.parametrize(("kind", "name", "value"), [("air-conditioner", "mode", "hover")])
def test_the_harness_cannot_type_what_the_console_has_no_word_for(
    profiles: Path, kind: str, name: str, value: object
) -> None:
    async def act(desk: Desk) -> None:
        with pytest.raises(Exception, match="no console text for"):
            await desk.link.command(Command.WRITE_PROPERTY, name, value)

    on_desk(profiles / f"{kind}.yaml", act)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [("air-conditioner", "target_temperature", 99), ("refrigerator", "freezer_setpoint", 9)],
)
def test_what_is_out_of_range_is_refused(profiles: Path, kind: str, name: str, value: object) -> None:
    async def act(desk: Desk) -> None:
        before = desk.device.core.truth(name)
        reply = await desk.link.command(Command.WRITE_PROPERTY, name, value)
        assert reply.problem is not None
        assert "refused" in reply.problem
        assert desk.device.core.truth(name) == before

    on_desk(profiles / f"{kind}.yaml", act)


@pytest.mark.parametrize(
    ("kind", "control", "name"),
    [
        ("air-conditioner", "panel_power", "power"),
        ("smart-plug", "button", "relay"),
        ("refrigerator", "fast_freeze_key", "fast_freeze"),
    ],
)
def test_a_key_is_pressed(profiles: Path, kind: str, control: str, name: str) -> None:
    async def act(desk: Desk) -> None:
        before = desk.device.core.truth(name)
        await desk.done(Command.PRESS_BUTTON, control)
        assert desk.device.core.truth(name) is not before

    on_desk(profiles / f"{kind}.yaml", act)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("air-conditioner", "room_temperature", 31.4),
        ("smart-plug", "power", 1234.5),
        ("refrigerator", "freezer_temperature", -21.7),
    ],
)
def test_a_sensor_sees_what_it_is_told(profiles: Path, kind: str, name: str, value: float) -> None:
    async def act(desk: Desk) -> None:
        await desk.done(Command.INJECT_SENSOR, name, value)
        assert desk.device.core.truth(name) == value
        assert await desk.done(Command.READ_STATE, name) == value

    on_desk(profiles / f"{kind}.yaml", act)


@pytest.mark.parametrize("kind", KINDS)
def test_a_factory_reset_forgets_what_was_set(profiles: Path, kind: str) -> None:
    async def act(desk: Desk) -> None:
        name, value = WRITES[kind][0]
        new = desk.device.core.truth(name)
        await desk.done(Command.WRITE_PROPERTY, name, value)
        await desk.done(Command.FACTORY_RESET)
        await asyncio.sleep(2)
        assert await desk.done(Command.READ_STATE, name) == new
        if desk.knows(Command.CREDENTIALS):
            assert await desk.done(Command.CREDENTIALS) == "none"
            await desk.done(Command.PROVISION)
            assert await desk.done(Command.CREDENTIALS) != "none"

    on_desk(profiles / f"{kind}.yaml", act)


@pytest.mark.parametrize("kind", KINDS)
def test_it_tells_its_firmware_and_its_memory(profiles: Path, kind: str) -> None:
    async def act(desk: Desk) -> None:
        assert await desk.done(Command.FIRMWARE_VERSION) == desk.device.profile.firmware
        memory = await desk.done(Command.MEMORY)
        assert isinstance(memory, int)
        assert 100_000 < memory < 200_000

    on_desk(profiles / f"{kind}.yaml", act)


def test_the_clock_is_set_and_goes_on(profiles: Path) -> None:
    async def act(desk: Desk) -> None:
        await desk.done(Command.SET_CLOCK, None, 1_700_000_000)
        await asyncio.sleep(100)
        assert await desk.done(Command.READ_CLOCK) == 1_700_000_100

    on_desk(profiles / "air-conditioner.yaml", act)


def test_it_says_when_it_boots_and_when_it_is_ready(profiles: Path) -> None:
    async def act(desk: Desk) -> None:
        await desk.said(tells_boot, 0)
        await desk.said(tells_ready, 0)
        since = len(desk.recorder.events)
        await desk.done(Command.REBOOT)
        await desk.said(tells_boot, since)
        await desk.said(tells_ready, since)

    on_desk(profiles / "air-conditioner.yaml", act)


@pytest.mark.parametrize("kind", ["air-conditioner", "smart-plug"])  # there is no log on a Modbus line
@pytest.mark.parametrize("crash", list(CrashKind))
def test_a_crash_is_seen_and_the_board_comes_back(profiles: Path, kind: str, crash: CrashKind) -> None:
    async def act(desk: Desk) -> None:
        assert not any(crash_in(desk.binding, line) for line in lines_of(desk.recorder))
        since = len(desk.recorder.events)
        desk.device.crash(crash)
        await desk.said(crash_in, since)
        await asyncio.sleep(3)
        name = next(iter(desk.device.profile.properties))
        assert await desk.done(Command.READ_STATE, name) == desk.device.core.truth(name)

    on_desk(profiles / f"{kind}.yaml", act)


def test_the_network_goes_and_comes_while_the_console_stays(profiles: Path) -> None:
    async def act(desk: Desk) -> None:
        assert desk.device.coap is not None
        await desk.done(Command.NETWORK_OFF)
        await asyncio.sleep(1)
        assert await port_is_taken(desk.device) is False
        assert await desk.done(Command.READ_STATE, "power") is True
        await desk.done(Command.NETWORK_ON)
        await asyncio.sleep(1)
        assert await port_is_taken(desk.device) is True

    on_desk(profiles / "air-conditioner.yaml", act)


async def port_is_taken(device: SimulatedDevice) -> bool:
    """Whether something listens where the device's CoAP server does."""
    assert device.profile.bindings.coap is not None
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(device.host, device.profile.bindings.coap.port)
        )
    except OSError:
        return True
    transport.close()
    return False


def test_without_power_nobody_answers(profiles: Path) -> None:
    async def act(desk: Desk) -> None:
        await desk.device.kill()
        reply = await desk.link.command(Command.READ_STATE, "power", within=1)
        assert reply.problem is not None
        assert desk.link.present  # the cable's own chip has its power from our side

    on_desk(profiles / "air-conditioner.yaml", act)


EXPRESSIONS = [
    r"app: air conditioner \d+\.\d+\.\d+ starting",
    r"^ready$",
    r"(?i)boot (one|two) [^a-z]{3} .*",
    r"rst:0x\w+ \((\w*WDT\w*)\)",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_example_of_a_pattern_fits_it(expression: str) -> None:
    import re

    text = example_of(expression)
    assert text is not None
    assert re.search(expression, text)


@given(st.text(max_size=20))
def test_any_text_is_an_example_of_itself(text: str) -> None:
    import re

    assert example_of(re.escape(text)) == text


def test_what_is_half_typed_is_dropped_by_what_the_profile_says(profiles: Path, tmp_path: Path) -> None:
    path = tmp_path / "shell.yaml"
    parent = (profiles / "air-conditioner.yaml").resolve()
    path.write_text(f"extends: {parent}\nbindings: {{ serial: {{ text: {{ cancel: '03' }} }} }}\n")

    async def act(desk: Desk) -> None:
        await desk.link.send(b"xyz")
        await desk.link.send(b"\x03")
        assert await desk.done(Command.FIRMWARE_VERSION) == desk.device.profile.firmware

    on_desk(path, act)


COMMANDS = ["date", *(f"{verb} {name}" for verb in ("set", "sim") for name in ("target", "power", "room"))]
STRANGE = ["[" * 2000, "1" * 400, "1e999", "NaN", "-1", "[1]", "{}", '"12"', "null", "true", "%n\x03", "\x00"]
LINES = st.builds(
    lambda command, value: f"{command} {value}\r\n".encode(),
    st.sampled_from(COMMANDS) | st.text(max_size=9),
    st.sampled_from(STRANGE) | st.text(max_size=9),
)


def frames_of(profile: Profile) -> st.SearchStrategy[bytes]:
    """Good frames, with anything in them."""
    serial = profile.bindings.serial
    assert serial is not None and serial.frames is not None
    known = serial.frames
    tags = [b"", *(bytes.fromhex(each.tag) for each in known.properties.values())]
    numbers = [each.send.command for each in known.commands.values()]
    return st.builds(
        lambda number, tag, rest: FrameCodec(known).encode(Frame(number, tag + rest, 0)),
        st.sampled_from(numbers) | st.integers(0, 255),
        st.sampled_from(tags),
        st.binary(max_size=4) | st.binary(min_size=200, max_size=240),
    )


REQUESTS = st.builds(
    lambda function, start, rest: with_checksum(bytes([1, function, 0, start]) + rest),
    st.integers(1, 127),
    st.integers(0, 40),
    st.binary(min_size=2, max_size=2) | st.binary(max_size=12),
)


def with_checksum(message: bytes) -> bytes:
    """A message of Modbus RTU."""
    return message + value_of(ChecksumKind.CRC_16_MODBUS, message).to_bytes(2, "little")


@settings(
    max_examples=15,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_nothing_that_comes_over_its_line_upsets_a_board(
    profiles: Path, kind: str, data: st.DataObject
) -> None:
    path = profiles / f"{kind}.yaml"
    said = {"air-conditioner": LINES, "refrigerator": REQUESTS}.get(kind) or frames_of(load_profile(path))
    sent = data.draw(st.lists(said | st.binary(max_size=40), min_size=10, max_size=40))
    name = {"air-conditioner": "power", "smart-plug": "relay", "refrigerator": "fast_freeze"}[kind]
    upset: list[object] = []

    async def act(desk: Desk) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: upset.append(context))
        for raw in sent:
            await desk.link.send(raw)
            await desk.link.command(Command.READ_STATE, name)  # answered or not: what came before is read

    on_desk(path, act)
    assert not upset
