"""The example server of libcoap: known verdicts, each looked into (docs/peers.md tells who is right)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.cli.running import ROOT
from tests.conftest import needs
from tests.peers.programs import Program, Verdicts, check, output, own_address

pytestmark = [pytest.mark.peer, needs("coap-server-notls"), needs("coap-client-notls")]

PROFILE = ROOT / "fixtures" / "profiles" / "libcoap-server.yaml"

# Of libcoap 4.3.1. Everything else that applies passes.
KNOWN = {
    "COAP-BLOCK-03": "fail",  # takes the reserved block size 7
    "COAP-CORE-01": "fail",  # resets messages of unknown versions
    "COAP-CORE-07": "fail",  # acknowledges the reserved code 6.00
    "COAP-CORE-08": "fail",  # answers a request that came as an acknowledgement
    "COAP-CORE-23": "fail",  # takes Accept twice
    "COAP-CORE-36": "fail",  # does not look at Accept
    "COAP-CORE-37": "warn",  # stores whatever Content-Format it is given
    "DEV-04[example_data]": "fail",  # stores bytes that are no text
    "DEV-09[example_data]": "fail",  # and tells the Content-Format that it stored
    "PROFILE-22": "fail",  # leaves Content-Format out
}

# They wait until the server gives its client up, a minute and a half, and pass.
LONG = "COAP-OBS-08 and not COAP-CORE-12"
# They take more than two seconds each, and run at night.
SLOW = f"{LONG} and not COAP-CORE-07 and not COAP-CORE-11 and not COAP-OBS-16 and not PROFILE-22"


@pytest.mark.parametrize(
    "without", [SLOW, pytest.param(LONG, marks=pytest.mark.nightly)], ids=["quick checks", "all checks"]
)
def test_the_server_of_libcoap_is_judged_as_looked_into(tmp_path: Path, without: str) -> None:
    verdicts = asyncio.run(checked_server(tmp_path, without))
    expected = {name: verdict for name, verdict in KNOWN.items() if name.split("[")[0] not in without}
    assert verdicts.not_passed == expected, verdicts.told
    assert verdicts.status == 1
    assert len(verdicts.passed("coap")) > 20


async def checked_server(folder: Path, without: str) -> Verdicts:
    """The verdicts on a server that was given a short text to keep, and a long one to make a resource of."""
    base = f"coap://{own_address()}"
    long = folder / "long.txt"
    long.write_text("0123456789" * 300)
    put = ("coap-client-notls", "-m", "put", "-t", "0")
    async with Program(["coap-server-notls", "-A", own_address(), "-d", "1", "-v", "7"]) as server:
        await server.says("created UDP")
        await output(*put, "-e", "short", f"{base}/example_data")
        await output(*put, "-f", long, f"{base}/log")
        return await check(PROFILE, "--coap", base, report=folder / "out", without=without)
