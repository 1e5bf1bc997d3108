"""A real device whose power and keys are operated by equipment: here a relay board behind a pty.

The device is a simulated one that the harness takes for real: it only knows the tap and the board.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tty
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from harness.links.actuators.registry import parse
from harness.links.clock.loop import run
from harness.model.loading.profiles import load_profile
from harness.model.requirement import BenchFeature
from harness.model.verdict import Verdict
from harness.session.result import Judgement
from harness.session.run.lane import Lane
from harness.session.run.plan import plan
from harness.session.target import Target, needs_met
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import fault_named
from harness.trace.events import Act, Stimulus

PLUG = Path(__file__).parent.parent.parent.parent / "profiles" / "smart-plug.yaml"
COOLER = PLUG.with_name("air-conditioner.yaml")
POWER, BUTTON = 1, 2
FRAME = 4  # bytes


class Relays:
    """The board: its first relay is in the supply of a device, its second one bridges the button."""

    def __init__(self, device: SimulatedDevice, *, is_wired: bool) -> None:
        self._device = device
        self._is_wired = is_wired
        self._end, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.name = os.ttyname(self._theirs)
        self._read = b""
        self._switching: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_reader(self._end, self._take)

    def _take(self) -> None:
        self._read += os.read(self._end, 100)
        while len(self._read) >= FRAME:
            frame, self._read = self._read[:FRAME], self._read[FRAME:]
            self._set(frame[1], bool(frame[2]))

    def _set(self, channel: int, closed: bool) -> None:
        if channel == BUTTON and closed:
            self._device.core.operate("button")
        if channel == POWER and self._is_wired:
            former = self._switching
            self._switching = asyncio.create_task(self._switch(former, closed))

    async def _switch(self, former: asyncio.Task[None] | None, on: bool) -> None:
        if former is not None:
            if not on:
                former.cancel()
            await asyncio.wait({former})
        await (self._device.start() if on else self._device.kill())

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._end)
        if self._switching is not None:
            self._switching.cancel()
            await asyncio.wait({self._switching})
        await self._device.kill()
        os.close(self._end)
        os.close(self._theirs)


@contextlib.asynccontextmanager
async def bench(*faults: str, is_wired: bool = True) -> AsyncIterator[tuple[Target, Relays]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()[:2]
    device = SimulatedDevice(
        load_profile(PLUG),
        broker=address,
        login=("plug", "plug"),
        faults=[fault_named(name) for name in faults],
    )
    device.coap = device.mdns = device.http = None
    relays = Relays(device, is_wired=is_wired)
    power, hands = f"relay:{relays.name}#{POWER}", f"relay:{relays.name}#button={BUTTON}"
    starting = None if is_wired else asyncio.create_task(device.start())
    try:
        yield Target(listen=address, power=parse(power), hands=parse(hands)), relays
    finally:
        if starting is not None:
            starting.cancel()
            await asyncio.wait({starting})
        await relays.close()


def check(
    *select: str, faults: Sequence[str] = (), is_wired: bool = True, reconnect: float | None = None
) -> tuple[list[Judgement], Lane]:
    async def drive() -> tuple[list[Judgement], Lane]:
        profile = load_profile(PLUG)
        if reconnect is not None:
            behaviour = profile.behaviour.model_copy(update={"reconnect": reconnect})
            profile = profile.model_copy(update={"behaviour": behaviour})
        async with bench(*faults, is_wired=is_wired) as (target, _):
            met = needs_met(profile, target)
            assert {BenchFeature.POWER, BenchFeature.LOCAL} <= met
            lane = Lane(profile, PLUG, target, seed=1)
            await lane.open()
            judgements = [await lane.run(planned) for planned in plan(profile, frozenset(met), select)]
            await lane.close()
            return judgements, lane

    return run(drive())


def verdicts(judgements: Sequence[Judgement]) -> set[Verdict]:
    return {item.result.outcome.verdict for item in judgements}


def test_checks_that_cut_the_power_pass_on_a_real_device() -> None:
    judgements, lane = check("DEV-14")
    assert verdicts(judgements) == {Verdict.PASS}, judgements
    acts = [event.body.act for event in lane.events if isinstance(event.body, Stimulus)]
    cut = acts.index(Act.KILL)
    assert acts[cut : cut + 4] == [Act.KILL, Act.DONE, Act.START, Act.DONE]


def test_checks_that_cut_the_power_find_the_fault_of_a_real_device() -> None:
    judgements, _ = check("DEV-14", faults=["settings-lost-at-power-cut"])
    assert verdicts(judgements) == {Verdict.FAIL}, judgements


def test_a_switch_that_switches_nothing_lets_no_check_pass() -> None:
    judgements, _ = check("DEV-14", "DEV-01[relay]", is_wired=False, reconnect=3)
    found = {item.requirement.id: item.result.outcome.verdict for item in judgements}
    assert found == {"DEV-01": Verdict.PASS, "DEV-14": Verdict.INCONCLUSIVE}


def test_keys_are_pressed_on_a_real_device() -> None:
    judgements, _ = check("DEV-08")
    assert verdicts(judgements) == {Verdict.PASS}, judgements


def test_what_a_relay_cannot_do_is_not_applicable() -> None:
    judgements, _ = check("DEV-11[power]")
    (judged,) = judgements
    assert judged.result.outcome.verdict is Verdict.NOT_APPLICABLE
    assert "nothing here can set the sensor power of smart-plug" in judged.result.outcome.message


def test_a_switch_stops_no_device_in_order() -> None:
    judgements, _ = check("MQTT-DEV-051")
    assert verdicts(judgements) == {Verdict.NOT_APPLICABLE}


# The board's own console


async def check_with_console(*select: str, power: str | None = "console") -> dict[str, Judgement]:
    """A cooler on its serial line and through the tap; its console presses its keys, and reboots it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()[:2]
    profile = load_profile(COOLER)
    device = SimulatedDevice(profile, broker=address, login=("ac", "ac"), console=True)
    device.coap = device.mdns = device.http = None
    assert device.console is not None
    device.console.open()
    starting = asyncio.create_task(device.start())
    target = Target(listen=address, serial=device.console.name, power=None if power is None else parse(power))
    met = needs_met(profile, target)
    lane = Lane(profile, COOLER, target, seed=1)
    try:
        await lane.open()
        found = [await lane.run(planned) for planned in plan(profile, frozenset(met), select)]
        await lane.close()
    finally:
        starting.cancel()
        await asyncio.wait({starting})
        await device.kill()
        device.console.close()
    return {item.result.id: item for item in found}


def test_a_console_presses_keys_and_reboots() -> None:
    found = run(check_with_console("DEV-08[panel_power/mqtt]", "MQTT-DEV-051", "SERIAL-01[panel_power/mqtt]"))
    assert verdicts(list(found.values())) == {Verdict.PASS}, found
    assert len(found) == 3


def test_a_reboot_is_no_loss_of_power() -> None:
    (judged,) = run(check_with_console("DEV-14")).values()
    assert judged.result.outcome.verdict is Verdict.NOT_APPLICABLE
    assert "a reboot by the console is no loss of power" in judged.result.outcome.message


def test_a_console_does_not_switch_unless_it_is_asked_to() -> None:
    (judged,) = run(check_with_console("MQTT-DEV-051", power=None)).values()
    assert judged.result.outcome.verdict is Verdict.NOT_APPLICABLE
    assert "use --power HOW" in judged.result.outcome.message
