"""CoAP checks in one run, one after the other: what one leaves behind does not put off the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.verdict import Verdict
from tests.checks.driving import ROOT, check_simulated


def profile_named(name: str) -> Path:
    """A profile of ours, shipped or not."""
    return next(
        path for folder in ("profiles", "fixtures/profiles") for path in ROOT.glob(f"{folder}/{name}.yaml")
    )


@pytest.mark.parametrize("name", ["air-conditioner", "garden-light", "light-zeta"])
def test_ignored_deregistrations_are_seen_before_they_fill_the_list_of_observers(name: str) -> None:
    others = ("COAP-CORE-26", "COAP-LINK-04", "COAP-OBS-05", "COAP-OBS-07", "COAP-OBS-08")
    run = check_simulated(
        profile_named(name), faults=["coap-deregistration-ignored"], select=(*others, "COAP-OBS-03")
    )
    (outcome,) = (each.result.outcome for each in run.judgements if each.result.check == "COAP-OBS-03")
    assert outcome.verdict is Verdict.FAIL
    assert "after the deregistration" in outcome.message


def test_who_is_never_notified_leaves_its_place_to_the_next_check() -> None:
    run = check_simulated(
        profile_named("light-zeta"),
        faults=["coap-changes-not-notified"],
        select=("COAP-OBS-07", "COAP-OBS-08", "COAP-OBS-02"),
    )
    (outcome,) = (each.result.outcome for each in run.judgements if each.result.check == "COAP-OBS-02")
    assert outcome.verdict is Verdict.FAIL
    assert "a change was not notified" in outcome.message


def test_who_is_refused_everywhere_was_promised_nothing() -> None:
    run = check_simulated(
        profile_named("garden-light"),
        faults=["coap-deregistration-ignored"],
        select=("COAP-CORE-26", "COAP-LINK-04", "COAP-OBS-02"),
    )
    (outcome,) = (each.result.outcome for each in run.judgements if each.result.check == "COAP-OBS-02")
    assert outcome.verdict is Verdict.INCONCLUSIVE


def test_notifications_that_ask_for_no_ack_are_told_by_their_type_alone() -> None:
    run = check_simulated(
        profile_named("light-zeta"),
        faults=["coap-notifications-of-other-type"],
        select=("COAP-OBS-08", "PROFILE-24"),
    )
    verdicts = {each.result.check: each.result.outcome.verdict for each in run.judgements}
    assert verdicts == {"COAP-OBS-08": Verdict.INCONCLUSIVE, "PROFILE-24": Verdict.FAIL}


def test_a_device_that_takes_no_more_observers_is_asked_instead() -> None:
    run = check_simulated(
        profile_named("air-conditioner"),
        faults=["coap-deregistration-ignored"],
        select=("COAP-OBS-*", "SERIAL-01", "SERIAL-03", "SERIAL-05"),
    )
    board = [each.result for each in run.judgements if each.result.check.startswith("SERIAL")]
    assert len(board) > 3
    assert {each.outcome.verdict for each in board} == {Verdict.PASS}


def extended(folder: Path, text: str) -> Path:
    """The refrigerator with other keys."""
    path = folder / "refrigerator.yaml"
    path.write_text(f"extends: {profile_named('refrigerator')}\n{text}")
    return path


def test_fetch_and_patch_are_two_features(tmp_path: Path) -> None:
    run = check_simulated(extended(tmp_path, "ics: [COAP.FETCH]\n"), select=["COAP-CORE-30"])
    (outcome,) = (each.result.outcome for each in run.judgements)
    assert outcome.verdict is Verdict.PASS
    assert "method 0.05" not in outcome.message
    assert "method 0.06" in outcome.message


def test_a_server_need_not_list_its_resources(tmp_path: Path) -> None:
    path = extended(tmp_path, "bindings: { coap: { links: false } }\n")
    run = check_simulated(path, select=["COAP-CORE-*", "COAP-LINK-*", "PROFILE-2?"])
    verdicts = {each.result.check: each.result.outcome.verdict for each in run.judgements}
    of_links = {check for check in verdicts if check.startswith("COAP-LINK") or check == "PROFILE-20"}
    assert len(of_links) == 5
    assert {verdicts.pop(check) for check in of_links} == {Verdict.NOT_APPLICABLE}
    assert verdicts["COAP-CORE-09"] is Verdict.PASS
    assert set(verdicts.values()) <= {Verdict.PASS, Verdict.NOT_APPLICABLE}, verdicts


@pytest.mark.parametrize(
    ("ack_timeout", "faults", "verdict"),
    [
        (4, [], Verdict.PASS),
        (4, ["coap-retransmits-too-often"], Verdict.FAIL),
        (4, ["habit-slow-ack-timeout"], Verdict.PASS),
        (1.5, ["habit-slow-ack-timeout"], Verdict.FAIL),
    ],
)
def test_declared_transmission_parameters_are_those_of_the_device(
    tmp_path: Path, ack_timeout: float, faults: list[str], verdict: Verdict
) -> None:
    path = extended(tmp_path, f"bindings: {{ coap: {{ transmission: {{ ack_timeout: {ack_timeout} }} }} }}\n")
    run = check_simulated(path, faults=faults, select=["COAP-CORE-12"])
    assert {each.result.outcome.verdict for each in run.judgements} == {verdict}
