"""Seeded incompatibilities that show when the two devices are brought together, on one broker."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.links.clock.loop import run
from harness.model.verdict import Verdict
from harness.prediction.device import Device
from harness.session.compat.group_session import GroupMember
from harness.session.compat.pair import observe_together
from harness.session.target import Target
from tests.compat.seeds import COMPATIBLE, SEEDS, Seed, base, changed

SHOWN = [seed for seed in SEEDS if seed.shown_by]


def verdicts(devices: Sequence[Device], check: str) -> set[Verdict]:
    members = [GroupMember(each.name, each.profile, "", Target(simulate=True)) for each in devices]
    result = run(observe_together(members, select=(check,)), virtual=True)
    return {judgement.result.outcome.verdict for judgement in result.judgements}


@pytest.mark.parametrize("check", sorted({seed.shown_by for seed in SHOWN}))
def test_the_pair_as_it_works_passes(check: str) -> None:
    # COMPAT-02 looks at what COMPAT-01 saw.
    assert verdicts(base(), "COMPAT-0*" if check == "COMPAT-02" else check) == {Verdict.PASS}


@pytest.mark.parametrize("seed", SHOWN, ids=lambda seed: seed.name)
def test_a_seeded_incompatibility_shows_on_the_wire(seed: Seed) -> None:
    select = "COMPAT-0[12]" if seed.shown_by == "COMPAT-02" else seed.shown_by
    assert Verdict.FAIL in verdicts(seed.pair(), select)


# The embedded broker speaks MQTT 3.1.1 only; and an action that changes nothing (what is on is switched on)
# shows nothing.
@pytest.mark.parametrize("name", sorted(COMPATIBLE.keys() - {"MQTT 5 both", "other names"}))
def test_pairs_that_are_predicted_to_work_follow_each_other(name: str) -> None:
    one, other = base()
    offers, needs = COMPATIBLE[name]
    found = verdicts((changed(one, offers), changed(other, needs)), "COMPAT-0[12]")
    assert Verdict.PASS in found
    assert Verdict.FAIL not in found
