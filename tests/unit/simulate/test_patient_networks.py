"""What a device does for hours: pauses that grow to minutes, records that expire after 75 of them."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import mdns_peer
import pytest
from mqtt_bench import Bench, on_bench, profile_with
from zeroconf import IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

from harness.trace.events import Refusal

HOUR = 3600.0
TTL = 75 * 60.0  # RFC 6762, 10
CLEANUP = 11.0  # zeroconf looks for expired records every ten seconds


def test_pauses_grow_to_minutes_and_the_device_comes_back_after_hours() -> None:
    async def test(bench: Bench) -> None:
        await asyncio.sleep(5)
        bench.tap.refuse(Refusal.RESET)
        mark, lost = bench.mark, bench.recorder.now
        bench.tap.drop()
        await asyncio.sleep(3 * HOUR)
        times = [lost, *bench.openings(mark)]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(150 - 0.01 <= pause <= 300 + 0.01 for pause in pauses[9:])
        assert len(pauses) <= 10 + 3 * HOUR / 150
        assert max(pauses) - min(pauses[9:]) > 10, (
            "devices that lost their broker together must not return so"
        )
        bench.tap.accept()
        await bench.ready(within=301)

    on_bench(test, profile_with({"reconnect": {"first": 1, "maximum": 300}}, reconnect=400))


async def found(expected: ServiceStateChange, changes: asyncio.Queue[Any]) -> float:
    """When the browser told of that change."""
    change, at = await changes.get()
    assert change is expected
    return float(at)


def test_a_stock_browser_keeps_a_device_for_hours_and_forgets_one_that_vanished_after_its_ttl() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        changes: asyncio.Queue[tuple[ServiceStateChange, float]] = asyncio.Queue()

        def changed(zeroconf: Any, service_type: str, name: str, state_change: ServiceStateChange) -> None:
            if state_change is not ServiceStateChange.Updated:
                changes.put_nowait((state_change, loop.time()))

        device = mdns_peer.front()
        browser_host = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
        try:
            async with mdns_peer.starting(device) as started:
                browser = AsyncServiceBrowser(browser_host.zeroconf, mdns_peer.COAP_TYPE, handlers=[changed])
                await started
                await found(ServiceStateChange.Added, changes)
                await asyncio.sleep(3 * HOUR)
                assert changes.empty(), "its records are asked for again, and answered, before they expire"
                await device.kill()  # without a goodbye
                gone = loop.time()
                forgotten = await found(ServiceStateChange.Removed, changes)
                assert TTL / 5 - CLEANUP <= forgotten - gone <= TTL + CLEANUP
                await browser.async_cancel()
        finally:
            await browser_host.async_close()

    mdns_peer.run(main())


@pytest.mark.parametrize("quiet", [TTL - 60, 12 * HOUR])
def test_a_device_answers_after_any_silence(quiet: float) -> None:
    async def main() -> None:
        async with mdns_peer.bench() as (_, peer):
            await asyncio.sleep(quiet)
            packets = await peer.ask(mdns_peer.Question(mdns_peer.TYPE, mdns_peer.PTR))
            record = mdns_peer.only(mdns_peer.records(packets), mdns_peer.TYPE, mdns_peer.PTR)
            assert record.ttl == TTL

    mdns_peer.run(main())
