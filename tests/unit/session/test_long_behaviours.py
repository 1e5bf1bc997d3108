"""What takes minutes and hours takes them here, too: in virtual time, over the device's real network."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from harness.dut import Dut
from harness.model.loading.profiles import load_profile
from harness.session.run.runner import (
    LaneSpec,
    Runner,
)
from harness.session.target import Target
from harness.trace.events import Connection, ConnectionChange, Direction, MqttPacket, Point

PROFILES = Path(__file__).parents[3] / "profiles"
MINUTE, HOUR = 60.0, 3600.0


@contextlib.contextmanager
def device(name: str) -> Iterator[Dut]:
    """A simulated device of that profile, ready."""
    path = PROFILES / f"{name}.yaml"
    spec = LaneSpec(name, load_profile(path), str(path), Target(simulate=True), seed=1, number=0)
    runner = Runner([spec], virtual=True)
    try:
        dut = Dut(runner, name)
        assert dut.ready()
        yield dut
    finally:
        runner.close()


def test_a_door_left_open_alarms_after_two_minutes_and_not_before() -> None:
    with device("refrigerator") as fridge:
        fridge.operate("door")
        assert fridge.reports("door_open", True)
        assert not fridge.reports("door_alarm", True, within=2 * MINUTE - 2)
        assert fridge.reports("door_alarm", True, within=5)
        fridge.operate("door")
        assert fridge.reports("door_alarm", False, within=3)


def test_a_door_that_is_closed_in_time_does_not_alarm() -> None:
    with device("refrigerator") as fridge:
        fridge.operate("door")
        assert not fridge.reports("door_alarm", True, within=2 * MINUTE - 5)
        fridge.operate("door")
        assert not fridge.reports("door_alarm", True, within=10 * MINUTE)


def test_a_compressor_rests_for_three_minutes() -> None:
    with device("air-conditioner") as conditioner:
        conditioner.sense("room_temperature", 30)
        conditioner.write("mode", "cool")
        conditioner.write("power", True)
        assert conditioner.reports("compressor", True, within=4 * MINUTE) or conditioner.read("compressor")
        conditioner.write("power", False)
        assert conditioner.reports("compressor", False, within=10)
        conditioner.write("power", True)
        assert not conditioner.reports("compressor", True, within=3 * MINUTE - 15)
        assert conditioner.reports("compressor", True, within=30)


def test_a_programme_washes_for_an_hour_with_the_door_locked() -> None:
    with device("washing-machine") as washer:
        washer.invoke("start")
        assert washer.reports("state", "running", within=5)
        assert washer.reports("door_locked", True, within=5)
        assert not washer.reports("state", "finished", within=HOUR - 15)
        assert washer.reports("state", "finished", within=MINUTE + 20)
        assert washer.reports("door_locked", False, within=3 * MINUTE)


def test_one_connection_is_kept_alive_for_hours() -> None:
    with device("smart-plug") as plug:
        binding = plug.profile.bindings.mqtt
        assert binding is not None
        before = len(plug.trace)
        assert not plug.reports("relay", "never", within=3 * HOUR)  # nothing is done to it
        trace = plug.trace[before:]
        assert not [
            event
            for event in trace
            if isinstance(event.body, Connection) and event.body.change is not ConnectionChange.OPENED
        ]
        sent = [
            event.time
            for event in trace
            if isinstance(event.body, MqttPacket)
            and (event.body.point, event.body.direction) == (Point.TAP, Direction.FROM_DUT)
        ]
        assert len(sent) >= 3 * HOUR / binding.keep_alive - 2
        longest = max(later - earlier for earlier, later in itertools.pairwise(sent))
        assert longest <= binding.keep_alive + 0.001
