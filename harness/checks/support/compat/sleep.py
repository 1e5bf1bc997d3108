"""Devices that sleep most of the time have to be tested while they sleep."""

from __future__ import annotations

from harness.checks.support.compat.bench import GroupBench
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.trace.events import Connection, ConnectionChange, Event, Point


def sleep_period(profile: Profile) -> float:
    """The sleep cycle of the device in seconds; 0 if it does not sleep."""
    mqtt = profile.bindings.mqtt
    if mqtt is None or mqtt.sleep is None:
        return 0.0
    return mqtt.sleep.awake + (mqtt.sleep.wakes_every or 0.0)  # some wake up only for an event


async def wait_until_asleep(group_bench: GroupBench, role: str) -> None:
    """Wait until a sleeping device is asleep, if its connections are visible."""
    longest = sleep_period(group_bench.bench(role).profile)
    if not longest or not group_bench.offers(BenchFeature.TAP, role):
        return

    def change(event: Event) -> ConnectionChange | None:
        body = event.body
        is_its = event.device == role and isinstance(body, Connection) and body.point is Point.TAP
        return body.change if is_its and isinstance(body, Connection) else None

    last = next((found for event in reversed(group_bench.trace) if (found := change(event))), None)
    if last is ConnectionChange.OPENED:
        await group_bench.wait_for(
            lambda event: change(event) not in (None, ConnectionChange.OPENED),
            within=longest,
            imposed_by=f"profile: bindings.mqtt.sleep of {role}",
            what=f"{role} to fall asleep",
        )
