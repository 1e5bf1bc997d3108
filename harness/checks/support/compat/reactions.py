"""Occasions: what a device told that another one was to follow, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.checks.observations import Report
from harness.checks.support.compat.catalogue import GroupCase
from harness.checks.support.compat.home_state import availability_in
from harness.checks.support.compat.interactions import (
    AVAILABILITY,
    Interaction,
    InteractionEffect,
    shown_by,
)
from harness.model.base import Value
from harness.model.schema import same_value
from harness.prediction.findings import AffordanceKind
from harness.trace.events import Act, Event, Stimulus

ROUNDING = 2e-6  # times in traces are rounded
_DONE = (Act.WRITE, Act.INVOKE, Act.LOCAL, Act.KILL, Act.STOP, Act.START)
_CAUSING = (Act.LOCAL, Act.WRITE, Act.KILL, Act.START)


class ReactionOutcome(StrEnum):
    """What became of an occasion."""

    FOLLOWED = "followed"
    OTHERWISE = "followed otherwise"  # it became something else than it should
    LATE = "followed too late"
    MISSED = "not followed"
    VOID = "void"  # something came in between, or there was no time to see


@dataclass(frozen=True, slots=True)
class TriggerReport:
    """Something that the source told."""

    line: int
    time: float
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class ReactionTrial:
    """Something that was to be followed, and what was seen of that: the ``shown`` reports of the target."""

    telling: TriggerReport
    cause: Event | None  # what the harness had done to the source
    effects: tuple[InteractionEffect, ...]
    fate: ReactionOutcome
    shown: tuple[Report, ...] = ()
    took: float | None = None


def occasions_of(case: GroupCase, bond: Interaction) -> list[ReactionTrial]:
    """All occasions of a bond in the window, in order."""
    tellings = list(_tellings(case, bond))
    found = []
    for at, telling in enumerate(tellings):
        effects = bond.effects_of(telling.name, telling.value)
        if not effects:
            continue
        since = tellings[at - 1].line if at else 0
        following = tellings[at + 1].line if at + 1 < len(tellings) else None
        found.append(_occasion(case, bond, telling, effects, since, following))
    return found


def causes_in(case: GroupCase, role: str) -> list[Event]:
    """What the harness did in the window to make a device tell something."""
    return [event for event in case.window if event.device == role and _is_act(event, _CAUSING)]


def _tellings(case: GroupCase, bond: Interaction) -> Iterator[TriggerReport]:
    """What the source told in the window: events, and properties where they changed."""
    own = case.of(bond.source)
    known: dict[str, Value] = {}
    begin = case.window[0].line if case.window else 0
    end = case.window[-1].line if case.window else 0
    if AVAILABILITY in bond.source_names:
        yield from _comings(case, bond)
    for report in own.history:
        if report.problem is not None or report.name not in bond.source_names or report.event.line > end:
            continue
        is_event = report.name in bond.source_profile.events
        changed = is_event or report.name not in known or not same_value(known[report.name], report.value)
        known[report.name] = report.value
        if report.event.line >= begin and changed and not (is_event and report.is_stored):
            yield TriggerReport(report.event.line, report.time, report.name, report.value)


def _comings(case: GroupCase, bond: Interaction) -> Iterator[TriggerReport]:
    known: bool | None = None
    for event in case.window:
        there = availability_in(bond.source_profile, event) if event.device == bond.source else None
        if there is not None and there is not known:
            known = there
            yield TriggerReport(event.line, event.time, AVAILABILITY, there)


def _occasion(
    case: GroupCase,
    bond: Interaction,
    telling: TriggerReport,
    effects: tuple[InteractionEffect, ...],
    since: int,
    following: int | None,
) -> ReactionTrial:
    acts = [event for event in causes_in(case, bond.source) if since < event.line < telling.line]
    # What makes the device tell something after a while, by a rule of its own, is not where the time begins.
    acts = [event for event in acts if _is_cause(bond, event, telling)]
    cause = acts[-1] if acts else None
    start = cause.time if cause is not None else telling.time
    begin = cause.line if cause is not None else telling.line
    deadline = start + bond.within + ROUNDING
    stop = _interference(case, bond, telling.line, following)
    shown, fates, took = [], [], 0.0
    for effect in effects:
        expected = _to_be_shown(case, bond, effect, begin)
        if not expected:
            continue  # whether that follows cannot be seen
        fate, report = _fate(case, bond, expected, begin, deadline, stop)
        fates.append(fate)
        if report is not None:
            shown.append(report)
            took = max(took, report.time - start)
    if not fates:
        return ReactionTrial(telling, cause, effects, ReactionOutcome.VOID)
    order = (
        ReactionOutcome.VOID,
        ReactionOutcome.MISSED,
        ReactionOutcome.OTHERWISE,
        ReactionOutcome.LATE,
        ReactionOutcome.FOLLOWED,
    )
    return ReactionTrial(telling, cause, effects, min(fates, key=order.index), tuple(shown), took)


def _fate(
    case: GroupCase,
    bond: Interaction,
    expected: tuple[InteractionEffect, ...],
    begin: int,
    deadline: float,
    stop: int,
) -> tuple[ReactionOutcome, Report | None]:
    """What became of one effect, of which any of ``expected`` is the sign, and the report that shows it."""
    otherwise: Report | None = None
    for report in case.of(bond.target).all_reports:
        if report.event.line <= begin or report.problem is not None or report.is_stored:
            continue
        if report.event.line >= stop:
            break
        if not any(_shows(bond, each, report) for each in expected):
            if _is_other(case, bond, expected, report, begin):
                otherwise = report
            continue
        return (ReactionOutcome.FOLLOWED if report.time <= deadline else ReactionOutcome.LATE), report
    watched = case.window[-1].time >= deadline - 2 * ROUNDING
    if not watched or _line_at(case, deadline) >= stop:
        return ReactionOutcome.VOID, None
    return (ReactionOutcome.OTHERWISE, otherwise) if otherwise is not None else (ReactionOutcome.MISSED, None)


def _is_other(
    case: GroupCase, bond: Interaction, expected: tuple[InteractionEffect, ...], report: Report, begin: int
) -> bool:
    """Whether a report says that the target became something else: not what it should, nor what it was."""
    if not any(each.name == report.name and each.kind is AffordanceKind.PROPERTY for each in expected):
        return False
    before = case.of(bond.target).last_report(report.name, begin)
    schema = bond.target_profile.properties[report.name]
    return before is None or not schema.agrees(report.value, before.value)


def _shows(bond: Interaction, effect: InteractionEffect, report: Report) -> bool:
    if report.name != effect.name:
        return False
    if effect.value is None:
        return True
    if effect.kind is AffordanceKind.PROPERTY:
        return bond.target_profile.properties[effect.name].agrees(report.value, effect.value)
    return same_value(report.value, effect.value)


def _to_be_shown(
    case: GroupCase, bond: Interaction, effect: InteractionEffect, line: int
) -> tuple[InteractionEffect, ...]:
    """What the target would tell if an effect came about, except what it was before."""
    return tuple(
        shown
        for shown in shown_by(bond.target_profile, effect)
        if not _is_so_already(case, bond, shown, line)
    )


def _is_so_already(case: GroupCase, bond: Interaction, effect: InteractionEffect, line: int) -> bool:
    """Whether the target had that state before: then nothing shows that it followed."""
    if effect.kind is not AffordanceKind.PROPERTY:
        return False
    before = case.of(bond.target).last_report(effect.name, line)
    if before is None or effect.value is None:
        return before is not None
    return bond.target_profile.properties[effect.name].agrees(before.value, effect.value)


def _interference(case: GroupCase, bond: Interaction, line: int, following: int | None) -> int:
    """The line from which on the target may be something else for other reasons."""
    end = case.window[-1].line + 1 if case.window else line
    stop = following if following is not None else end
    for event in case.window:
        if event.line > line and event.device == bond.target and _is_act(event, _DONE):
            return min(stop, event.line)
    return stop


def _line_at(case: GroupCase, time: float) -> int:
    """The line of the last event of the window that is not later than ``time``."""
    return max((event.line for event in case.window if event.time <= time), default=0)


def _is_cause(bond: Interaction, event: Event, telling: TriggerReport) -> bool:
    """Whether an act is what the device told: its key pressed, its sensor stimulated, the command to it."""
    assert isinstance(event.body, Stimulus)
    name, controls = event.body.name, bond.source_profile.controls
    if name == telling.name:
        return telling.name != AVAILABILITY
    effects = controls[name].effects if event.body.act is Act.LOCAL and name in controls else ()
    return any(telling.name in (effect.event, effect.property_) for effect in effects)


def _is_act(event: Event, acts: tuple[Act, ...]) -> bool:
    return isinstance(event.body, Stimulus) and event.body.act in acts
