"""How much a lane may take: generous for a device that does something, an end for one that does not.

A single check has a limit of its own (:data:`harness.session.run.lane.CHECK_LIMIT`); the lane as a whole gets
what is allowed for each of its checks, and a check that needs less leaves the rest to the others.
"""

from __future__ import annotations

from harness.model.profile import Profile
from harness.model.requirement import Area
from harness.session.run.plan import PlannedCheck

_EACH = 30.0  # seconds for a check, beside what the profile lets the device take
_OPENING = 60.0  # seconds for opening the links, beside that
PEOPLE_TAKE = 900.0
"""Seconds more for each check where people have to do something at the device."""

EVENT_LIMIT = 250_000
"""Events in the trace of one lane: tens of times what a whole run makes. Beyond, the device floods."""
LINE_LIMIT = 500_000
"""Events of the serial line beside those: a board that logs at 115200 bits/s takes 40 minutes for them."""


def opening_allowance(profile: Profile) -> float:
    """Seconds until a device has to be there."""
    behaviour = profile.behaviour
    return _OPENING + behaviour.boot + behaviour.reconnect


def dead_link_allowance(profile: Profile) -> float:
    """Seconds for what is done once in a run: a link goes dead, and both of its ends have to notice."""
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
        seconds += longest_rule(profile)  # perhaps it is that rule's, or has to wait until it lets go
    return seconds


def longest_rule(profile: Profile) -> float:
    """Seconds that the slowest of the profile's rules takes from its cause to its end."""
    rules = profile.behaviour.rules
    return max((rule.for_ + rule.within + rule.holds for rule in rules), default=0.0)
