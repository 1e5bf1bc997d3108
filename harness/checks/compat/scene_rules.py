"""The rules of a scene, which must hold during the whole scene."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.checks.case import failed, inconclusive, passed
from harness.checks.support.behaviour.transports import name_of
from harness.checks.support.compat.catalogue import (
    GroupCase,
    GroupCheck,
    group_requirement,
)
from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.home_state import (
    ConditionEvaluator,
    StateReport,
    happened,
    state_reports,
)
from harness.model.base import Value
from harness.model.requirement import Basis, Level
from harness.model.rule import Rule
from harness.model.verdict import Outcome, Subject

ROUNDING = 2e-6  # times in traces are rounded


@dataclass(slots=True)
class _Episode:
    """A time during which a rule applies: from ``begin`` to ``end`` (None: still)."""

    line: int
    begin: float
    end: float | None = None
    happened: set[int] = field(default_factory=set)  # the events of ``then`` that have occurred
    kept: StateReport | None = None  # the report that fulfilled it
    lost: StateReport | None = None  # the report that broke it again
    late: bool = False


@group_requirement(
    "COMPAT-31",
    standard="the scene",
    clause="scene: rules",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the devices of a scene always keep its rules",
    stimulus="None; the steps of the scene trigger its rules",
    expect="Whenever `when` becomes true, `then` follows in time; while `while` is true, `then` is true",
    usual_cause="The firmware of a device follows its own logic instead of the rules of the home.",
)
class RuleHolds(GroupCheck):
    """Passive: reads the whole run."""

    def subjects(self, group: DeviceGroup) -> Iterable[Subject]:
        return [Subject(rule.id) for rule in group.scene.rules] if group.scene is not None else ()

    def judge(self, case: GroupCase) -> Outcome:
        assert case.group.scene is not None, "planned without a scene"
        rule = case.group.scene.rule(name_of(case.subject))
        end = case.window[-1].time
        kept: list[int] = []
        for episode in _episodes(case, rule):
            if episode.lost is not None:
                text = f"rule {rule.id}: {_wanted(rule)} was no longer true"
                return failed(text, episode.line, episode.lost.line)
            over = episode.end if episode.end is not None else end
            if episode.kept is None and over >= episode.begin + rule.within - ROUNDING:
                text = f"rule {rule.id}: {_wanted(rule)} was not reached within {rule.within:g} s"
                return failed(text, episode.line)
            if episode.late and episode.kept is not None:
                took = episode.kept.time - episode.begin
                text = f"rule {rule.id}: {_wanted(rule)} took {took:.3f} s, {rule.within:g} s are allowed"
                return failed(text, episode.line, episode.kept.line)
            if episode.kept is not None:
                kept += [episode.line, episode.kept.line]
        if not kept:
            return inconclusive(f"rule {rule.id} was never triggered")
        return passed(f"{rule.purpose}: kept each of {len(kept) // 2} times", kept)


def _wanted(rule: Rule) -> str:
    return " and ".join(map(str, rule.then))


def _episodes(case: GroupCase, rule: Rule) -> list[_Episode]:
    """The times during which a rule applies, with their results."""
    follower = _Follower(rule, ConditionEvaluator(case.group.profiles))
    for report in state_reports(case):
        follower.take(report)
    follower.pass_time(case.window[-1].time)
    return follower.episodes


class _Follower:
    """Follows the reports, and collects the episodes of one rule."""

    def __init__(self, rule: Rule, evaluator: ConditionEvaluator) -> None:
        self.episodes: list[_Episode] = []
        self._rule = rule
        self._evaluator = evaluator
        self._state: dict[str, Value] = {}
        self._causes = rule.when or rule.while_
        self._events = [condition for condition in self._causes if condition.is_happening]
        self._was_true = False
        self._pending: _Episode | None = None  # true, but not yet for the time `for`
        self._last: StateReport | None = None

    def take(self, report: StateReport) -> None:
        """Process a report."""
        self.pass_time(report.time)
        if not report.is_event:
            self._state[report.name] = report.value
        self._last = report
        is_true = self._evaluator.all_hold(self._causes, self._state)
        is_true = is_true and all(happened(each, report) for each in self._events)
        if is_true and (self._events or not self._was_true):
            self._pending = _Episode(report.line, report.time + self._rule.for_)
            self.pass_time(report.time)
        elif not is_true and not self._events:
            self._pending = None
            self._end_what_lasts(report)
        self._was_true = is_true and not self._events
        for episode in self.episodes:
            if episode.end is None:
                self._look(episode, report)

    def pass_time(self, now: float) -> None:
        """Advance the time; a cause that was true for long enough starts an episode."""
        if self._pending is None or now < self._pending.begin - ROUNDING:
            return
        episode, self._pending = self._pending, None
        self.episodes.append(episode)
        if self._last is not None and self._lasts() and not any(c.is_happening for c in self._rule.then):
            episode.kept = self._last  # already true

    def _end_what_lasts(self, report: StateReport) -> None:
        """End the episodes of ``while``; those of ``when`` still have to be fulfilled."""
        for episode in self.episodes:
            if self._rule.while_ and episode.end is None:
                episode.end = report.time

    def _lasts(self) -> bool:
        return self._evaluator.all_hold(self._rule.then, self._state)

    def _look(self, episode: _Episode, report: StateReport) -> None:
        """Apply a report to an episode."""
        conditions = self._rule.then
        for at, condition in enumerate(conditions):
            if condition.is_happening and happened(condition, report):
                episode.happened.add(at)
        wanted = {at for at, condition in enumerate(conditions) if condition.is_happening}
        if episode.kept is None and self._lasts() and wanted <= episode.happened:
            episode.kept = report
            episode.late = report.time > episode.begin + self._rule.within + ROUNDING
        elif episode.kept is not None and self._rule.while_ and not self._lasts():
            episode.lost = episode.lost or report
