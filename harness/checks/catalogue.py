"""The Check base class and the registry of all checks of one device.

A check is a class below ``harness/checks/<area>/`` that derives from :class:`Check` and is decorated with
:func:`requirement`. Nothing else is needed to add one: all modules of the area folders are imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from harness.checks.bench import Bench
from harness.checks.case import Case
from harness.checks.declaration import Declaration, Declared, Phase
from harness.checks.order import ORDER
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level, Requirement
from harness.model.verdict import Outcome, Subject
from harness.registry import CHECKS, Registry, UnknownNameError

__all__ = ["Check", "UnknownCheckError", "all_checks", "check_named", "requirement"]


class UnknownCheckError(UnknownNameError):
    """There is no check with that id; the message suggests similar ones."""


class Check(Declared):
    """The test of one requirement.

    ``stimulate`` drives the device through the bench, and everything it does is recorded; ``judge`` decides
    from the trace alone. A check without ``stimulate`` is passive: it judges the whole run. If the run leaves
    it undecided, it may read from the device (``probe``) and extend the observation (``max_extension``).
    """

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        """What to run the check on, one by one; by default the device as a whole."""
        return (Subject(),)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        """Drive the device. Raise StimulusError when that is not possible."""

    def judge(self, case: Case) -> Outcome:
        """Decide from the trace. Pure: no I/O, no clock, the same outcome for the same case."""
        raise NotImplementedError

    async def probe(self, bench: Bench, subject: Subject) -> None:
        """For an undecided passive check: read what the device does not report by itself.

        May raise StimulusError; the check is then judged on what has been recorded.
        """

    def max_extension(self, profile: Profile) -> float:
        """For an undecided passive check: the seconds by which the observation may be extended."""
        return 0.0

    def max_extension_imposed_by(self, profile: Profile) -> str:
        """The clause or profile key that makes the extension necessary."""
        return f"{self.requirement.standard} {self.requirement.clause}"

    @property
    def passive(self) -> bool:
        """Whether the check only watches."""
        return type(self).stimulate is Check.stimulate

    @property
    def probes(self) -> bool:
        """Whether the check reads from the device when it is undecided."""
        return type(self).probe is not Check.probe


_registry: Registry[Check] = Registry(
    "check",
    packages=[f"harness.checks.{area}" for area in Area if area is not Area.COMPAT],
    group=CHECKS,
    listed_by="harness checks",
)


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
    phase: Phase | None = None,
    runs_when_absent: bool = False,
) -> Callable[[type[Check]], type[Check]]:
    """Declare what a check tests, and add it to the catalogue.

    ``ics`` is an expression over ICS items (:mod:`harness.model.ics`) that the profile has to satisfy; the
    other parameters are those of :class:`~harness.model.requirement.Requirement` and
    :class:`~harness.checks.declaration.Declaration`. Without ``phase``, a passive check is in the phase
    ``watch`` and any other one in ``ordinary``.
    """

    def register(cls: type[Check]) -> type[Check]:
        declared = Requirement(
            id, area, standard, clause, level, basis, purpose, stimulus, expect, ics, usual_cause
        )
        usual = Phase.WATCH if cls.stimulate is Check.stimulate else Phase.ORDINARY
        cls.declare(
            Declaration(
                requirement=declared,
                phase=phase or usual,
                needs=frozenset(needs),
                runs_when_absent=runs_when_absent,
            )
        )
        _registry.add(id, cls(), cls.__qualname__)
        return cls

    return register


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check, by area and in the order of :mod:`harness.checks.order`; a run goes by phase first."""
    return tuple(sorted(_registry.all().values(), key=_place))


def _place(check: Check) -> tuple[int, int]:
    """Sort key: by area, within it as listed; a check that is not listed comes last in its area."""
    place = ORDER.index(check.requirement.id) if check.requirement.id in ORDER else len(ORDER)
    return list(Area).index(check.requirement.area), place


def check_named(check_id: str) -> Check:
    """The check with that id. Raises UnknownCheckError."""
    try:
        return _registry.named(check_id)
    except UnknownNameError as unknown:
        raise UnknownCheckError(str(unknown)) from None
