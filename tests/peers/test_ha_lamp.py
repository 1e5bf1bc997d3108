"""An MQTT device on a library that others wrote, through the tap (docs/peers.md tells what was found)."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from tests.cli.running import ROOT, command
from tests.peers.programs import CHECK_LIMIT, Program, Verdicts, own_address, verdicts_in

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        importlib.util.find_spec("ha_mqtt_discoverable") is None,
        reason="ha-mqtt-discoverable is not installed (pip install -r fixtures/peers/requirements.txt)",
    ),
]

PROFILE = ROOT / "fixtures" / "profiles" / "ha-lamp.yaml"
LAMP = ROOT / "fixtures" / "peers" / "ha_lamp.py"


async def checked_lamp(folder: Path, *options: str, lamp: tuple[str, ...] = ()) -> Verdicts:
    """The verdicts on a lamp that finds the harness in the place of its broker."""
    host = own_address()
    listening = ("--listen", f"{host}:1883")
    async with (
        Program([sys.executable, LAMP, host, "1883", *lamp]),
        Program(command("check", PROFILE, *listening, *options, "--report", folder)) as run,
    ):
        await run.ends(within=CHECK_LIMIT)
        return verdicts_in(folder, run)


def test_the_lamp_is_judged_as_looked_into(tmp_path: Path) -> None:
    verdicts = asyncio.run(checked_lamp(tmp_path))
    assert verdicts.not_passed == {}, verdicts.told
    assert verdicts.passed("mqtt")
