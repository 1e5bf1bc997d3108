"""A service that avahi-daemon announces: known verdicts, each looked into (see docs/peers.md)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.cli.running import ROOT
from tests.conftest import needs
from tests.peers.avahi import FIXTURES, avahi
from tests.peers.namespaces import OURS, Link, needs_namespaces
from tests.peers.programs import Program, Verdicts, check

pytestmark = [
    pytest.mark.peer,
    needs_namespaces(),
    needs("avahi-daemon"),
    needs("dbus-daemon"),
]

PROFILE = ROOT / "fixtures" / "profiles" / "avahi-http.yaml"

# Of Avahi 0.8. Everything else that applies passes.
KNOWN = {
    "MDNS-16": "fail",  # never says that a record does not exist
    "MDNS-20": "fail",  # is silent although the known answer is about to expire
    "MDNS-23": "fail",  # multicasts again after half a second
    "MDNS-25": "fail",  # compresses the target in answers to plain DNS clients
}


def test_avahi_is_judged_as_looked_into(link: Link, tmp_path: Path) -> None:
    async def main() -> Verdicts:
        website = [sys.executable, "-u", "-m", "http.server", "8080", "--directory", tmp_path]
        async with (
            avahi(link.theirs, service=FIXTURES / "avahi-http.service"),
            Program(website, inside=link.theirs) as web,
        ):
            await web.says("Serving")
            reached = ("--mdns", "Kitchen radio", "--interface", OURS)
            return await check(PROFILE, *reached, report=tmp_path / "out", inside=link.ours)

    verdicts = asyncio.run(main())
    assert verdicts.not_passed == KNOWN, verdicts.told
    assert len(verdicts.passed("mdns")) > 20


def test_a_name_that_nobody_has_ends_in_a_list_of_those_that_were_seen(link: Link, tmp_path: Path) -> None:
    async def main() -> Verdicts:
        async with avahi(link.theirs, service=FIXTURES / "avahi-http.service"):
            reached = ("--mdns", "Bathroom radio", "--interface", OURS)
            return await check(PROFILE, *reached, report=tmp_path / "out", inside=link.ours)

    verdicts = asyncio.run(main())
    assert verdicts.status == 3
    assert '"Kitchen radio" (_http._tcp)' in verdicts.printed


def test_our_own_address_need_not_be_given_where_there_is_a_way_out(link: Link, tmp_path: Path) -> None:
    link.ours.run("ip", "route", "add", "default", "dev", "lab")

    async def main() -> Verdicts:
        async with avahi(link.theirs, service=FIXTURES / "avahi-http.service"):
            reached = ("--mdns", "Kitchen radio", "--select", "MDNS-24")
            return await check(PROFILE, *reached, report=tmp_path / "out", inside=link.ours)

    verdicts = asyncio.run(main())
    assert verdicts.by_name == {"MDNS-24": "pass"}, verdicts.told
