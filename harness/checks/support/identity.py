"""Identity of a device on each transport: model, version, serial number, info pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.checks.bench import Bench
from harness.checks.case import Case
from harness.checks.support.mdns.names import names_of
from harness.checks.support.mdns.records_seen import Packet, sent_records
from harness.model.bindings.coap import ContentFormat
from harness.model.bindings.mdns import MdnsService
from harness.model.requirement import BenchFeature
from harness.trace.events import CoapDatagram, Direction, Event, TcpProbe
from harness.wire import coap, mdns
from harness.wire.mdns.codec import RecordType

MEANINGS = {
    "id": ("id", "serial", "unit"),
    "model": ("model", "md", "mn", "ty"),
    "firmware": ("firmware", "fw", "version", "sw", "fw_ver"),
}
"""Keys of TXT records and info pages by meaning, as vendors name them."""


@dataclass(frozen=True)
class Claim:
    """One key of a TXT record of the device."""

    service: MdnsService
    key: str
    value: str
    packet: Packet


def claims(case: Case) -> Iterator[Claim]:
    """The keys and values of the newest TXT records of the device."""
    for service in names_of(case).services:
        records = sent_records(case, service.name, RecordType.TXT)
        data = records[-1].record.data if records else None
        if isinstance(data, mdns.Txt):
            for key, value in mdns.txt_pairs(data.strings):
                text = (value or b"").decode("utf-8", "replace")
                yield Claim(service.declared, key.lower(), text, records[-1].packet)


@dataclass(frozen=True)
class Page:
    """A JSON object with which the device describes itself."""

    members: dict[str, Any]
    event: Event


def pages_of(case: Case) -> Iterator[Page]:
    """The JSON objects that the device sent in the window, over HTTP or CoAP."""
    for event in case.window:
        body = event.body
        text = b""
        if isinstance(body, TcpProbe):
            text = body.answer.partition(b"\r\n\r\n")[2]
        elif isinstance(body, CoapDatagram) and body.direction is Direction.FROM_DUT:
            text = coap.decode(body.raw).payload
        try:
            decoded = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(decoded, dict):
            yield Page(decoded, event)


async def read_resources(bench: Bench) -> None:
    """Read the fixed JSON resources of the device over CoAP, if it has any."""
    binding = bench.profile.bindings.coap
    if binding is None or not bench.offers(BenchFeature.COAP):
        return
    endpoint = await bench.coap.endpoint()
    for resource in binding.resources:
        if resource.format is ContentFormat.JSON and not resource.takes:
            mid, token = bench.coap.next_mid(), bench.coap.next_token()
            await endpoint.request(coap.request(coap.Code.GET, resource.path, mid=mid, token=token))


def meaning_of(key: str) -> str | None:
    """The meaning of a key: ``id``, ``model`` or ``firmware``; None if it has none of these."""
    return next((meaning for meaning, keys in MEANINGS.items() if key.lower() in keys), None)
