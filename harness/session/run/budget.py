"""Time limits of a lane: generous for a device that answers, finite for one that does not.

Each check has its own limit (:data:`harness.session.run.lane.CHECK_LIMIT`). The limit of the lane is the sum
of what its checks are allowed; a check that needs less leaves the rest to the others.
"""

from __future__ import annotations

from harness.model.profile import Profile
from harness.model.requirement import Area
from harness.session.run.plan import PlannedCheck

_EACH = 30.0  # seconds for a check, besides what the profile grants the device
_OPENING = 60.0  # seconds for opening the links, besides that
PEOPLE_TAKE = 900.0
"""Additional seconds for each check where people have to act at the device."""

EVENT_LIMIT = 250_000
"""Most events in the trace of one lane, tens of times those of a usual run. Beyond it the device floods."""
LINE_LIMIT = 500_000
"""Most events of the serial line besides: a board that logs at 115200 bits/s takes 40 minutes for them."""


def opening_allowance(profile: Profile) -> float:
    """Timeout in seconds for the links and the device to become ready."""
    behaviour = profile.behaviour
    return _OPENING + behaviour.boot + behaviour.reconnect


def dead_link_allowance(profile: Profile) -> float:
    """Seconds for what happens once in a run: a link goes dead, and both ends have to notice."""
    mqtt = profile.bindings.mqtt
    return 8 * mqtt.keep_alive + 4 * (profile.behaviour.heartbeat or 0.0) if mqtt else 0.0


def allowance(profile: Profile, planned: PlannedCheck) -> float:
    """Seconds that a check adds to the time of its lane."""
    if planned.not_applicable is not None:
        return 0.0
    if planned.check.passive:
        return planned.check.max_extension(profile)
    behaviour, mqtt = profile.behaviour, profile.bindings.mqtt
    seconds = _EACH + behaviour.settle + behaviour.boot + behaviour.reconnect
    if mqtt is not None:
        seconds += mqtt.keep_alive
    if planned.check.requirement.area in (Area.BEHAVIOUR, Area.CROSS):
        seconds += longest_rule(profile)  # the check may have to wait for that rule
    return seconds


def longest_rule(profile: Profile) -> float:
    """Seconds that the slowest rule of the profile takes from its trigger to its end."""
    rules = profile.behaviour.rules
    return max((rule.for_ + rule.within + rule.holds for rule in rules), default=0.0)
