"""Each fault of the device's behaviour shows, and a device without it does not show the same."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from mqtt_bench import Bench, on_bench, profile_with
from timeless import timeless

from harness.model.loading.profiles import load_profile
from harness.model.profile import Profile
from harness.registry import ExtensionError
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import UnknownFaultError, all_faults, fault, fault_named, faults_for
from harness.simulate.firmware.core import (
    Accepted,
    Change,
    Core,
    DeviceEvent,
)

PROFILES = Path(__file__).parents[3] / "profiles"
SHIPPED = {path.stem: load_profile(path) for path in sorted(PROFILES.glob("*.yaml"))}
FURTHER = [load_profile(path) for path in sorted((PROFILES.parent / "fixtures" / "profiles").glob("*.yaml"))]

Scene = Callable[[Core, list[Any]], Coroutine[Any, Any, Any]]


def play(profile: str, scene: Scene, *faults: str) -> Any:
    """What a scene gives with a device that has these faults."""

    async def main() -> Any:
        device = SimulatedDevice(SHIPPED[profile], faults=[fault_named(name) for name in faults])
        told: list[Any] = []
        device.core.on_change(told.append)
        device.core.on_event(told.append)
        device.core.power_on()
        seen = await scene(device.core, told)
        device.core.power_off()
        return seen

    return timeless(main())


async def too_bright(core: Core, told: list[Any]) -> Any:
    answer = core.command("led_brightness", 170)
    return isinstance(answer, Accepted), core.read("led_brightness"), core.truth("led_brightness")


async def quick(core: Core, told: list[Any]) -> Any:
    for brightness in (10, 20, 30):
        core.command("led_brightness", brightness)
    return core.read("led_brightness")


async def twice(core: Core, told: list[Any]) -> Any:
    core.command("relay", False)
    await asyncio.sleep(1)
    core.command("relay", False)
    return core.read("relay")


async def half(core: Core, told: list[Any]) -> Any:
    core.command("led_brightness", 33)
    return core.read("led_brightness")


async def reset(core: Core, told: list[Any]) -> Any:
    core.invoke("reset_energy")
    return core.read("energy")


async def commanded(core: Core, told: list[Any]) -> Any:
    core.command("led_brightness", 10)
    await asyncio.sleep(1)
    return told, core.read("led_brightness")


async def commanded_and_waited(core: Core, told: list[Any]) -> Any:
    core.command("led_brightness", 10)
    before = list(told)
    await asyncio.sleep(10)
    return before, told


async def pressed(core: Core, told: list[Any]) -> Any:
    core.operate("button")
    return [each for each in told if isinstance(each, Change)], core.read("relay")


async def sensed(core: Core, told: list[Any]) -> Any:
    core.sense("power", 500)
    return core.read("power")


async def frozen(core: Core, told: list[Any]) -> Any:
    return core.read("freezer_temperature")


async def switched(core: Core, told: list[Any]) -> Any:
    core.command("relay", False)
    return core.read("relay"), core.read("led_mode")


async def off(core: Core, told: list[Any]) -> Any:
    core.command("relay", False)
    return core.read("power")


async def pressed_events(core: Core, told: list[Any]) -> Any:
    core.operate("button")
    return [each for each in told if isinstance(each, DeviceEvent)]


async def counted(core: Core, told: list[Any]) -> Any:
    before = core.read("energy")
    core.command("relay", False)
    return core.read("energy") >= before


async def power_cycled(core: Core, told: list[Any]) -> Any:
    core.command("led_brightness", 10)
    core.power_off()
    core.power_on()
    return core.read("energy"), core.read("led_brightness"), core.read("relay")


async def overloaded(core: Core, told: list[Any]) -> Any:
    core.sense("power", 4000)
    await asyncio.sleep(5)
    return core.read("relay")


async def hot(core: Core, told: list[Any]) -> Any:
    core.sense("temperature", 90)
    return isinstance(core.command("relay", True), Accepted)


NEW = Change("led_brightness", 10)

CASES: list[tuple[str, str, Scene, Any, Any]] = [
    ("range-unchecked", "smart-plug", too_bright, (False, 50, 50), (True, 170, 170)),
    ("clamps-in-secret", "smart-plug", too_bright, (False, 50, 50), (True, 170, 100)),
    ("clamps-undeclared", "smart-plug", too_bright, (False, 50, 50), (True, 100, 100)),
    ("burst-loses-commands", "smart-plug", quick, 30, 10),
    ("repeated-command-toggles", "smart-plug", twice, False, True),
    ("rounding-drift", "smart-plug", half, 33, 32),
    ("action-ignored", "smart-plug", reset, 0, 12.345),
    ("no-feedback", "smart-plug", commanded, ([NEW], 10), ([], 50)),
    ("late-report", "smart-plug", commanded_and_waited, ([NEW], [NEW]), ([], [NEW])),
    ("stale-report", "smart-plug", commanded, ([NEW], 10), ([NEW, Change("led_brightness", 50)], 50)),
    (
        "local-change-unreported",
        "smart-plug",
        pressed,
        ([Change("relay", False), Change("power", 0)], False),
        ([], True),
    ),
    ("sensor-change-unreported", "smart-plug", sensed, 500, 42.0),
    ("wrong-scale", "smart-plug", sensed, 500, 50),
    ("reports-outside-range", "smart-plug", half, 33, 184),
    ("negative-wraps", "refrigerator", frozen, -18.2, pytest.approx(6535.4)),
    ("spelling-changes", "smart-plug", switched, (False, "switch"), ("off", "SWITCH")),
    ("power-when-off", "smart-plug", off, 0, 10),
    ("event-lost", "smart-plug", pressed_events, [DeviceEvent("button", "press")], []),
    ("event-doubled", "smart-plug", pressed_events, *([DeviceEvent("button", "press")] * n for n in (1, 2))),
    ("counter-decreases", "smart-plug", counted, True, False),
    ("counter-lost-at-power-cut", "smart-plug", power_cycled, (12.345, 10, True), (6.172, 10, True)),
    ("settings-lost-at-power-cut", "smart-plug", power_cycled, (12.345, 10, True), (12.345, 50, False)),
    ("responses-missing", "smart-plug", overloaded, False, True),
    ("invariants-broken", "smart-plug", off, 0, 42.0),
    ("refusals-missing", "smart-plug", hot, False, True),
]


@pytest.mark.parametrize(
    ("name", "profile", "scene", "sound", "faulty"), CASES, ids=[case[0] for case in CASES]
)
def test_a_fault_shows(name: str, profile: str, scene: Scene, sound: Any, faulty: Any) -> None:
    assert play(profile, scene) == sound
    assert play(profile, scene, name) == faulty


def test_faults_add_up() -> None:
    assert play("smart-plug", off, "power-when-off", "wrong-scale") == 1
    assert play("smart-plug", too_bright, "clamps-undeclared", "wrong-scale") == (True, 100, 100)


# Faults that need MQTT to be seen

OverMqtt = Callable[[Bench], Coroutine[Any, Any, Any]]


async def tells_of_malformed(bench: Bench) -> Any:
    await bench.send("dev/relay/set", b"maybe")
    return bench.front.ready


async def writes_measurement(bench: Bench) -> Any:
    await bench.send("dev/meter", b'{"power":99,"voltage":99}')
    return bench.core.read("voltage")


async def commands_one_member(bench: Bench) -> Any:
    await bench.send("dev/set", b'{"lock":true}')
    await bench.send("dev/set", b'{"swing":"yes"}')
    return bench.core.read("lock"), bench.core.read("swing")


async def commands_new_member(bench: Bench) -> Any:
    await bench.send("dev/set", b'{"swing":"yes","colour":"red"}')
    return bench.core.read("swing")


async def presses_offline(bench: Bench) -> Any:
    await bench.broker.stop()
    await asyncio.sleep(1)
    bench.core.operate("button")
    return bench.core.read("relay")


@pytest.mark.parametrize(
    ("name", "scene", "sound", "faulty"),
    [
        ("malformed-crashes", tells_of_malformed, True, False),
        ("read-only-written", writes_measurement, 230, 99),
        ("partial-command-resets-rest", commands_one_member, (True, True), (False, True)),
        ("unknown-member-refused", commands_new_member, True, False),
        ("no-local-control-offline", presses_offline, True, False),
    ],
)
def test_a_fault_shows_over_mqtt(name: str, scene: OverMqtt, sound: Any, faulty: Any) -> None:
    for faults, expected in (((), sound), ((name,), faulty)):

        async def test(bench: Bench, expected: Any = expected) -> None:
            assert await scene(bench) == expected

        on_bench(test, faults=faults)


# The registry

STRESS = {"floods", "hangs"}  # what they break depends on when they strike
# What a serial line has to stand, and a board that crashes at a time of its own.
STRESS |= {"console-noise", "console-half-lines", "console-line-feeds", "console-floods", "cable-vanishes"}
STRESS |= {"crashes"}


def test_every_fault_fits_a_profile_and_says_what_it_breaks() -> None:
    for known in all_faults():
        assert known.title
        assert known.breaks or known.name in STRESS
        fitting = [profile for profile in (*SHIPPED.values(), *FURTHER) if known.applies(profile)]
        assert fitting, f"{known.name} fits no profile that the checks are tested with"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_fault_can_be_given_to_a_device_that_it_fits(name: str) -> None:
    for known in faults_for(SHIPPED[name]):
        SimulatedDevice(SHIPPED[name], broker=("127.0.0.1", 1), faults=[known])


def test_an_unknown_fault_names_the_nearest() -> None:
    with pytest.raises(UnknownFaultError, match="no-feedback"):
        fault_named("no-fedback")


def test_a_name_is_given_once() -> None:
    with pytest.raises(ExtensionError, match="two faults have the name no-feedback"):
        fault(name="no-feedback", title="again", breaks=())(lambda device: None)


def test_faults_are_offered_where_they_make_sense() -> None:
    only_sensor = Profile.model_validate(
        {
            "profile": "sensor",
            "title": "A sensor",
            "category": "sensor",
            "properties": {"heat": {"type": "number", "readOnly": True, "minimum": 0}},
            "bindings": {},
        }
    )
    names = {known.name for known in faults_for(only_sensor)}
    assert "wrong-scale" in names
    assert names.isdisjoint({"range-unchecked", "no-feedback", "event-lost", "negative-wraps"})
    assert "partial-command-resets-rest" in {known.name for known in faults_for(profile_with())}


def test_an_action_without_any_effect_cannot_be_seen_to_have_none() -> None:
    ignoring = {name for name, profile in SHIPPED.items() if fault_named("action-ignored").applies(profile)}
    assert "light" not in ignoring  # it breathes when it is to be found, and tells nothing of that
    assert {"smart-plug", "refrigerator", "phone-app", "curtain", "washing-machine"} <= ignoring


def test_states_that_a_heartbeat_tells_soon_anyway_are_not_missed() -> None:
    missing = {name for name, profile in SHIPPED.items() if fault_named("states-told-once").applies(profile)}
    assert "energy-meter" not in missing  # it has longer for coming back than from one beat to the next
    assert {"charger", "smart-plug", "wall-thermostat", "curtain"} <= missing


def test_an_empty_payload_is_zero_where_zero_is_legal() -> None:
    bound = {"level": {"state": "level", "command": "level/set"}}

    def applies(policy: str, **schema: Any) -> bool:
        dimmer = {
            "profile": "dimmer",
            "title": "A dimmer",
            "category": "light",
            "properties": {"level": schema},
            "bindings": {"mqtt": {"base": "dev", "client_id": "dev", "keep_alive": 60, "properties": bound}},
            "behaviour": {"invalid_value": policy},
        }
        return fault_named("empty-payload-is-zero").applies(Profile.model_validate(dimmer))

    assert applies("refuse", type="integer", minimum=0, maximum=9)
    assert not applies("refuse", type="integer", minimum=1, maximum=9)
    assert applies("clamp", type="integer", minimum=1, maximum=9)
    assert applies("refuse", type="string", enum=["low", "high"])


# Stress


def test_a_device_that_hangs_says_nothing_more_and_stays_connected() -> None:
    async def test(bench: Bench) -> None:
        for number in range(50):
            await bench.send("dev/target/set", str(16 + number % 10).encode())
        since = bench.mark
        assert await bench.send("dev/target/set", b"27") == since
        bench.core.operate("button")
        await asyncio.sleep(1)
        assert bench.publishes(since) == []
        assert len(list(bench.openings())) == 1
        assert bench.tap.connections

    on_bench(test, profile_with(), faults=("hangs",))


def test_a_device_that_floods_reports_fifty_times_in_a_second() -> None:
    async def test(bench: Bench) -> None:
        since = bench.mark
        await asyncio.sleep(10)
        assert 1900 <= len(bench.publishes(since)) <= 2100  # four topics

    on_bench(test, profile_with(), faults=("floods",))
