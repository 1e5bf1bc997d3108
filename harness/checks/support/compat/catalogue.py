"""The GroupCheck base class and the registry of all checks of several devices.

They are kept apart from the checks of one device, because they are planned for a group of devices, not for a
profile. To add one, write a class in ``harness/checks/compat/``; nothing else is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from harness.checks.case import Case
from harness.checks.declaration import Declaration, Declared, Phase
from harness.checks.observations import Readings
from harness.checks.support.compat.bench import GroupBench
from harness.checks.support.compat.device_group import DeviceGroup
from harness.model.requirement import Area, Basis, Level, Requirement
from harness.model.verdict import Outcome, Subject
from harness.registry import CHECKS, Registry
from harness.trace.events import CheckEnded, CheckStarted, Event


@dataclass(frozen=True)
class GroupCase:
    """One check on one subject, ready to be judged.

    ``window`` holds the events of all devices from the start to the end of the check's stimulus; for a
    passive check it is the whole trace.
    """

    group: DeviceGroup
    subject: Subject
    trace: Sequence[Event]
    window: Sequence[Event]
    readings: dict[str, Readings]

    def of(self, role: str) -> Case:
        """The same case for one device: its events alone."""
        return self._cases[role]

    def window_of(self, check: str, subject: Subject) -> GroupCase | None:
        """The same case with the window of another check; None if that check was not carried out."""
        begin = None
        for event in self.trace:
            body = event.body
            if not isinstance(body, CheckStarted | CheckEnded):
                continue
            if (body.check, body.subject, body.transport) != (check, subject.name, subject.transport):
                continue
            if isinstance(body, CheckStarted):
                begin = event.line
            elif begin is not None and body.problem is None:
                return replace(self, window=self.trace[begin - 1 : event.line])
        return None

    @cached_property
    def _cases(self) -> dict[str, Case]:
        return {role: self._case(role) for role in self.group.roles}

    def _case(self, role: str) -> Case:
        return Case(
            self.group.profiles[role],
            self.subject,
            [event for event in self.trace if event.device == role],
            [event for event in self.window if event.device == role],
            self.readings[role],
        )


class GroupCheck(Declared):
    """The test of one requirement on several devices that are together.

    As with a check of one device, ``stimulate`` drives and ``judge`` decides from the trace alone.
    """

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        """What to run the check on, one by one; empty if it is about nothing in this group."""
        return (Subject(),)

    def missing(self, group: DeviceGroup, subject: Subject) -> str | None:
        """Why the benches of this run cannot carry it out, for people; None if they can."""
        return None

    async def stimulate(self, group_bench: GroupBench, subject: Subject) -> None:
        """Drive the devices. Raise StimulusError when that is not possible."""

    def judge(self, case: GroupCase) -> Outcome:
        """Decide from the trace. Pure: no I/O, no clock, the same outcome for the same case."""
        raise NotImplementedError

    def max_extension(self, group: DeviceGroup, subject: Subject) -> float:
        """The seconds that the stimulus may take according to profiles and scene."""
        return 0.0

    @property
    def passive(self) -> bool:
        """Whether the check only watches."""
        return type(self).stimulate is GroupCheck.stimulate


_registry: Registry[GroupCheck] = Registry(
    "check of several devices", packages=["harness.checks.compat"], group=CHECKS, listed_by="harness checks"
)


def group_requirement(
    id: str,
    *,
    standard: str,
    clause: str,
    level: Level,
    purpose: str,
    stimulus: str,
    expect: str,
    usual_cause: str,
    basis: Basis = Basis.DERIVED,
    phase: Phase | None = None,
    needs_all: bool = True,
) -> Callable[[type[GroupCheck]], type[GroupCheck]]:
    """Declare what a check of several devices tests, and add it to their catalogue."""

    def register(cls: type[GroupCheck]) -> type[GroupCheck]:
        declared = Requirement(
            id, Area.COMPAT, standard, clause, level, basis, purpose, stimulus, expect, "", usual_cause
        )
        usual = Phase.WATCH if cls.stimulate is GroupCheck.stimulate else Phase.ORDINARY
        cls.declare(Declaration(requirement=declared, phase=phase or usual, needs_all=needs_all))
        _registry.add(id, cls(), cls.__qualname__)
        return cls

    return register


@cache
def group_checks() -> tuple[GroupCheck, ...]:
    """Every check of several devices, by id."""
    registered = _registry.all()
    return tuple(registered[name] for name in sorted(registered))
