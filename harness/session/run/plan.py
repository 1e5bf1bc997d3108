"""Plans a run: which checks apply to a device on a bench, and on which subjects."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.catalogue import Check, all_checks
from harness.checks.observations import Transport
from harness.checks.support.behaviour.transports import (
    NEED_OF,
    command_transports,
    reporting_transports,
)
from harness.model.ics import ics_of, satisfies
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature
from harness.model.verdict import Subject
from harness.session.run.planned import (
    Planned,
    in_order,
)

MISSING = {
    BenchFeature.TAP: "the device is not connected through the tap, so its packets are not seen; "
    "use --listen, and let the device connect there",
    BenchFeature.BROKER: "the MQTT broker of the device is not known; use --mqtt URL or --listen HOST:PORT",
    BenchFeature.RESTART: "the harness cannot restart the device's broker",
    BenchFeature.COAP: "the CoAP address of the device is not known; use --coap URL",
    BenchFeature.MDNS: "multicast DNS on the device's link is not watched; use --mdns NAME",
    BenchFeature.SERIAL: "the serial line of the device is not connected; use --serial PORT",
    BenchFeature.LOCAL: "nothing can operate the buttons and sensors of the device; use --hands HOW",
    BenchFeature.POWER: "nothing can switch the device off and on; use --power HOW",
}


class PlannedCheck(Planned[Check]):
    """One check of a device on one subject."""

    __slots__ = ()


def plan(profile: Profile, needs_met: frozenset[str], select: Sequence[str] = ()) -> tuple[PlannedCheck, ...]:
    """Every check of the catalogue on each of its subjects, by phase, passive ones last.

    ``select`` holds patterns (``MQTT-*``, ``DEV-01[relay]``, an area such as ``coap``); empty matches all.
    """
    items = ics_of(profile)
    planned: list[PlannedCheck] = []
    for check in all_checks():
        requirement = check.requirement
        if not satisfies(requirement.ics, items):
            planned.append(PlannedCheck(check, Subject(), f"the profile does not declare {requirement.ics}"))
            continue
        missing = next((need for need in BenchFeature if need in check.needs and need not in needs_met), None)
        subjects = tuple(check.subjects(profile))
        if not subjects:
            planned.append(
                PlannedCheck(check, Subject(), "the profile has nothing that this check applies to")
            )
        for subject in subjects:
            lacking = missing or _unwatched(profile, check, subject, needs_met)
            planned.append(PlannedCheck(check, subject, MISSING[lacking] if lacking else None))
    return in_order(planned, select)


def _unwatched(
    profile: Profile, check: Check, subject: Subject, needs_met: frozenset[str]
) -> BenchFeature | None:
    """The bench feature that would watch the transport of a check, if the bench lacks it; otherwise None."""
    area = check.requirement.area
    if area not in (Area.BEHAVIOUR, Area.SECURITY, Area.SERIAL):
        return None
    wanted = list(NEED_OF.values())
    if subject.transport in list(Transport):
        wanted = [NEED_OF[Transport(subject.transport)]]
    elif subject.name in (*profile.properties, *profile.events, *profile.actions):
        carriers = (*reporting_transports(profile, subject.name), *command_transports(profile, subject.name))
        wanted = [NEED_OF[carrier] for carrier in carriers]
    elif area is Area.BEHAVIOUR and subject.name in profile.controls:
        moved = [effect.property_ or effect.event or "" for effect in profile.controls[subject.name].effects]
        wanted = [NEED_OF[carrier] for name in moved for carrier in reporting_transports(profile, name)]
    elif area is Area.SERIAL:
        return None  # done at the board, or to the device as a whole
    elif area is Area.SECURITY:
        wanted.append(BenchFeature.MDNS)
    return wanted[0] if wanted and not any(need in needs_met for need in wanted) else None
