"""Runs checks on simulated devices, in virtual time, the way the runner does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from harness.links.clock.loop import run
from harness.model.loading.profiles import load_profile
from harness.options import SIMULATED_PORT
from harness.session.result import RunResult
from harness.session.run.lane import Lane
from harness.session.run.plan import plan
from harness.session.target import Target, needs_met

ROOT = Path(__file__).parent.parent.parent
SHIPPED = sorted((ROOT / "profiles").glob("*.yaml"))
FURTHER = sorted((ROOT / "fixtures" / "profiles").glob("*.yaml"))

_numbers = count()


def check_simulated(
    path: Path,
    *,
    faults: Sequence[str] = (),
    select: Sequence[str] = (),
    seed: int = 1,
    trace: Path | None = None,
    virtual: bool = True,
    serial: bool = True,
) -> RunResult:
    """Check one simulated device of the profile; all of its plan, or what ``select`` picks."""

    async def drive() -> RunResult:
        profile = load_profile(path)
        target = Target(simulate=True, faults=tuple(faults), serial=SIMULATED_PORT if serial else None)

        lane = Lane(profile, path, target, seed=seed, number=next(_numbers) % 200, trace=trace)
        await lane.open()
        for planned in plan(profile, frozenset(needs_met(profile, target)), select):
            await lane.run(planned)
        await lane.close()
        return lane.result()

    return run(drive(), virtual=virtual)
