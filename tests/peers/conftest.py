from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.namespaces import Link


@pytest.fixture
def link() -> Iterator[Link]:
    """An Ethernet of two ends that nobody else is on."""
    link = Link()
    yield link
    link.close()
