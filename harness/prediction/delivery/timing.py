"""Whether what is told or commanded arrives in time: deadlines, heartbeats, sleep."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.capability import Access, Transport
from harness.model.problems import Path
from harness.model.vocabulary import TermKind
from harness.prediction.candidate import Candidate
from harness.prediction.device import Conflict
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


def deadline_clashes(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    """Later, or less often, than the needer waits."""
    need, behaviour = meeting.needed.need, meeting.offerer.profile.behaviour
    if need.within is not None and need.access is not Access.READ:
        own = meeting.offered.offer.property_
        takes = behaviour.report_local
        key: Path = ("behaviour", "report_local")
        if meeting.commands:
            takes, key = behaviour.settle, ("behaviour", "settle")
            if own is not None and meeting.offerer.profile.properties[own].settle is not None:
                takes, key = meeting.offerer.profile.settle(own), ("properties", own, "settle")
        if takes > need.within:
            does = "obeys" if meeting.commands else "tells a change"
            yield Conflict(
                FindingKind.DEADLINE,
                Severity.DEGRADES,
                f"{meeting.offerer.name} {does} within {takes:g} s, "
                f"{meeting.needer.name} gives up after {need.within:g} s",
                key,
                (*meeting.need, "within"),
                f"more patience at {meeting.needer.name}, or {need.within:g} s at {meeting.offerer.name}",
            )
    if need.every is not None and meeting.offered.term.kind is TermKind.ATTRIBUTE:
        every = None if transport is Transport.COAP else meeting.offerer.told_every
        if every is None or every > need.every:
            tells = "only when it changes" if every is None else f"every {every:g} s"
            yield Conflict(
                FindingKind.DEADLINE,
                Severity.BLOCKS,
                f"{meeting.offerer.name} tells its state {tells}, {meeting.needer.name} takes it for lost "
                f"after {need.every:g} s",
                ("behaviour", "heartbeat"),
                (*meeting.need, "every"),
                f"a heartbeat of {need.every:g} s at {meeting.offerer.name}, or more patience",
            )


def sleep_clashes(meeting: Candidate, transport: Transport | None) -> Iterator[Conflict]:
    """One of the two sleeps while the other one talks."""
    if transport is Transport.COAP:
        return
    left, right = meeting.offerer.profile.bindings.mqtt, meeting.needer.profile.bindings.mqtt
    if meeting.commands and left is not None and left.sleep is not None:
        yield _asleep_to_commands(meeting, left.clean_session, left.sleep.wakes_every)
    if meeting.needed.need.access is Access.FOLLOW and right is not None and right.sleep is not None:
        event = meeting.offered.term.kind is TermKind.EVENT
        kept = not right.clean_session
        if event and not kept:
            does, severity = "events that happen meanwhile are lost", Severity.BLOCKS
        else:
            does, severity = "it learns of changes only when it wakes", Severity.DEGRADES
        yield Conflict(
            FindingKind.SLEEP,
            severity,
            f"{meeting.needer.name} sleeps most of the time: {does}",
            None,
            ("bindings", "mqtt", "sleep"),
            "a session that the broker keeps (clean_session: false), or mains power",
        )


def _asleep_to_commands(meeting: Candidate, clean: bool, wakes_every: float | None) -> Conflict:
    within = meeting.needed.need.within
    late = within is not None and (wakes_every is None or wakes_every > within)
    if clean:
        what = "commands that are sent meanwhile are lost"
    elif wakes_every is None:
        what = "commands wait until it has something to say"
    else:
        what = f"commands wait up to {wakes_every:g} s"
    return Conflict(
        FindingKind.SLEEP,
        Severity.BLOCKS if clean or late else Severity.DEGRADES,
        f"{meeting.offerer.name} sleeps most of the time: {what}",
        ("bindings", "mqtt", "sleep"),
        (*meeting.need, "within") if late and not clean else meeting.need,
        "a session that the broker keeps (clean_session: false) and more patience, or mains power",
    )
