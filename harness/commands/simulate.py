"""``harness simulate``: devices for other people's tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.links.clock import run as run_on_loop
from harness.model.loading import load_profile
from harness.model.profile import Profile
from harness.model.verdict import ExitStatus
from harness.session.simulation import Simulation, simulate
from harness.session.target import UsageError
from harness.simulate.faults import UnknownFault, all_faults, fault_named


def run(arguments: argparse.Namespace) -> int:
    """Run the devices until stopped, or list the faults."""
    profiles = _profiles(arguments)
    if arguments.list_faults:
        _list_faults(profiles)
        return ExitStatus.OK
    if not profiles:
        raise UsageError("simulate what? name a profile, such as profiles/smart-plug.yaml")
    try:
        for name in arguments.fault:
            fault_named(name)
    except UnknownFault as problem:
        raise UsageError(str(problem)) from None
    simulation = Simulation(
        profiles=tuple(profiles),
        faults=tuple(arguments.fault),
        broker=arguments.broker,
        ca=Path(arguments.ca) if arguments.ca else None,
        host=arguments.host or ("127.0.0.1" if len(profiles) == 1 else None),
        seed=arguments.seed,
    )
    run_on_loop(simulate(simulation, lambda text: print(text, flush=True)))
    return ExitStatus.OK


def _profiles(arguments: argparse.Namespace) -> list[Profile]:
    """Each profile ``count`` times, every device with a unit identifier of its own."""
    profiles = []
    for name in arguments.profiles:
        first = load_profile(Path(name), unit=arguments.unit)
        profiles.append(first)
        for index in range(1, arguments.count):
            profiles.append(load_profile(Path(name), unit=f"{first.unit}{index:04x}"))
    return profiles


def _list_faults(profiles: list[Profile]) -> None:
    faults = [
        fault for fault in all_faults() if not profiles or any(fault.applies(profile) for profile in profiles)
    ]
    for fault in faults:
        print(f"{fault.name:<32} {fault.title} (breaks {', '.join(fault.breaks)})")
    print(f"{len(faults)} faults")
