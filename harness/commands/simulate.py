"""``harness simulate``: simulated devices for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.links.clock.loop import run as run_on_loop
from harness.model.loading.profiles import load_profile
from harness.model.loading.units import (
    load_units,
    numbered_units,
)
from harness.model.profile import Profile
from harness.model.verdict import ExitStatus
from harness.patterns import expanded
from harness.session.setup.profile_overrides import (
    reporting_every,
    speaking_only,
)
from harness.session.simulation.fleet import (
    FEW,
    Simulation,
    simulate,
)
from harness.session.target import UsageError
from harness.simulate.faults import all_faults, fault_named

USUAL_RATES = 10.0


def run(arguments: argparse.Namespace) -> int:
    """Run the devices until stopped, or list the faults."""
    profiles = _profiles(arguments)
    if arguments.list_faults:
        _list_faults(profiles)
        return ExitStatus.OK
    if not profiles:
        raise UsageError("nothing to simulate: name a profile, such as profiles/smart-plug.yaml")
    for name in arguments.fault:
        fault_named(name)  # raises if unknown
    if arguments.serial and all(profile.bindings.serial is None for profile in profiles):
        raise UsageError("--serial: none of the profiles has bindings.serial")
    simulation = Simulation(
        profiles=tuple(profiles),
        faults=tuple(arguments.fault),
        broker=arguments.broker,
        ca=Path(arguments.ca) if arguments.ca else None,
        host=arguments.host or ("127.0.0.1" if len(profiles) == 1 else None),
        seed=arguments.seed,
        herd=arguments.herd,
        serial=arguments.serial,
        rates=_rates(arguments.rates, len(profiles)),
    )
    run_on_loop(simulate(simulation, lambda text: print(text, flush=True)))
    return ExitStatus.OK


def _profiles(arguments: argparse.Namespace) -> list[Profile]:
    """Each profile ``count`` times, every device with a unit identifier of its own."""
    if arguments.count < 1:
        raise UsageError(f"--count {arguments.count}: at least 1")
    if arguments.report_every is not None and arguments.report_every <= 0:
        raise UsageError(f"--report-every {arguments.report_every:g}: more than 0 seconds")
    profiles = []
    for name in expanded(arguments.profiles):
        first = load_profile(Path(name), unit=arguments.unit)
        profiles += [first, *load_units(Path(name), numbered_units(first.unit, arguments.count - 1))]
    if arguments.only:
        profiles = [speaking_only(profile, arguments.only) for profile in profiles]
    if arguments.report_every is not None:
        profiles = [reporting_every(profile, arguments.report_every) for profile in profiles]
    return profiles


def _rates(asked: float | None, count: int) -> float | None:
    """Seconds between two lines of rates; by default only if devices are not listed one by one."""
    if asked is None:
        return USUAL_RATES if count > FEW else None
    if asked < 0:
        raise UsageError(f"--rates {asked:g}: seconds, or 0 for no rates")
    return asked or None


def _list_faults(profiles: list[Profile]) -> None:
    faults = [
        fault for fault in all_faults() if not profiles or any(fault.applies(profile) for profile in profiles)
    ]
    for fault in faults:
        breaks = "stress" if fault.is_stress else f"breaks {', '.join(fault.breaks)}"
        print(f"{fault.name:<32} {fault.title} ({breaks})")
    print(f"{len(faults)} faults")
