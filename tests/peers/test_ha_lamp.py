"""An MQTT device on a library that others wrote, through the tap (docs/peers.md tells what was found)."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from tests.cli.running import ROOT
from tests.peers.programs import Program, Verdicts, check, own_address

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        importlib.util.find_spec("ha_mqtt_discoverable") is None,
        reason="ha-mqtt-discoverable is not installed (pip install -r fixtures/peers/requirements.txt)",
    ),
]

PROFILE = ROOT / "fixtures" / "profiles" / "ha-lamp.yaml"
LAMP = ROOT / "fixtures" / "peers" / "ha_lamp.py"


# Of ha-mqtt-discoverable 0.26.0 on paho-mqtt 2.2.0. Everything else that applies passes.
KNOWN = {
    "DEV-03[brightness]": "fail",  # takes NaN, and publishes it
    "DEV-04[brightness]": "fail",  # takes true for a number
    "DEV-04[light]": "fail",  # takes whatever is not ON for OFF
    "DEV-09[brightness]": "fail",  # tells what it took
    "DEV-10": "fail",  # NaN is not JSON
    "DEV-16": "warn",  # a broker that lost everything is told the state by the next change only
    "MQTT-DEV-012": "fail",  # goes on after ill-formed UTF-8
    "MQTT-DEV-013": "fail",  # goes on after reserved flags
    "MQTT-DEV-023": "warn",  # after a connection that ends at once it comes back a second later, every time
    "PROFILE-05": "fail",  # does not publish its state again after a reconnection
    "PROFILE-63": "inconclusive",  # so there is no state to compare
}
# They wait for the keep-alive of paho, a minute, and pass.
LONG = "MQTT-DEV-018 and not MQTT-DEV-019 and not DEV-17"
# They take more than two seconds each, and run at night.
SLOW = f"{LONG} and not MQTT-DEV-012 and not MQTT-DEV-013 and not MQTT-DEV-022 and not MQTT-DEV-023" + (
    " and not DEV-16 and not DEV-20 and not DEV-24 and not PROFILE-05 and not PROFILE-63"
)


@pytest.mark.parametrize(
    "without", [SLOW, pytest.param(LONG, marks=pytest.mark.nightly)], ids=["quick checks", "all checks"]
)
def test_the_lamp_is_judged_as_looked_into(tmp_path: Path, without: str) -> None:
    verdicts = asyncio.run(checked_lamp(tmp_path, without=without))
    expected = {name: verdict for name, verdict in KNOWN.items() if name.split("[")[0] not in without}
    assert verdicts.not_passed == expected, verdicts.told
    assert len(verdicts.passed("mqtt")) > 15


def test_the_lamp_of_the_documentation_does_not_outlive_a_wrong_type(tmp_path: Path) -> None:
    """The example there lets the client's thread end; what is seen is a lamp that obeys no more."""
    verdicts = asyncio.run(checked_lamp(tmp_path, "--select", "DEV-04[brightness]", lamp="--by-the-book"))
    assert verdicts.not_passed == {"DEV-04[brightness]": "fail"}
    assert "did not execute the legal command" in verdicts.told


async def checked_lamp(folder: Path, *options: str, without: str | None = None, lamp: str = "") -> Verdicts:
    """The verdicts on a lamp that finds the harness in the place of its broker."""
    host = own_address()
    async with Program([sys.executable, LAMP, host, "1883", lamp]):
        return await check(PROFILE, "--listen", f"{host}:1883", *options, report=folder, without=without)
