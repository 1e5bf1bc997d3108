"""The encodings in which a secret may appear on the network."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote


def forms_of(secret: str) -> Iterator[bytes]:
    """The unencrypted encodings of a text."""
    raw = secret.encode()
    yield raw
    yield base64.b64encode(raw).rstrip(b"=")
    yield raw.hex().encode()
    yield quote(secret, safe="").encode()
