"""Whether reports and commands arrive in time: deadlines, heartbeats, sleep."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.capability import Access, CapabilityTransport
from harness.model.problems import Path
from harness.model.vocabulary import TermKind
from harness.prediction.candidate import Candidate
from harness.prediction.device import Conflict
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


def deadline_conflicts(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    """The device reacts or reports later, or less often, than the needer waits."""
    need, behaviour = candidate.needed.need, candidate.offerer.profile.behaviour
    if need.within is not None and need.access is not Access.READ:
        own = candidate.offered.offer.property_
        takes = behaviour.report_local
        key: Path = ("behaviour", "report_local")
        if candidate.commands:
            takes, key = behaviour.settle, ("behaviour", "settle")
            if own is not None and candidate.offerer.profile.properties[own].settle is not None:
                takes, key = candidate.offerer.profile.settle(own), ("properties", own, "settle")
        if takes > need.within:
            does = "executes a command" if candidate.commands else "reports a change"
            yield Conflict(
                FindingKind.DEADLINE,
                Severity.DEGRADES,
                f"{candidate.offerer.name} {does} within {takes:g} s, "
                f"{candidate.needer.name} gives up after {need.within:g} s",
                key,
                (*candidate.need, "within"),
                f"a longer timeout at {candidate.needer.name}, or {need.within:g} s at "
                f"{candidate.offerer.name}",
            )
    if need.every is not None and candidate.offered.term.kind is TermKind.ATTRIBUTE:
        every = None if transport is CapabilityTransport.COAP else candidate.offerer.reports_every
        if every is None or every > need.every:
            reports = "only when it changes" if every is None else f"every {every:g} s"
            yield Conflict(
                FindingKind.DEADLINE,
                Severity.BLOCKS,
                f"{candidate.offerer.name} reports its state {reports}, {candidate.needer.name} considers "
                "it lost "
                f"after {need.every:g} s",
                ("behaviour", "heartbeat"),
                (*candidate.need, "every"),
                f"a heartbeat of {need.every:g} s at {candidate.offerer.name}, or a longer timeout",
            )


def sleep_conflicts(candidate: Candidate, transport: CapabilityTransport | None) -> Iterator[Conflict]:
    """One device sleeps while the other one sends."""
    if transport is CapabilityTransport.COAP:
        return
    left, right = candidate.offerer.profile.bindings.mqtt, candidate.needer.profile.bindings.mqtt
    if candidate.commands and left is not None and left.sleep is not None:
        yield _asleep_to_commands(candidate, left.clean_session, left.sleep.wakes_every)
    if candidate.needed.need.access is Access.FOLLOW and right is not None and right.sleep is not None:
        event = candidate.offered.term.kind is TermKind.EVENT
        kept = not right.clean_session
        if event and not kept:
            does, severity = "events during sleep are lost", Severity.BLOCKS
        else:
            does, severity = "it receives changes only when it wakes", Severity.DEGRADES
        yield Conflict(
            FindingKind.SLEEP,
            severity,
            f"{candidate.needer.name} sleeps most of the time: {does}",
            None,
            ("bindings", "mqtt", "sleep"),
            "a persistent session (clean_session: false), or mains power",
        )


def _asleep_to_commands(candidate: Candidate, clean: bool, wakes_every: float | None) -> Conflict:
    within = candidate.needed.need.within
    late = within is not None and (wakes_every is None or wakes_every > within)
    if clean:
        what = "commands sent during sleep are lost"
    elif wakes_every is None:
        what = "commands wait until it next connects"
    else:
        what = f"commands wait up to {wakes_every:g} s"
    return Conflict(
        FindingKind.SLEEP,
        Severity.BLOCKS if clean or late else Severity.DEGRADES,
        f"{candidate.offerer.name} sleeps most of the time: {what}",
        ("bindings", "mqtt", "sleep"),
        (*candidate.need, "within") if late and not clean else candidate.need,
        "a persistent session (clean_session: false) and a longer timeout, or mains power",
    )
