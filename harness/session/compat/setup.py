"""Builds the members of a group from the options of a command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.links.mqtt.brokers.address import (
    BrokerError,
    parse_url,
)
from harness.model.loading.profiles import load_profile
from harness.model.loading.units import (
    load_units,
    numbered_units,
)
from harness.model.problems import ProfileError
from harness.model.profile import Profile
from harness.session.compat.group_session import GroupMember
from harness.session.setup.targets import DeviceConnection, known_faults, target_of
from harness.session.target import OWN_BROKERS, Target, UsageError

SIMULATE = "simulate"
UNIT = "unit:"
WAYS = (
    "simulate, listen:HOST:PORT, mqtt://HOST, coap://HOST, mdns:NAME, power:HOW, hands:HOW, and unit:ID for "
    "what {unit} stands for; separate several with commas"
)


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How the devices of a run are reached; ``duts`` and ``faults`` are options of the form ``ROLE=…``."""

    simulate: bool = False
    duts: Sequence[str] = ()
    faults: Sequence[str] = ()
    broker: str = "embedded"
    ca: str | None = None
    interface: str | None = None


def roles_of(paths: Sequence[str]) -> list[tuple[str, Path]]:
    """A role for each profile, named after it. Raises UsageError."""
    found: dict[str, Path] = {}
    for path in paths:
        profile = _load(Path(path)).profile
        number = 1 + sum(name == profile or name.startswith(f"{profile}-") for name in found)
        found[profile if profile not in found else f"{profile}-{number}"] = Path(path)
    return list(found.items())


def members_of(cast: Sequence[tuple[str, Path]], reach: ConnectionOptions) -> tuple[GroupMember, ...]:
    """The devices of a run. Raises UsageError for options that make no sense.

    A profile that is given twice stands for two units.
    """
    ways = _by_role(reach.duts, [role for role, _ in cast], "--dut", f"ROLE=HOW, where HOW is {WAYS}")
    faults = _faults(reach.faults, [role for role, _ in cast])
    members: list[GroupMember] = []
    for role, path in cast:
        parts = [part for way in ways.get(role, []) for part in way.split(",")]
        units = [part.removeprefix(UNIT) for part in parts if part.startswith(UNIT)]
        parts = [part for part in parts if not part.startswith(UNIT)]
        if units:
            profile = _load(path, units[-1])
        else:
            profile = _another_unit(_load(path), path, [member.profile for member in members])
        target = _target(role, parts, faults.get(role, ()), reach)
        members.append(GroupMember(role, profile, str(path), target))
    return tuple(members)


def runs_virtually(members: Iterable[GroupMember], *, real_time: bool) -> bool:
    """Whether virtual time is possible: all devices and the broker are in this process."""
    all_ours = all(member.target.simulate and member.target.broker == "embedded" for member in members)
    return all_ours and not real_time


def _target(role: str, parts: Sequence[str], faults: tuple[str, ...], reach: ConnectionOptions) -> Target:
    if reach.broker not in OWN_BROKERS:
        _url(reach.broker, "--broker")
    if not parts and not reach.simulate:
        raise UsageError(
            f"how is {role} reached? --simulate for simulated devices; for a real one --dut {role}=HOW, "
            f"where HOW is {WAYS}"
        )
    said = DeviceConnection(ca=reach.ca, interface=reach.interface)
    for part in parts or [SIMULATE]:
        said = replace(said, **_said(role, part))
    if said.simulate and len(parts) > 1:
        raise UsageError(f"--dut {role}: a simulated device needs no other way to be reached")
    if said.listen and said.mqtt:
        raise UsageError(f"--dut {role}: choose listen: or mqtt:, the device has one broker")
    if faults and not said.simulate:
        raise UsageError(f"--fault {role}={faults[0]}: only a simulated device can have a fault")
    return target_of(said, broker=reach.broker, faults=faults, called=lambda key: f"--dut {role}={key}")


def _said(role: str, part: str) -> dict[str, Any]:
    """One part of ``--dut``, as a field of :class:`DeviceConnection`."""
    kind, _, rest = part.partition(":")
    match kind:
        case "simulate" if not rest:
            return {"simulate": True}
        case "mqtt" | "mqtts":
            _url(part, f"--dut {role}")
            return {"mqtt": part}
        case "coap":
            return {"coap": part}
        case "listen" | "mdns" | "power" | "hands" if rest:
            return {kind: rest}
    raise UsageError(f"--dut {role}={part}: unknown; allowed: {WAYS}")


def _faults(given: Sequence[str], roles: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {
        role: known_faults(names) for role, names in _by_role(given, roles, "--fault", "ROLE=NAME").items()
    }


def _by_role(given: Sequence[str], roles: Sequence[str], option: str, form: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in given:
        role, sign, rest = text.partition("=")
        if not sign or not rest:
            raise UsageError(f"{option} {text}: expected {form}")
        if role not in roles:
            raise UsageError(f"{option} {text}: there is no {role} here, only {', '.join(roles)}")
        found.setdefault(role, []).append(rest)
    return found


def _another_unit(profile: Profile, path: Path, others: Sequence[Profile]) -> Profile:
    """The device, with another unit identifier if there is already one with its name."""
    same = [
        other for other in others if other.profile == profile.profile and other.unit.startswith(profile.unit)
    ]
    if not same:
        return profile
    return load_units(path, numbered_units(profile.unit, len(same)))[-1]


def _load(path: Path, unit: str | None = None) -> Profile:
    try:
        return load_profile(path, unit=unit)
    except ProfileError as problem:
        raise UsageError(str(problem)) from None


def _url(text: str, option: str) -> None:
    try:
        parse_url(text)
    except BrokerError as problem:
        raise UsageError(f"{option}: {problem}") from None
