"""Several devices from the command line: pairs, scenes, and one device in another's place."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from xml.etree import ElementTree

from tests.cli.running import LIMIT, PLUG, ROOT, harness, start

PROFILES = ROOT / "profiles"
SCENES = PROFILES / "scenes"
REMOTE, LIGHT = PROFILES / "remote-control.yaml", PROFILES / "light.yaml"


def of(name: str) -> str:
    return str(PROFILES / f"{name}.yaml")


def test_a_pair_is_observed_reported_and_judged_again(tmp_path: Path) -> None:
    done = harness("check", REMOTE, PLUG, "--together", "--simulate", "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass  remote-control+smart-plug::COMPAT-01[remote-control.switched/smart-plug]" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["profile"] == "remote-control+smart-plug"
    assert report["dut"] == "remote-control: simulated; smart-plug: simulated"
    cases = ElementTree.parse(tmp_path / "junit.xml").iter("testcase")
    assert {case.get("name") for case in cases} >= {"COMPAT-10", "COMPAT-17"}
    assert "smart-plug is back, and the others kept working" in (tmp_path / "report.html").read_text()
    lines = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert lines[0]["roles"] == ["remote-control", "smart-plug"]
    assert {line.get("device") for line in lines} == {None, "remote-control", "smart-plug"}
    again = harness("judge", tmp_path / "trace.jsonl", "--report", tmp_path / "again")
    assert again.returncode == 0
    judged = json.loads((tmp_path / "again" / "report.json").read_text())
    assert judged["verdicts"] == report["verdicts"]


def test_a_fault_of_one_fails_the_pair(tmp_path: Path) -> None:
    done = harness(
        "check", PLUG, PLUG, "--together", "--simulate", "--fault", "smart-plug-2=never-reconnects",
        "--select", "COMPAT-17", "--report", tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "smart-plug-2 does not come back after the broker restart" in done.stdout
    assert json.loads((tmp_path / "report.json").read_text())["faults"] == ["smart-plug-2=never-reconnects"]
    assert harness("judge", tmp_path / "trace.jsonl").returncode == 1


def test_a_simulated_and_a_real_device_are_observed_together() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    checking = start(
        "check", REMOTE, LIGHT, "--together", "--dut", "remote-control=simulate",
        "--dut", f"light=listen:{address}", "--select", "COMPAT-0*",
    )  # fmt: skip
    assert checking.stdout is not None
    assert f"waiting for light: set its MQTT broker to {address}" in checking.stdout.readline()
    lamp = start("simulate", LIGHT, "--broker", f"mqtt://{address}")  # another process, as a real lamp is
    try:
        told, _ = checking.communicate(timeout=LIMIT)
    finally:
        lamp.terminate()
        lamp.communicate(timeout=LIMIT)
    assert checking.returncode == 0, told
    assert "COMPAT-02[remote-control.switched/light]" in told
    assert f"remote-control: simulated; light: tap {address}" in told


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    for arguments, said in [
        ([PLUG], "needs at least two profiles"),
        ([PLUG, LIGHT], "how is smart-plug reached?"),
        (
            [PLUG, LIGHT, "--simulate", "--dut", "lamp=simulate"],
            "there is no lamp here, only smart-plug, light",
        ),
        ([PLUG, LIGHT, "--simulate", "--dut", "light=radio:7"], "unknown; allowed: simulate"),
        ([PLUG, LIGHT, "--simulate", "--fault", "light=no-such"], "there is no fault 'no-such'"),
        ([PLUG, LIGHT, "--simulate", "--coap", "coap://192.0.2.1"], "use --dut ROLE=… instead"),
        ([PLUG, LIGHT, "--simulate", "--unit", "7"], "use --dut ROLE=unit:ID"),
        ([PLUG, LIGHT, "--dut", "light=unit:7", "--dut", "smart-plug=simulate"], "how is light reached?"),
        (
            [PLUG, LIGHT, "--dut", "smart-plug=mqtt://192.0.2.1", "--dut", "light=mqtt://192.0.2.2"],
            "the devices have to share one broker",
        ),
    ]:
        done = harness("check", *arguments, "--together")
        assert done.returncode == 2, (arguments, done.stdout)
        assert said in done.stderr, done.stderr
    assert "add --together" in harness("check", PLUG, "--simulate", "--dut", "smart-plug=simulate").stderr


def test_a_scene_is_told_and_played(tmp_path: Path) -> None:
    told = harness("scene", SCENES / "coming-home.yaml")
    assert told.returncode == 0
    assert "light (Light of the hall): offers OnOff.OnOff" in told.stdout
    cast = ["--cast", f"door={of('door-lock')}", "--cast", f"light={LIGHT}"]
    climate = ["--cast", f"climate={of('air-conditioner')}"]
    done = harness("scene", SCENES / "coming-home.yaml", *cast, *climate, "--report", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "COMPAT-30[unlock]" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["profile"] == "coming-home"
    assert harness("judge", tmp_path / "trace.jsonl").returncode == 0
    broken = harness("scene", SCENES / "coming-home.yaml", *cast, *climate, "--fault", "light=no-feedback")
    assert broken.returncode == 1
    assert "step unlock: expected that light.OnOff.OnOff is true" in broken.stdout
    assert "The devices do not work together" in broken.stdout


def test_a_scene_that_is_interrupted_is_reported_as_far_as_it_came(tmp_path: Path) -> None:
    cast = {"fridge": "refrigerator", "motion": "motion-sensor", "phone": "phone-app"}
    given = [text for role, name in cast.items() for text in ("--cast", f"{role}={of(name)}")]
    playing = start("scene", SCENES / "elder-care.yaml", *given, "--real-time", "--report", tmp_path)
    assert playing.stdout is not None
    told = ""
    while "COMPAT-30[goes-back-to-bed]" not in told:  # now it would take four hours
        told = playing.stdout.readline()
        assert told, "the scene ended before"
    playing.send_signal(signal.SIGINT)
    rest, _ = playing.communicate(timeout=LIMIT)
    assert playing.returncode == 3, rest
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ended"] == "interrupted"
    verdicts = {each["subject"]: each["verdict"] for each in report["verdicts"]}
    assert verdicts["goes-back-to-bed"] == "pass"
    assert verdicts["somebody-is-told"] == "inconclusive"


def test_a_wrong_cast_is_told_with_what_is_missing() -> None:
    done = harness(
        "scene", SCENES / "coming-home.yaml", "--cast", f"door={of('refrigerator')}",
        "--cast", f"light={LIGHT}", "--cast", f"radio={LIGHT}",
    )  # fmt: skip
    assert done.returncode == 2
    assert "no device plays climate" in done.stderr
    assert "radio is not one of its roles: door, light, climate" in done.stderr
    assert "refrigerator cannot play door: it does not offer DoorLock.LockState" in done.stderr


def test_a_scene_with_mistakes_is_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    text = (SCENES / "coming-home.yaml").read_text().replace("equals: Unlocked }]\n    then: [{ property: light", "equals: Ajar }]\n    then: [{ property: lamp")  # fmt: skip  # noqa: E501
    path.write_text(text.replace("title: Coming home", "titel: Coming home"))
    done = harness("scene", path)
    assert done.returncode == 2
    assert f"{path}:5: titel: unknown key" in done.stderr
    path.write_text(text)
    done = harness("scene", path)
    assert done.returncode == 2
    assert "automations[0].when[0].equals: is not a value of DoorLock.LockState" in done.stderr
    assert "automations[0].then[0].property: does not begin with a role of the scene; found lamp.OnOff.OnOff" in done.stderr  # fmt: skip  # noqa: E501


def test_the_scenes_of_the_old_device_are_played_with_the_new_one(tmp_path: Path) -> None:
    good = harness("compat", of("light"), of("light-zeta"), "--replaces", "--observe", "--report", tmp_path)
    assert "scene coming-home with light=light-zeta" in good.stdout
    assert "works as with light" in good.stdout
    assert (tmp_path / "scenes" / "index.html").exists()
    lost = harness("compat", of("air-conditioner"), of("light"), "--replaces", "--observe")
    assert lost.returncode == 1
    assert "light cannot play it: it does not offer Thermostat.SystemMode" in lost.stdout
    assert harness("compat", of("light"), of("light-zeta"), "--observe").returncode == 2


def test_the_catalogue_names_the_checks_of_several_devices() -> None:
    assert "COMPAT-16" in harness("checks").stdout
    explained = harness("checks", "COMPAT-16")
    assert "harness check A B --together" in " ".join(explained.stdout.split())
