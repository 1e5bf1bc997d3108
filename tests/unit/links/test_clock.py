"""Virtual time over real sockets: in-process peers, executor threads, and every protocol stack in use."""

import asyncio
import importlib
import itertools
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiocoap
import aiocoap.error
import aiocoap.resource
import paho.mqtt.client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zeroconf import (
    DNSIncoming,
    DNSOutgoing,
    DNSPointer,
    IPVersion,
    ServiceStateChange,
    current_time_millis,
)
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from harness.links.clock import (
    library_clocks as foreign_clocks,
)
from harness.links.clock import (
    loop as clock,
)
from harness.links.clock.library_clocks import ForeignClock
from harness.links.clock.loop import (
    ClockError,
    run,
)

LOOPBACK = "127.0.0.1"
MDNS = ("224.0.0.251", 5353)


def now() -> float:
    return asyncio.get_running_loop().time()


def foreign_clocks_are_real() -> bool:
    return (
        abs(paho.mqtt.client.time_func() - time.monotonic()) < 60
        and abs(current_time_millis() / 1000 - time.monotonic()) < 60
        and aiocoap.protocol.time is time
    )


# -- the loop


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_timers_fire_on_time_and_in_order(delays: list[float]) -> None:
    async def main() -> list[tuple[float, float]]:
        start = now()
        fired: list[tuple[float, float]] = []

        async def sleeper(delay: float) -> None:
            await asyncio.sleep(delay)
            fired.append((delay, now() - start))

        await asyncio.gather(*(sleeper(delay) for delay in delays))
        return fired

    fired = run(main(), virtual=True)
    assert [at for _, at in fired] == sorted(at for _, at in fired)
    assert sorted(delay for delay, _ in fired) == sorted(delays)
    for delay, at in fired:
        assert at == pytest.approx(delay, abs=1e-5)


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(0, 30))
@settings(max_examples=50, deadline=None)
def test_timers_for_the_same_time_fire_in_the_order_in_which_they_were_set(
    delays: list[int], others: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        fired: list[tuple[int, int]] = []
        for number, delay in enumerate(delays):
            loop.call_later(delay, fired.append, (delay, number))
            for other in range(others):  # those of other devices
                loop.call_later(other / 10, lambda: None)
        await asyncio.sleep(10)
        assert fired == sorted(fired)

    run(main(), virtual=True)


def test_two_runs_are_alike() -> None:
    async def main() -> list[float]:
        times = []
        for delay in (0.1, 7.3, 86400.0 * 30):
            await asyncio.sleep(delay)
            times.append(now())
        return times

    assert run(main(), virtual=True) == run(main(), virtual=True)


def test_data_under_way_is_faster_than_any_timer() -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()

        server = await asyncio.start_server(echo, LOOPBACK, 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for size in [1, 100_000] * 50:
                start = now()
                async with asyncio.timeout(1e-6):
                    writer.write(bytes(size))
                    await reader.readexactly(size)
                assert now() == start
            writer.close()
            await writer.wait_closed()

    run(main(), virtual=True)


def test_no_jump_while_a_thread_works() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        start = now()
        async with asyncio.timeout(3600):
            await loop.run_in_executor(None, threading.Event().wait, 0.05)  # a time the thread really takes
            await loop.getaddrinfo("localhost", 80)
        assert now() == start
        await asyncio.sleep(7200)  # and it jumps again afterwards
        assert now() - start == pytest.approx(7200)

    run(main(), virtual=True)


def test_deadline_holds_while_a_thread_hangs() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        release = threading.Event()
        hanging = loop.run_in_executor(None, release.wait)
        start = now()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.shield(hanging)
        assert now() - start == pytest.approx(0.05, abs=1e-5)
        release.set()
        await hanging

    run(main(), virtual=True)


def test_without_a_timer_it_waits_for_the_outside() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            start = now()
            threading.Thread(target=theirs.sendall, args=(b"x",)).start()
            assert await loop.sock_recv(ours, 1) == b"x"
            assert now() == start

    run(main(), virtual=True)


def test_real_time_is_the_ordinary_loop() -> None:
    async def main() -> bool:
        return abs(now() - time.monotonic()) < 60 and foreign_clocks_are_real()

    assert run(main())


def test_result_and_exception_come_through() -> None:
    async def fails() -> None:
        raise LookupError("mine")

    for virtual in (False, True):
        with pytest.raises(LookupError, match="mine"):
            run(fails(), virtual=virtual)


# -- nothing stays behind


@pytest.mark.parametrize("fails", [False, True])
def test_stacks_have_the_loop_clock_during_the_run_only(fails: bool) -> None:
    async def main() -> None:
        await asyncio.sleep(100_000_000)
        assert paho.mqtt.client.time_func() == now()
        assert current_time_millis() == now() * 1000
        assert aiocoap.protocol.time.time() == now()
        if fails:
            raise LookupError("mine")

    assert foreign_clocks_are_real()
    if fails:
        with pytest.raises(LookupError):
            run(main(), virtual=True)
    else:
        run(main(), virtual=True)
    assert foreign_clocks_are_real()


async def never() -> None:
    raise AssertionError("must not start")


def test_unknown_version_of_a_stack_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = ForeignClock("paho-mqtt", "paho.mqtt.client", "no_such_clock", lambda: 0.0)
    monkeypatch.setattr(foreign_clocks, "FOREIGN_CLOCKS", (*foreign_clocks.FOREIGN_CLOCKS, unknown))
    with pytest.raises(ClockError, match=r"paho\.mqtt\.client has no no_such_clock"):
        run(never(), virtual=True)
    assert foreign_clocks_are_real()


def test_a_stack_that_does_not_ask_for_the_time_where_it_used_to_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = [
        replace(foreign, name="__name__") if foreign.library == "zeroconf" else foreign
        for foreign in foreign_clocks.FOREIGN_CLOCKS
    ]
    monkeypatch.setattr(foreign_clocks, "FOREIGN_CLOCKS", tuple(elsewhere))
    with pytest.raises(ClockError, match="zeroconf is at"):
        run(never(), virtual=True)
    assert foreign_clocks_are_real()


@pytest.mark.parametrize("foreign", foreign_clocks.FOREIGN_CLOCKS, ids=lambda foreign: foreign.module)
def test_a_stack_that_goes_back_to_its_own_clock_is_noticed_and_not_forgotten(
    foreign: ForeignClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(foreign.module)
    own = getattr(module, foreign.name)

    async def main() -> None:
        assert clock.clock_drift_reason() is None
        await asyncio.sleep(3600)
        assert clock.clock_drift_reason() is None
        with monkeypatch.context() as its_own:
            its_own.setattr(module, foreign.name, own)
            assert foreign.library in (clock.clock_drift_reason() or "")
        assert foreign.library in (clock.clock_drift_reason() or "")

    run(main(), virtual=True)


def test_in_real_time_nobody_has_to_agree() -> None:
    async def main() -> str | None:
        return clock.clock_drift_reason()

    assert run(main()) is None


# -- zeroconf, over multicast on loopback


class Link:
    """Two zeroconf hosts on loopback, and everything that is sent about one service type."""

    def __init__(self) -> None:
        self.type = f"_v{uuid.uuid4().hex[:10]}._tcp.local."
        self.changes: asyncio.Queue[tuple[ServiceStateChange, float]] = asyncio.Queue()
        self.packets: list[tuple[float, DNSIncoming]] = []

    async def __aenter__(self) -> "Link":
        self.server = AsyncZeroconf(interfaces=[LOOPBACK], ip_version=IPVersion.V4Only)
        self.client = AsyncZeroconf(interfaces=[LOOPBACK], ip_version=IPVersion.V4Only)
        self.sniffer, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Sniffer(self.heard), sock=group_socket()
        )
        return self

    async def __aexit__(self, *problem: object) -> None:
        self.sniffer.close()
        await self.client.async_close()
        await self.server.async_close()

    def heard(self, raw: bytes) -> None:
        packet = DNSIncoming(raw)
        names = {question.name for question in packet.questions} | {r.name for r in packet.answers()}
        if any(self.type in name for name in names):
            self.packets.append((now(), packet))

    def browse(self) -> AsyncServiceBrowser:
        return AsyncServiceBrowser(self.client.zeroconf, self.type, handlers=[self._changed])

    def _changed(self, zeroconf: Any, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is not ServiceStateChange.Updated:
            self.changes.put_nowait((state_change, now()))

    def info(self) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            self.type,
            f"plug.{self.type}",
            80,
            addresses=[socket.inet_aton(LOOPBACK)],
            server=f"{self.type.split('.')[0][1:]}.local.",
            properties={"model": "x"},
        )


class Sniffer(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._heard(data)


def group_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.bind(("", MDNS[1]))
    here = socket.inet_aton(LOOPBACK)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(MDNS[0]) + here)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
    return sock


def test_zeroconf_registers_browses_and_says_goodbye() -> None:
    async def main() -> None:
        async with Link() as link:
            browser = link.browse()
            info = link.info()
            start = now()
            await (await link.server.async_register_service(info))
            change, at = await link.changes.get()
            assert change is ServiceStateChange.Added
            probes = [t for t, packet in link.packets if packet.is_query() and packet.num_authorities]
            # zeroconf waits at most 0.25 s, then probes three times, 0.5 s apart, and announces
            assert [later - first for first, later in itertools.pairwise(probes)] == [pytest.approx(0.5)] * 2
            assert 1.15 <= at - start <= 1.5
            found = AsyncServiceInfo(link.type, info.name)
            assert await found.async_request(link.client.zeroconf, 3000)
            assert found.port == 80

            await asyncio.sleep(2 * 3600)  # more than the TTL of 75 minutes: it must have been renewed
            assert link.changes.empty()
            left = now()
            await (await link.server.async_unregister_service(info))
            change, at = await link.changes.get()
            assert change is ServiceStateChange.Removed
            assert at - left <= 2
            await browser.async_cancel()

    run(main(), virtual=True)


def test_zeroconf_keeps_known_answers_to_itself() -> None:
    async def main() -> None:
        async with Link() as link:
            await (await link.server.async_register_service(link.info()))
            browser = link.browse()
            await link.changes.get()
            await asyncio.sleep(60)
            asked = [
                (at, packet)
                for at, packet in link.packets
                if packet.is_query() and not packet.num_authorities
            ]
            assert len(asked) >= 3
            assert all(packet.num_answers == 1 for _, packet in asked), "each tells what is known already"
            begin = asked[0][0]
            assert not [packet for at, packet in link.packets if packet.is_response() and at > begin]
            await browser.async_cancel()

    run(main(), virtual=True)


def test_zeroconf_lets_a_record_expire_after_its_ttl() -> None:
    async def main() -> None:
        async with Link() as link:
            browser = link.browse()
            out = DNSOutgoing(0x8400)
            out.add_answer_at_time(DNSPointer(link.type, 12, 1, 4500, f"gone.{link.type}"), 0)
            with group_socket() as dying:
                dying.sendto(out.packets()[0], MDNS)
            added, begin = await link.changes.get()
            removed, end = await link.changes.get()
            assert (added, removed) == (ServiceStateChange.Added, ServiceStateChange.Removed)
            assert 4500 <= end - begin <= 4511  # zeroconf looks for expired records every 10 s
            await browser.async_cancel()

    run(main(), virtual=True)


# -- aiocoap


def test_coap_exchange_times_out_in_virtual_time() -> None:
    async def main() -> None:
        context = await aiocoap.Context.create_client_context(transports=["udp6"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind((LOOPBACK, 0))
            request = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{LOOPBACK}:{deaf.getsockname()[1]}/")
            start = now()
            with pytest.raises(aiocoap.error.NetworkError):
                await context.request(request).response
            assert 45 <= now() - start <= 93.1  # MAX_TRANSMIT_SPAN to MAX_TRANSMIT_WAIT (RFC 7252, 4.8.2)
            deaf.setblocking(False)
            assert len([deaf.recv(100) for _ in range(5)]) == 5
        await context.shutdown()

    run(main(), virtual=True)


class Counter(aiocoap.resource.ObservableResource):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=b"%d" % self.count)


def test_coap_observation_for_hours() -> None:
    async def main() -> None:
        counter = Counter()
        site = aiocoap.resource.Site()
        site.add_resource(["count"], counter)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((LOOPBACK, 0))
            port = free.getsockname()[1]
        server = await aiocoap.Context.create_server_context(
            site, bind=(f"::ffff:{LOOPBACK}", port), transports=["udp6"]
        )
        client = await aiocoap.Context.create_client_context(transports=["udp6"])
        uri = f"coap://{LOOPBACK}:{port}/count"
        request = client.request(aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0))
        seen = [(await request.response).payload]
        notified = asyncio.Event()

        async def collect() -> None:
            async for message in request.observation:
                seen.append(message.payload)
                notified.set()

        collecting = asyncio.ensure_future(collect())
        for _ in range(4):
            await asyncio.sleep(3600)
            counter.count += 1
            counter.updated_state()
            await notified.wait()
            notified.clear()
        assert seen == [b"0", b"1", b"2", b"3", b"4"]
        request.observation.cancel()
        collecting.cancel()
        await client.shutdown()
        await server.shutdown()

    run(main(), virtual=True)
