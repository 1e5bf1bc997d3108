from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import PLUG, ROOT, command, environment, harness, start

HEAVY = (
    "pydantic",
    "pytest",
    "hypothesis",
    "paho",
    "zeroconf",
    "aiocoap",
    "amqtt",
    "asyncio",
    "rich",
    "yaml",
)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_checks_lists_the_catalogue_and_explains_one() -> None:
    listing = harness("checks")
    assert listing.returncode == 0
    assert "COAP-CORE-05" in listing.stdout
    one = harness("checks", "COAP-CORE-05")
    assert one.returncode == 0
    for part in ("RFC 7252", "4.3", "purpose", "usual cause"):
        assert part in one.stdout


def test_an_unknown_check_exits_2_and_names_near_ones() -> None:
    done = harness("checks", "COAP-CORE-5")
    assert done.returncode == 2
    assert "COAP-CORE-05" in done.stderr


def test_a_new_profile_is_valid_as_it_is(tmp_path: Path) -> None:
    assert harness("profile", "new", "my-lamp", "--kind", "light", cwd=tmp_path).returncode == 0
    valid = harness("profile", "validate", "my-lamp.yaml", cwd=tmp_path)
    assert valid.returncode == 0, valid.stderr
    again = harness("profile", "new", "my-lamp", cwd=tmp_path)
    assert again.returncode == 2
    assert "my-lamp.yaml" in again.stderr


def test_validate_reports_all_mistakes(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    text = (
        PLUG.read_text().replace("keep_alive: 15", "keep_alive: soon").replace("type: boolean", "type: bool")
    )
    broken.write_text(text)
    done = harness("profile", "validate", broken, PLUG)
    assert done.returncode == 2
    assert "keep_alive" in done.stderr
    assert "boolean" in done.stderr
    assert "smart-plug.yaml: valid" in done.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_show_tells_what_a_profile_says(path: Path) -> None:
    done = harness("profile", "show", path)
    assert done.returncode == 0
    assert path.stem in done.stdout


def test_simulate_lists_faults_of_a_profile() -> None:
    done = harness("simulate", PLUG, "--list-faults")
    assert done.returncode == 0
    assert "range-unchecked" in done.stdout


def test_simulate_runs_until_it_is_stopped() -> None:
    process = start("simulate", PLUG)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "ready" in line:
            break
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0, rest
    assert any("smart-plug" in line and "mqtt" in line for line in lines)
    assert "Traceback" not in rest


def test_simulate_without_a_profile_exits_2() -> None:
    done = harness("simulate")
    assert done.returncode == 2
    assert "profile" in done.stderr


def test_simulate_many_devices_tells_rates_and_stops_in_order() -> None:
    options = ("--count", "40", "--only", "mqtt", "--report-every", "2", "--rates", "1")
    process = start("simulate", PLUG, *options)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "40 connected" in line:
            break
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert "Traceback" not in rest
    assert "40 × smart-plug\n" in lines
    assert not any("unit" in line for line in lines)


def test_simulate_says_what_is_wrong_with_its_options() -> None:
    for options, word in (
        (("--only", "coap"), "mqtt, mdns"),
        (("--report-every", "0"), "--report-every"),
        (("--count", "0"), "--count"),
        (("--rates", "-1"), "--rates"),
    ):
        done = harness("simulate", PLUG, *options)
        assert done.returncode == 2
        assert word in done.stderr


def test_simulate_needs_room_for_its_sockets() -> None:
    limited = f"ulimit -n 300 && exec {shlex.join(command('simulate', PLUG, '--count', '200'))}"
    done = subprocess.run(
        ["sh", "-c", limited], capture_output=True, text=True, env=environment(), timeout=60
    )
    assert done.returncode == 2
    assert "open files" in done.stderr
    assert "Traceback" not in done.stderr


def test_simulate_takes_patterns_in_quotes() -> None:
    done = harness("simulate", ROOT / "profiles" / "smart-*.yaml", "--list-faults")
    assert done.returncode == 0
    assert "range-unchecked" in done.stdout
