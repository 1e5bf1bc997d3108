"""Whether a command that the profile forbids was refused."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.case import Case, failed, inconclusive
from harness.checks.observations import Report, Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.boundary_values import NUMERIC, resting, step_of
from harness.checks.support.behaviour.commands import (
    ROUNDING,
    Command,
    confirmed_at,
    described,
    ended_at,
    had_time,
    mismatch,
    on_the_way,
    settled_at,
)
from harness.model.base import Value
from harness.model.profile import InvalidValuePolicy, Profile
from harness.model.verdict import Outcome
from harness.wire import coap


def refusal_failure(case: Case, name: str, sent: Sequence[Command], at: int) -> Outcome | None:
    """What the device did wrong with an illegal command; None if it refused the command correctly.

    ``sent`` are all commands for the property over that transport, ``at`` is the index of this one.
    """
    command = sent[at]
    before = case.last_report(name, command.sent.line, command.transport)
    if before is None:
        return inconclusive(f"the state of {name} before the command is unknown", command.sent)
    allowed = [before.value, *clamped(case, name, command)]
    if command.transport is Transport.COAP and (wrong := _answered_wrongly(case.profile, command)):
        return wrong
    following = sent[at + 1] if at + 1 < len(sent) else None
    moved = [r for r in command.reports if len(allowed) == 1 or not on_the_way(case, r, *allowed)]
    stray = mismatch(case, name, allowed, moved)
    if stray is None and following is not None and _is_legal(case, name, following):
        index = confirmed_at(case, name, following)
        until = [r for r in following.reports[:index] if not on_the_way(case, r, *allowed, following.value)]
        stray = mismatch(case, name, [*allowed, following.value], until)
        had = case.profile.properties[name].agrees(before.value, following.value)
        waited = ended_at(case, following) >= settled_at(case, name, following) - ROUNDING
        if stray is None and index == len(following.reports) and waited and not had:
            return failed(
                f"after the command {command.text} the device did not execute the legal command "
                f"{following.text} within {case.profile.settle(name):g} s",
                command.sent,
                following.sent,
            )
    if stray is not None and _falls_back(case, name, sent, at, stray):
        return inconclusive(
            f"{name} fell back to {described(stray)} after an earlier command (see PROFILE-66)", stray
        )
    if stray is not None:
        return failed(
            f"{name} was {json_text(before.value)}; after the command {command.text} the device reported "
            f"{described(stray)}",
            before,
            command.sent,
            stray,
        )
    return None if _was_processed(case, name, sent, at) else _undecided(command)


def _falls_back(case: Case, name: str, sent: Sequence[Command], at: int, stray: Report) -> bool:
    """Whether a setting left the state of an earlier legal command, late, for the one before that command."""
    schema = case.profile.properties[name]
    legal = [command for command in sent[:at] if _is_legal(case, name, command)]
    if not legal or stray.problem is not None or len(resting(schema)) <= 2:
        return False  # of two values, any wrong one is the earlier one
    before = case.last_report(name, legal[-1].sent.line, legal[-1].transport)
    late = stray.time > settled_at(case, name, legal[-1])
    return before is not None and late and schema.agrees(stray.value, before.value)


def _answered_wrongly(profile: Profile, command: Command) -> Outcome | None:
    if command.answer is None:
        return failed(f"the command {command.text} was never answered", command.sent)
    group, code = command.answer.value.code >> 5, coap.code_text(command.answer.value.code)
    if group == 4 or (group == 2 and _may_clamp(profile, command)):
        return None
    meaning = "means that it was executed" if group == 2 else "is not a client error (4.xx)"
    return failed(f"the command {command.text} was answered {code}, which {meaning}", command.sent)


def _was_processed(case: Case, name: str, sent: Sequence[Command], at: int) -> bool:
    """Whether the device must have processed a command: it answered it or a later one, or had enough time."""
    if sent[at].answer is not None:
        return True
    for later in sent[at + 1 :]:
        if _is_legal(case, name, later) and confirmed_at(case, name, later) < len(later.reports):
            return True
    return had_time(case, sent[at].time, case.profile.settle(name))


def _undecided(command: Command) -> Outcome:
    return inconclusive(f"nothing shows that the device has processed {command.text}", command.sent)


def _is_legal(case: Case, name: str, command: Command) -> bool:
    return command.problem is None and case.profile.properties[name].accepts(command.value)


def _may_clamp(profile: Profile, command: Command) -> bool:
    clamps = profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP
    return clamps and command.problem is None and isinstance(command.value, int | float)


def clamped(case: Case, name: str, command: Command) -> list[Value]:
    """The nearest legal values, if the profile lets the device limit a value; otherwise none."""
    schema = case.profile.properties[name]
    if not _may_clamp(case.profile, command) or isinstance(command.value, bool) or schema.type not in NUMERIC:
        return []
    if schema.minimum is not None and command.value < schema.minimum:
        return [schema.minimum]
    if schema.maximum is not None and command.value > schema.maximum:
        return [schema.maximum]
    step = step_of(schema)
    if step is None:
        return []
    low = command.value // float(step) * float(step)
    return [low, low + float(step)]
