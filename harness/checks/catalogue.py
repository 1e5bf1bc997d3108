"""The catalogue: what a check is, and all that there are.

A check is a class below ``harness/checks/<area>/`` that derives from :class:`Check` and is decorated with
:func:`requirement`. Writing that class is all that it takes to add one: modules of the area folders
are found by themselves.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from harness.checks.bench import Bench
from harness.checks.case import Case
from harness.checks.order import ORDER
from harness.errors import HarnessError
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level, Requirement
from harness.model.verdict import Outcome, Subject

__all__ = ["Check", "UnknownCheckError", "all_checks", "check_named", "requirement"]


class UnknownCheckError(HarnessError):
    """No check has that id; the message names near ones."""


class Check:
    """The test of one requirement.

    ``stimulate`` drives the device through the bench, everything it does is recorded; ``judge`` decides
    from the trace alone. A check without ``stimulate`` is passive: it judges the whole run. Where that has
    left it undecided, it may read the device by ``ask``, and have a longer observation by ``patience``.
    """

    requirement: Requirement
    needs: frozenset[BenchFeature]
    runs_when_absent = False  # whether it is run on a DUT that was never seen to be there: it may show why

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        """What to run the check on, one by one; by default the device as a whole."""
        return (Subject(),)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        """Drive the device. Raise CannotStimulateError when that cannot be done."""

    def judge(self, case: Case) -> Outcome:
        """Decide from the trace. Pure: no I/O, no clock, the same answer for the same case."""
        raise NotImplementedError

    async def probe(self, bench: Bench, subject: Subject) -> None:
        """For a passive check that the run leaves undecided: read what the device tells only when asked.

        May raise CannotStimulateError; the check is judged on what there is then.
        """

    def max_extension(self, profile: Profile) -> float:
        """For a passive check: how many seconds the run may be prolonged to make it conclusive."""
        return 0.0

    def max_extension_imposed_by(self, profile: Profile) -> str:
        """Which clause or profile key makes that prolongation necessary."""
        return f"{self.requirement.standard} {self.requirement.clause}"

    @property
    def passive(self) -> bool:
        """Whether it only watches."""
        return type(self).stimulate is Check.stimulate

    @property
    def probes(self) -> bool:
        """Whether it has something to ask."""
        return type(self).probe is not Check.probe


_registered: dict[str, Check] = {}


def requirement(
    id: str,
    *,
    area: Area,
    standard: str,
    clause: str,
    level: Level,
    purpose: str,
    stimulus: str,
    expect: str,
    ics: str,
    usual_cause: str,
    needs: Sequence[BenchFeature] = (),
    basis: Basis = Basis.NORMATIVE,
) -> Callable[[type[Check]], type[Check]]:
    """Declare what a check tests, and put it into the catalogue.

    ``ics`` is an expression over ICS items (:mod:`harness.model.ics`) that the profile has to satisfy;
    ``needs`` is what the bench has to offer.
    """

    def register(cls: type[Check]) -> type[Check]:
        cls.requirement = Requirement(
            id, area, standard, clause, level, basis, purpose, stimulus, expect, ics, usual_cause
        )
        cls.needs = frozenset(needs)
        if id in _registered and type(_registered[id]).__qualname__ != cls.__qualname__:
            raise ValueError(f"two checks have the id {id}")
        _registered[id] = cls()
        return cls

    return register


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check, in the order in which a run takes them (:mod:`harness.checks.order`)."""
    for area in Area:
        try:
            package = importlib.import_module(f"harness.checks.{area}")
        except ModuleNotFoundError:
            continue
        for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
            importlib.import_module(f"{package.__name__}.{module}")
    return tuple(sorted(_registered.values(), key=_place))


def _place(check: Check) -> tuple[int, int]:
    """Where a check stands: by area, and there as listed; what is not listed comes last in its area."""
    place = ORDER.index(check.requirement.id) if check.requirement.id in ORDER else len(ORDER)
    return list(Area).index(check.requirement.area), place


def check_named(check_id: str) -> Check:
    """The check of that id. Raises UnknownCheckError."""
    all_checks()
    if check_id in _registered:
        return _registered[check_id]
    near = difflib.get_close_matches(check_id.upper(), _registered, n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else "; `harness checks` lists all"
    raise UnknownCheckError(f"there is no check {check_id}{hint}")
