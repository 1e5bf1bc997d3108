from __future__ import annotations

import gc
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# A test is no slower for being run on a busy machine.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).parent.parent

PEERS = {
    "mosquitto": "Debian package mosquitto",
    "mosquitto_passwd": "Debian package mosquitto",
    "mosquitto_sub": "Debian package mosquitto-clients",
    "coap-server-notls": "Debian package libcoap3-bin",
    "coap-client-notls": "Debian package libcoap3-bin",
    "avahi-daemon": "Debian package avahi-daemon",
    "avahi-browse": "Debian package avahi-utils",
    "dbus-daemon": "Debian package dbus-daemon",
    "openssl": "Debian package openssl",
    "tshark": "Debian package tshark",
    "node": "Node.js",
    "ser2net": "Debian package ser2net",
}


@pytest.fixture
def profiles() -> Path:
    """The folder of the shipped profiles."""
    return ROOT / "profiles"


def needs(program: str) -> pytest.MarkDecorator:
    """Skip, with the reason, where a third-party program is not installed."""
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is not installed ({PEERS.get(program, program)})"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with peers come first, one after the other: they wait in real time, often for a quiet machine.

    With ``--dist worksteal`` the first process begins with them, while the others use the processor.
    """
    items.sort(key=lambda item: item.get_closest_marker("peer") is None)


def pytest_collection_finish() -> None:
    """What is loaded and collected by now stays: it is not looked through for garbage again and again."""
    gc.freeze()
