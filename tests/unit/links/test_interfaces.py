"""The network interface that has an address."""

from __future__ import annotations

import sys
from ipaddress import IPv4Network

import pytest

from harness.links.net.interfaces import interface_of
from harness.wire.mdns.link_text import LinkProperties, link_text, parse_link_text


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_loopback_interface_is_known_by_its_address() -> None:
    found = interface_of("127.0.0.1")
    assert found is not None
    assert (found.network, found.mtu) == (IPv4Network("127.0.0.0/8"), 65536)


def test_an_address_of_no_interface_has_none() -> None:
    assert interface_of("192.0.2.123") is None


@pytest.mark.parametrize("text", ["", "mDNS: the link is nowhere with an MTU of 1500 bytes", "anything"])
def test_other_notes_say_nothing_about_the_link(text: str) -> None:
    assert parse_link_text(text) is None


def test_a_note_about_the_link_is_read_as_it_was_written() -> None:
    network = IPv4Network("192.0.2.0/24")
    assert parse_link_text(link_text(network, 1280)) == LinkProperties(network, 1280)
