"""A device that shares no code with the harness, on a link of its own (docs/independent-device.md)."""

from __future__ import annotations

import ast
import asyncio
import getpass
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiocoap
import pytest

from fixtures.peers.independent.faults import FAULTS, FIRST, SECOND, TLS
from harness.links.mqtt.brokers.mosquitto import find_program
from harness.model.ics import ics_of, known_ics
from harness.model.loading.profiles import load_profile
from tests.peers.external_mosquitto import make_certificates
from tests.peers.independent import DEVICE, FOLDER, KNOWN_MISSED, checked, entries, expected_of, profile_of
from tests.peers.namespaces import Link, needs_namespaces
from tests.peers.programs import Program, Verdicts, check, own_address

Ask = Callable[..., Awaitable[aiocoap.Message]]

GROUP = "224.0.1.187"  # all CoAP nodes

# Of each area some that need no long wait.
SHORT = (
    *("MQTT-DEV-001", "MQTT-DEV-008", "MQTT-DEV-013", "MQTT-DEV-045", "PROFILE-01"),
    *("COAP-CORE-03", "COAP-CORE-21", "COAP-OBS-01", "COAP-BLOCK-01", "COAP-LINK-01", "COAP-CORE-30"),
    *("MDNS-15", "MDNS-16", "MDNS-19", "DNSSD-01", "DNSSD-10"),
    *("DEV-03[level/mqtt]", "DEV-08", "DEV-28", "PROFILE-65", "DNSSD-12"),
)
# Faults that do not disturb each other, and what each of them has to break.
TOGETHER = {
    "F-COAP-18": "COAP-CORE-27",
    "F-MDNS-08": "MDNS-08",
    "F-DEV-26": "DEV-08",
    "F-DEV-11": "DEV-03",
}


def selecting(names: tuple[str, ...]) -> list[str]:
    return [part for name in names for part in ("--select", name)]


def test_it_imports_nothing_of_the_harness() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            assert not [name for name in names if name.split(".")[0] in ("harness", "tests")], path


def test_its_profiles_claim_nine_tenths_of_the_items_of_the_networks() -> None:
    areas = ("MQTT.", "COAP.", "MDNS.", "DNSSD.")
    known = {item for item in known_ics() if item.startswith(areas)}
    claimed = {item for name in (FIRST, SECOND, TLS) for item in ics_of(load_profile(profile_of(name)))}
    assert len(known & claimed) / len(known) >= 0.9, sorted(known - claimed)


def test_its_faults_are_every_third_of_the_list() -> None:
    assert set(list(entries())[::3]) <= set(FAULTS)


@pytest.mark.peer
@needs_namespaces()
def test_it_passes_what_can_be_checked_at_once(link: Link, tmp_path: Path) -> None:
    verdicts = asyncio.run(checked(link, tmp_path, *selecting(SHORT)))
    assert not verdicts.not_passed, verdicts.told
    passed = {name.split("[")[0] for name, verdict in verdicts.by_name.items() if verdict == "pass"}
    assert passed == {name.split("[")[0] for name in SHORT}


@pytest.mark.peer
@needs_namespaces()
def test_faults_fail_the_checks_that_they_break_and_no_others(link: Link, tmp_path: Path) -> None:
    select = selecting((*TOGETHER.values(), "MQTT-DEV-008", "COAP-CORE-03", "MDNS-15"))
    verdicts = asyncio.run(checked(link, tmp_path, *select, faults=tuple(TOGETHER)))
    assert {name.split("[")[0] for name in verdicts.not_passed} == set(TOGETHER.values()), verdicts.told


@pytest.mark.peer
@pytest.mark.skipif(
    shutil.which("mosquitto") is None, reason="mosquitto is not installed (Debian: mosquitto)"
)
@pytest.mark.parametrize("option", ["--ca", pytest.param("--websocket", marks=pytest.mark.nightly)])
def test_it_speaks_mqtt_over_tls_and_in_a_websocket(tmp_path: Path, option: str) -> None:
    verdicts = asyncio.run(checked_over_tls(tmp_path, websocket=option == "--websocket"))
    assert not verdicts.not_passed, verdicts.told
    assert verdicts.by_name["DEV-01[level/mqtt/mqtt]"] == "pass"


async def checked_over_tls(folder: Path, *, websocket: bool) -> Verdicts:
    """The verdicts of a short run on the broker of a Mosquitto that speaks TLS only."""
    host, ca = own_address(), make_certificates(folder) / "ca.pem"
    secret = [f"certfile {folder}/broker.pem", f"keyfile {folder}/broker.key"]
    settings = [f"listener 8883 {host}", *secret, f"listener 8884 {host}", "protocol websockets", *secret]
    settings += ["allow_anonymous true", f"user {getpass.getuser()}", "log_dest stderr"]
    (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
    broker = f"{host}:{8884 if websocket else 8883}"
    device = [sys.executable, DEVICE, "--address", host, "--broker", broker, "--ca", ca, "--coap", "5683"]
    device += ["--websocket"] if websocket else []
    run = ["--mqtt", f"mqtts://{host}:8883", "--ca", ca, "--coap", f"coap://{host}"]
    checks = ("DEV-01[level/mqtt]", "DEV-01[target/mqtt]", "DEV-05")
    async with Program([find_program("mosquitto"), "-c", folder / "mosquitto.conf"]) as running:
        await running.says(" running")
        async with Program(device) as program:
            await program.says("ready")
            return await check(profile_of(TLS), *run, *selecting(checks), report=folder / "report")


@pytest.mark.peer
@pytest.mark.nightly
@needs_namespaces()
@pytest.mark.parametrize("power", [True, False], ids=["with-power", "without-power"])
@pytest.mark.parametrize("variant", [FIRST, SECOND])
def test_a_whole_run_finds_nothing(link: Link, tmp_path: Path, variant: str, power: bool) -> None:
    verdicts = asyncio.run(checked(link, tmp_path, variant=variant, power=power))
    assert not verdicts.not_passed, verdicts.told


@pytest.mark.peer
@pytest.mark.nightly
@needs_namespaces()
@pytest.mark.parametrize("fault", sorted(set(FAULTS) - set(KNOWN_MISSED)))
def test_a_fault_is_found(link: Link, tmp_path: Path, fault: str) -> None:
    expected = expected_of(fault)
    variant, _ = FAULTS[fault]
    verdicts = asyncio.run(checked(link, tmp_path, *selecting(expected), variant=variant, faults=(fault,)))
    failed = {name.split("[")[0] for name, verdict in verdicts.not_passed.items() if verdict == "fail"}
    assert failed & set(expected), verdicts.told


def test_it_has_the_coap_features_that_no_check_needs() -> None:
    """aiocoap's client meets conditional requests, FETCH, iPATCH, DELETE, Block1 and No-Response."""
    asyncio.run(asked_by_aiocoap())


async def asked_by_aiocoap() -> None:
    host = own_address()
    async with Program([sys.executable, DEVICE, "--address", host]) as program:
        await program.says("ready")
        client = await aiocoap.Context.create_client_context()

        async def ask(
            code: aiocoap.Code, path: str, payload: bytes = b"", **options: object
        ) -> aiocoap.Message:
            request = aiocoap.Message(code=code, uri=f"coap://{host}{path}", payload=payload, **options)
            return await client.request(request, handle_blockwise=False).response

        try:
            await conditional(ask)
            await partial(ask)
            await block_by_block(ask)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ask(aiocoap.PUT, "/level", b"50", no_response=26), 1)
            assert (await ask(aiocoap.GET, "/level")).payload == b"50"
        finally:
            await client.shutdown()


async def conditional(ask: Ask) -> None:
    tag = (await ask(aiocoap.GET, "/label")).opt.etags[0]
    assert (await ask(aiocoap.GET, "/label", etags=[tag])).code is aiocoap.VALID
    assert (await ask(aiocoap.PUT, "/label", b"x", if_none_match=True)).code is aiocoap.PRECONDITION_FAILED
    assert (await ask(aiocoap.PUT, "/label", b"x", if_match=[b"other"])).code is aiocoap.PRECONDITION_FAILED
    assert (await ask(aiocoap.PUT, "/label", b"x", if_match=[tag])).code is aiocoap.CHANGED
    assert (await ask(aiocoap.DELETE, "/label")).code is aiocoap.DELETED
    assert (await ask(aiocoap.GET, "/label")).payload == b""


async def partial(ask: Ask) -> None:
    patch = await ask(aiocoap.iPATCH, "/config", b'{"mode": "eco"}', content_format=52)
    assert patch.code is aiocoap.CHANGED
    assert (await ask(aiocoap.FETCH, "/config", b'["mode"]', content_format=50)).payload == b'{"mode": "eco"}'
    wrong = await ask(aiocoap.FETCH, "/config", b'["mode"]', content_format=0)
    assert wrong.code is aiocoap.UNSUPPORTED_CONTENT_FORMAT


async def block_by_block(ask: Ask) -> None:
    first = await ask(aiocoap.PUT, "/label", b"sixteen bytes...", block1=(0, True, 0))
    assert first.code is aiocoap.CONTINUE
    assert (await ask(aiocoap.PUT, "/label", b"late", block1=(2, False, 0))).code is (
        aiocoap.REQUEST_ENTITY_INCOMPLETE
    )
    assert (await ask(aiocoap.PUT, "/label", b" and more", block1=(1, False, 0))).code is aiocoap.BAD_REQUEST
    again = await ask(aiocoap.PUT, "/label", b"sixteen bytes...", block1=(0, True, 0))
    assert again.code is aiocoap.CONTINUE
    assert (await ask(aiocoap.PUT, "/label", b"more", block1=(1, False, 0))).code is aiocoap.CHANGED
    assert (await ask(aiocoap.GET, "/label")).payload == b"sixteen bytes...more"


def test_it_answers_a_multicast_request_without_errors() -> None:
    asyncio.run(asked_by_multicast())


async def asked_by_multicast() -> None:
    host = own_address()
    async with Program([sys.executable, DEVICE, "--address", host]) as program:
        await program.says("ready")
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        with client:
            client.bind((host, 0))
            for mid, path in ((1, b"nothing"), (2, b"level")):
                request = bytes([0x51, 1, 0, mid, mid, 0xB0 + len(path)]) + path
                await loop.sock_sendto(client, request, (GROUP, 5683))
            answer, who = await asyncio.wait_for(loop.sock_recvfrom(client, 1500), 8)
        assert (answer[1], answer[4], who) == (aiocoap.CONTENT, 2, (host, 5683))
