"""Faults in how the device claims, defends and gives up its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.mdns._rewriting import (
    announces,
    responder,
    says_goodbye,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


@fault(
    name="mdns-probing-skipped",
    title="announces its names without probing for them",
    breaks=("MDNS-01",),
    applies=announces,
)
def mdns_probing_skipped(device: SimulatedDevice) -> None:
    """Two new devices answer to one name."""
    responder(device).deviate(probes=0)


@fault(
    name="mdns-probing-hasty",
    title="probes so fast that other hosts cannot object",
    breaks=("MDNS-01",),
    applies=announces,
)
def mdns_probing_hasty(device: SimulatedDevice) -> None:
    """The start-up time was shortened."""
    responder(device).deviate(probe_interval=0.02)


@fault(
    name="mdns-probes-empty",
    title="probes without the records that it is about to announce",
    breaks=("MDNS-02",),
    applies=announces,
)
def mdns_probes_empty(device: SimulatedDevice) -> None:
    """Plain queries cannot resolve a tie."""
    responder(device).deviate(probe_authorities=False)


@fault(
    name="mdns-denial-ignored",
    title="announces its names although its probe was denied",
    breaks=("MDNS-03",),
    applies=announces,
)
def mdns_denial_ignored(device: SimulatedDevice) -> None:
    """It probes, but ignores the answers."""
    responder(device).deviate(gives_way=False)


@fault(
    name="mdns-tie-inverted",
    title="gives way in a tie when it should not, and vice versa",
    breaks=("MDNS-04",),
    seen_as="F-MDNS-15",
    applies=announces,
)
def mdns_tie_inverted(device: SimulatedDevice) -> None:
    """The comparison is inverted."""
    responder(device).deviate(tie_break_inverted=True)


@fault(
    name="mdns-announced-once",
    title="announces itself only once",
    breaks=("MDNS-06",),
    applies=announces,
)
def mdns_announced_once(device: SimulatedDevice) -> None:
    """If that packet is lost, nobody sees the device."""
    responder(device).deviate(announcements=1)


@fault(
    name="mdns-defence-slow",
    title="defends its name a second after the probe",
    breaks=("MDNS-13",),
    seen_as="F-MDNS-22",
    applies=announces,
)
def mdns_defence_slow(device: SimulatedDevice) -> None:
    """The other host has taken it by then."""
    responder(device).deviate(defence_delay=1.0)


@fault(
    name="mdns-defence-missing",
    title="lets other hosts take its names",
    breaks=("MDNS-13",),
    seen_as="F-MDNS-22",
    applies=announces,
)
def mdns_defence_missing(device: SimulatedDevice) -> None:
    """Probes are not answered."""
    responder(device).deviate(defends=False)


@fault(
    name="mdns-goodbye-missing",
    title="shuts down without a goodbye",
    breaks=("MDNS-14",),
    seen_as="F-MDNS-02",
    applies=says_goodbye,
)
def mdns_goodbye_missing(device: SimulatedDevice) -> None:
    """Apps show it for another 75 minutes."""
    responder(device).deviate(goodbye=False)


@fault(
    name="mdns-later-conflict-ignored",
    title="ignores other hosts that use its names with other records",
    breaks=("MDNS-11",),
    applies=announces,
)
def mdns_later_conflict_ignored(device: SimulatedDevice) -> None:
    """Names are guarded at the start only."""
    responder(device).deviate(watches_for_conflicts=False)


@fault(
    name="mdns-same-records-disputed",
    title="treats records identical to its own as a conflict",
    breaks=("MDNS-11",),
    seen_as="F-MDNS-13",
    applies=announces,
)
def mdns_same_records_disputed(device: SimulatedDevice) -> None:
    """A sleep proxy that answers for it makes it rename itself to -2, -3, -4."""
    responder(device).deviate(conflicts_with_equals=True)


@fault(
    name="mdns-old-names-kept",
    title="answers to its old names after a conflict",
    breaks=("PROFILE-41",),
    applies=announces,
)
def mdns_old_names_kept(device: SimulatedDevice) -> None:
    """Names are added to its table but never removed."""
    responder(device).deviate(keeps_old_names=True)
