"""Eclipse Mosquitto in the place of the embedded broker, ours and somebody else's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.running import PLUG, command
from tests.conftest import needs
from tests.peers.external_mosquitto import NAME, PASSWORD, external_mosquitto, make_certificates
from tests.peers.programs import Program, Verdicts, check

pytestmark = [pytest.mark.peer, needs("mosquitto")]

# Waits for the keep-alive and for growing pauses, and what has nothing to do with a broker.
LONG = "MQTT-DEV-018 and not MQTT-DEV-019 and not DEV-17 and not MQTT-DEV-023 and not MDNS and not DNSSD"
# They take two to seven seconds each, and run at night: the broker has little to do with them.
SLOW = f"{LONG} and not MQTT-DEV-012 and not MQTT-DEV-013 and not MQTT-DEV-014 and not MQTT-DEV-015" + (
    " and not MQTT-DEV-022 and not DEV-20 and not PROFILE-61"
)
BRIEFLY = ("--select", "MQTT-DEV-00*", "--select", "DEV-01*")


@pytest.mark.parametrize(
    "without", [SLOW, pytest.param(LONG, marks=pytest.mark.nightly)], ids=["quick checks", "all checks"]
)
def test_mosquitto_of_our_own_leads_to_the_same_verdicts_as_the_embedded_broker(
    tmp_path: Path, without: str
) -> None:
    async def main() -> tuple[Verdicts, Verdicts]:
        simulated = (PLUG, "--simulate")
        embedded = await check(*simulated, "--virtual-time", report=tmp_path / "embedded", without=without)
        mosquitto = await check(
            *simulated, "--broker", "mosquitto", report=tmp_path / "mosquitto", without=without
        )
        return embedded, mosquitto

    embedded, mosquitto = asyncio.run(main())
    assert mosquitto.by_name == embedded.by_name, mosquitto.told
    assert mosquitto.status == 0


@needs("mosquitto_passwd")
@needs("openssl")
@pytest.mark.parametrize("secure", [False, True], ids=["password", "password and TLS"])
def test_a_broker_that_asks_for_a_login(tmp_path: Path, secure: bool) -> None:
    async def main() -> Verdicts:
        certificates = make_certificates(tmp_path) if secure else None
        ca = ("--ca", tmp_path / "ca.pem") if secure else ()
        async with external_mosquitto(tmp_path, login=True, certificates=certificates) as url:
            return await check(PLUG, "--simulate", "--broker", url, *ca, *BRIEFLY, report=tmp_path / "out")

    verdicts = asyncio.run(main())
    assert verdicts.status == 0, verdicts.told
    assert verdicts.passed("mqtt")
    trace = (tmp_path / "out" / "report.json").read_text() + verdicts.printed
    assert PASSWORD not in trace and quote(PASSWORD, safe="") not in trace


@needs("mosquitto_passwd")
def test_a_wrong_password_ends_in_one_clear_message(tmp_path: Path) -> None:
    async def main() -> Verdicts:
        async with external_mosquitto(tmp_path, login=True) as url:
            wrong = url.replace(quote(PASSWORD, safe=""), "letmein")
            return await check(PLUG, "--simulate", "--broker", wrong, *BRIEFLY, report=tmp_path / "out")

    verdicts = asyncio.run(main())
    assert verdicts.status == 3
    assert set(verdicts.not_passed.values()) == {"inconclusive"}
    assert f"check the user name and password of {NAME}" in verdicts.printed
    assert "letmein" not in verdicts.printed


@pytest.mark.parametrize(
    "login", [pytest.param(False, marks=pytest.mark.nightly), True], ids=["open", "with login"]
)
@needs("mosquitto_passwd")
def test_a_device_on_a_broker_out_of_our_control(tmp_path: Path, login: bool) -> None:
    """Only what can be seen and done as one more client of that broker is checked."""

    async def main() -> Verdicts:
        async with (
            external_mosquitto(tmp_path, login=login) as url,
            Program(command("simulate", PLUG, "--broker", url)) as device,
        ):
            await device.says("ready")
            return await check(PLUG, "--mqtt", url, report=tmp_path / "out")

    verdicts = asyncio.run(main())
    assert verdicts.status == 0, verdicts.told
    assert len(verdicts.passed("behaviour")) > 20
    reasons = verdicts.reasons("not-applicable")
    assert "not connected through the tap" in reasons["MQTT-DEV-001"]
    assert "nothing here can operate the controls of the device" in reasons["PROFILE-61[overheat-trips]"]
