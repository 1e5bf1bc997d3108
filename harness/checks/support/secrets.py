"""The forms in which a secret may appear in what a device sends."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote


def forms_of(secret: str) -> Iterator[bytes]:
    """How a text may stand in a packet without being encrypted."""
    raw = secret.encode()
    yield raw
    yield base64.b64encode(raw).rstrip(b"=")
    yield raw.hex().encode()
    yield quote(secret, safe="").encode()
