"""Every check of several devices passes where they get on, and fails under a fault or a mismatch: by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.checks.support.compat.catalogue import group_checks
from harness.links.clock.loop import run
from harness.model.loading.scenes import load_scene
from harness.model.profile import Profile
from harness.model.verdict import Verdict
from harness.session.compat.group_session import GroupMember
from harness.session.compat.pair import observe_together
from harness.session.compat.scene import play_scene
from harness.session.compat.setup import (
    ConnectionOptions,
    members_of,
    roles_of,
)
from harness.session.result import Judgement, RunResult
from tests.checks.conftest import MATRIX

PROFILES = Path(__file__).parents[2] / "profiles"
SCENES = PROFILES / "scenes"


def members(*names: str, faults: Sequence[str] = ()) -> list[GroupMember]:
    """Simulated devices of these profiles; a fault is given as ``role=name``."""
    cast = roles_of([str(PROFILES / f"{name}.yaml") for name in names])
    return list(members_of(cast, ConnectionOptions(simulate=True, faults=faults)))


def together(cast: Sequence[GroupMember], *select: str) -> dict[str, Judgement]:
    result = run(observe_together(cast, select=select), virtual=True)
    return {judgement.result.id: judgement for judgement in result.judgements}


def changed(member: GroupMember, **changes: object) -> GroupMember:
    """The same device with other members of its profile's MQTT binding."""
    mqtt = member.profile.bindings.mqtt
    assert mqtt is not None
    bindings = member.profile.bindings.model_copy(update={"mqtt": mqtt.model_copy(update=changes)})
    profile: Profile = member.profile.model_copy(update={"bindings": bindings})
    return GroupMember(member.role, profile, member.path, member.target)


@dataclass(frozen=True)
class Breach:
    """A check, the pair on which it fails, and by which faults (``role=name``)."""

    check: str
    pair: tuple[str, str]
    faults: tuple[str, ...]


BREACHES = [
    Breach("COMPAT-01", ("remote-control", "smart-plug"), ("remote-control=event-lost",)),
    Breach("COMPAT-01", ("remote-control", "smart-plug"), ("smart-plug=no-feedback",)),
    Breach("COMPAT-03", ("curtain", "motion-sensor"), ()),
    Breach(
        "COMPAT-10",
        ("smart-plug", "smart-plug"),
        ("smart-plug=client-id-shared", "smart-plug-2=client-id-shared"),
    ),
    Breach("COMPAT-11", ("smart-plug", "light"), ("smart-plug=shared-log-topic", "light=shared-log-topic")),
    Breach("COMPAT-12", ("smart-plug", "light"), ("light=subscribes-to-everything",)),
    Breach(
        "COMPAT-13",
        ("smart-plug", "smart-plug"),
        ("smart-plug=factory-host-name", "smart-plug-2=factory-host-name"),
    ),
    Breach(
        "COMPAT-14",
        ("smart-plug", "smart-plug"),
        ("smart-plug=mdns-stale-address", "smart-plug-2=mdns-stale-address"),
    ),
    Breach("COMPAT-15", ("smart-plug", "smart-plug"), ("smart-plug-2=obeys-neighbours",)),
    Breach("COMPAT-16", ("smart-plug", "light"), ("light=dies-with-neighbours",)),
    Breach("COMPAT-17", ("smart-plug", "light"), ("light=never-reconnects",)),
    Breach("COMPAT-17", ("smart-plug", "light"), ("light=subscribes-once",)),
]


@pytest.mark.parametrize(
    "pair",
    [
        ("remote-control", "smart-plug"),
        ("smart-plug", "smart-plug"),
        ("phone-app", "light"),
        ("contact-sensor", "air-conditioner"),
        ("air-conditioner", "refrigerator"),
        ("charger", "charger"),
    ],
    ids="+".join,
)
def test_devices_that_get_on_pass(pair: tuple[str, str]) -> None:
    found = together(members(*pair))
    bad = [
        f"{name}: {each.result.outcome.verdict} {each.result.outcome.message}"
        for name, each in found.items()
        if each.result.outcome.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
    ]
    assert bad == []
    MATRIX.passed |= {
        each.result.check for each in found.values() if each.result.outcome.verdict is Verdict.PASS
    }


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: f"{breach.check}-{'+'.join(breach.pair)}")
def test_a_breach_fails_its_check(breach: Breach) -> None:
    found = together(members(*breach.pair, faults=breach.faults), breach.check, "COMPAT-01")
    of_check = [each for each in found.values() if each.result.check == breach.check]
    for each in of_check:
        MATRIX.note(" and ".join(breach.faults) or "as they are", "+".join(breach.pair), each)
    assert Verdict.FAIL in [each.result.outcome.verdict for each in of_check], [
        (name, each.result.outcome) for name, each in found.items()
    ]


def test_a_range_that_is_too_narrow_shows_in_the_value() -> None:
    phone, light = members("phone-app", "light")
    brightness = light.profile.properties["brightness"].model_copy(update={"maximum": 180})
    narrow = light.profile.model_copy(
        update={"properties": {**light.profile.properties, "brightness": brightness}}
    )
    found = together([phone, GroupMember("light", narrow, light.path, light.target)], "COMPAT-0*")
    (agrees,) = (each for name, each in found.items() if name.startswith("COMPAT-02[phone-app.dimmer"))
    MATRIX.note("a range that ends at 180", "phone-app+light", agrees)
    assert agrees.result.outcome.verdict is Verdict.FAIL
    follows = found[agrees.result.id.replace("-02", "-01")]
    assert follows.result.outcome.verdict is Verdict.PASS


def played(scene: str, cast: dict[str, str], *faults: str) -> RunResult:
    roles = [(role, PROFILES / f"{name}.yaml") for role, name in cast.items()]
    devices = members_of(roles, ConnectionOptions(simulate=True, faults=faults))
    return run(play_scene(load_scene(SCENES / f"{scene}.yaml"), devices), virtual=True)


CASTS = {
    "coming-home": [
        {"door": "door-lock", "light": "light", "climate": "air-conditioner"},
        {"door": "door-lock", "light": "light-zeta", "climate": "air-conditioner-us"},
    ],
    "overload": [
        {"plug": "smart-plug", "appliance": "washing-machine", "phone": "phone-app"},
        {"plug": "smart-plug-nord", "appliance": "light", "phone": "phone-app"},
    ],
    "elder-care": [{"fridge": "refrigerator", "motion": "motion-sensor", "phone": "phone-app"}],
    "several-controllers": [
        {
            "switch": "wall-switch",
            "remote": "remote-control",
            "phone": "phone-app",
            "lamp": "light",
            "other-lamp": "light-zeta",
        }
    ],
}


@pytest.mark.parametrize(
    ("scene", "cast"),
    [(scene, cast) for scene, casts in CASTS.items() for cast in casts],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_a_scene_passes_whoever_plays_it(scene: str, cast: dict[str, str]) -> None:
    result = played(scene, cast)
    verdicts = {each.result.id: each.result.outcome.verdict for each in result.judgements}
    assert set(verdicts.values()) == {Verdict.PASS}, [each.result for each in result.judgements]
    steps = [step.id for step in load_scene(SCENES / f"{scene}.yaml").steps]
    assert {f"COMPAT-30[{step}]" for step in steps} <= set(verdicts)
    MATRIX.passed |= {each.result.check for each in result.judgements}


@pytest.mark.parametrize(
    ("scene", "fault", "step"),
    [
        ("coming-home", "light=no-feedback", "unlock"),
        ("overload", "plug=event-lost", "plug-trips"),
        ("overload", "plug=responses-missing", "plug-trips"),
        ("overload", "appliance=will-missing", "power-lost"),
        ("overload", "phone=event-lost", "phone-told"),
        ("elder-care", "fridge=local-change-unreported", "opens-the-fridge"),
        ("elder-care", "phone=event-lost", "somebody-is-told"),
        ("several-controllers", "remote=event-lost", "remote-off"),
        ("several-controllers", "lamp=burst-loses-commands", "all-at-once"),
    ],
)
def test_a_broken_device_fails_the_step_that_needs_it(scene: str, fault: str, step: str) -> None:
    result = played(scene, CASTS[scene][0], fault)
    verdicts = {each.result.id: each.result.outcome for each in result.judgements}
    MATRIX.note(
        fault, scene, next(each for each in result.judgements if each.result.id == f"COMPAT-30[{step}]")
    )
    failed = [name for name, outcome in verdicts.items() if outcome.verdict is Verdict.FAIL and "-30" in name]
    assert failed == [f"COMPAT-30[{step}]"], verdicts
    assert verdicts[f"COMPAT-30[{step}]"].message.startswith(f"step {step}: ")
    steps = [each.id for each in load_scene(SCENES / f"{scene}.yaml").steps]
    after = steps[steps.index(step) + 1 :]
    assert all(verdicts[f"COMPAT-30[{each}]"].verdict is Verdict.INCONCLUSIVE for each in after)


def test_a_rule_of_a_scene_that_is_broken_fails() -> None:
    result = played("coming-home", CASTS["coming-home"][0], "light=no-feedback")
    (rule,) = (each for each in result.judgements if each.result.check == "COMPAT-31")
    MATRIX.note("light=no-feedback", "coming-home", rule)
    assert rule.result.outcome.verdict is Verdict.FAIL


def test_every_check_is_shown_to_fail() -> None:
    shown = {breach.check for breach in BREACHES} | {"COMPAT-02", "COMPAT-30", "COMPAT-31"}
    assert {check.requirement.id for check in group_checks()} == shown


def test_who_is_told_often_enough_takes_nobody_for_lost() -> None:
    curtain, sensor = members("curtain", "motion-sensor")
    often = sensor.profile.bindings.mqtt
    assert often is not None and often.sleep is not None
    sensor = changed(sensor, sleep=often.sleep.model_copy(update={"wakes_every": 300}))
    found = together([curtain, sensor], "COMPAT-03")
    (told,) = found.values()
    assert told.result.outcome.verdict is Verdict.PASS, told.result
    MATRIX.passed.add(told.result.check)


def test_what_was_so_before_proves_nothing(tmp_path: Path) -> None:
    text = (SCENES / "coming-home.yaml").read_text()
    path = tmp_path / "lit.yaml"
    path.write_text(
        text.replace("{ set: light.OnOff.OnOff, to: false }", "{ set: light.OnOff.OnOff, to: true }")
    )
    lit = path.read_text().replace("      - { property: door.DoorLock.LockState, equals: Unlocked }\n", "", 1)
    path.write_text(lit)
    roles = [(role, PROFILES / f"{name}.yaml") for role, name in CASTS["coming-home"][0].items()]
    devices = members_of(roles, ConnectionOptions(simulate=True))
    result = run(play_scene(load_scene(path), devices), virtual=True)
    outcomes = {each.result.id: each.result.outcome for each in result.judgements}
    assert outcomes["COMPAT-30[unlock]"].verdict is Verdict.INCONCLUSIVE
    assert "the effects were present before any action" in outcomes["COMPAT-30[unlock]"].message
    assert outcomes["COMPAT-30[cool]"].verdict is Verdict.INCONCLUSIVE


def test_a_call_that_comes_too_early_fails(tmp_path: Path) -> None:
    path = tmp_path / "hasty.yaml"
    path.write_text((SCENES / "elder-care.yaml").read_text().replace("for: 14400", "for: 600"))
    roles = [(role, PROFILES / f"{name}.yaml") for role, name in CASTS["elder-care"][0].items()]
    result = run(
        play_scene(load_scene(path), members_of(roles, ConnectionOptions(simulate=True))), virtual=True
    )
    outcomes = {each.result.id: each.result.outcome for each in result.judgements}
    assert outcomes["COMPAT-30[somebody-is-told]"].verdict is Verdict.FAIL
    assert "not before 14390 s" in outcomes["COMPAT-30[somebody-is-told]"].message


RULES = """
rules:
  - id: told-when-tripped
    purpose: ensure that the phone is told when the plug trips
    when: [{ event: plug.ElectricalProtectionAlarm.Notify, data: OverLoadFault }]
    then: [{ property: plug.OnOff.OnOff, equals: false }, { event: phone.Messages.MessagePresented }]
    within: 10
  - id: dead-without-power
    purpose: ensure that the appliance is dead when its plug has been off for a second
    when: [{ property: plug.OnOff.OnOff, equals: false }]
    for: 1
    then: [{ property: appliance.BasicInformation.Reachable, equals: false }]
    within: 5
"""


def test_rules_of_a_scene_are_kept_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "overload.yaml"
    lost = "then: [{ property: appliance.BasicInformation.Reachable, equals: false }]\n"
    text = (SCENES / "overload.yaml").read_text()
    assert lost in text
    # The power stays away for a while, so that what has to last for a second can.
    path.write_text(text.replace(lost, f"{lost}    holds: 3\n") + RULES)
    roles = [(role, PROFILES / f"{name}.yaml") for role, name in CASTS["overload"][0].items()]

    def judged(*faults: str) -> dict[str, Verdict]:
        devices = members_of(roles, ConnectionOptions(simulate=True, faults=faults))
        result = run(play_scene(load_scene(path), devices), virtual=True)
        return {each.result.id: each.result.outcome.verdict for each in result.judgements}

    good = judged()
    assert good["COMPAT-31[told-when-tripped]"] is Verdict.PASS, good
    assert good["COMPAT-31[dead-without-power]"] is Verdict.PASS, good
    assert judged("phone=event-lost")["COMPAT-31[told-when-tripped]"] is Verdict.FAIL
    assert judged("appliance=will-missing")["COMPAT-31[dead-without-power]"] is Verdict.FAIL
