"""The multicast DNS link against python-zeroconf and scripted responders, on loopback multicast.

Other programs may speak on the same loopback interface while this runs: names and addresses are of this test
run only, and nothing is concluded from what others may say.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import uuid
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from udp_peers import run
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from harness.links.errors import LinkError
from harness.links.mdns import MdnsLink
from harness.links.mdns_search import SERVICE_TYPES, Found, Search, Service
from harness.trace import mdns
from harness.trace.events import Act, Direction, Event, MdnsPacket, Stimulus
from harness.trace.mdns import Address, Ptr, Question, Record, RecordType, Srv, Txt
from harness.trace.recorder import Recorder

GROUP = "224.0.0.251:5353"
_numbers = itertools.count(1)


def fresh_address() -> str:
    """A loopback address that nobody else uses."""
    return f"127.{1 + os.getpid() % 14}.{os.getpid() // 14 % 250}.{next(_numbers)}"


class Names:
    """Names that no other test uses."""

    def __init__(self) -> None:
        unique = uuid.uuid4().hex[:8]
        self.type = f"_t{unique}._tcp.local."
        self.label = f"Plug {unique}"
        self.instance = mdns.join_name(self.label, f"_t{unique}", "_tcp", "local")
        self.host = f"plug-{unique}.local."

    def records(self, address: str) -> list[Record]:
        """What a device with these names says of itself."""
        return [
            mdns.record(self.type, Ptr(self.instance), ttl=4500),
            mdns.record(self.instance, Srv(0, 0, 8080, self.host), ttl=120, cache_flush=True),
            mdns.record(self.instance, Txt((b"model=1",)), ttl=4500, cache_flush=True),
            mdns.record(self.host, Address(address), ttl=120, cache_flush=True),
        ]


@contextlib.asynccontextmanager
async def opened(link: MdnsLink) -> AsyncIterator[MdnsLink]:
    await link.start()
    try:
        yield link
    finally:
        await link.close()


@contextlib.asynccontextmanager
async def zeroconf_device(names: Names, address: str) -> AsyncIterator[None]:
    """A device made with python-zeroconf; it is announced when this begins, and says goodbye at the end."""
    device = AsyncZeroconf(interfaces=[address])
    info = AsyncServiceInfo(
        names.type,
        f"{names.label}.{names.type}",
        addresses=[socket.inet_aton(address)],
        port=8080,
        server=names.host,
        properties={"model": "1"},
    )
    try:
        await (await device.async_register_service(info))
        yield
    finally:
        await device.async_close()


def ask(*names: str, type: int = RecordType.PTR, unicast: bool = False, id: int = 0) -> bytes:
    return mdns.encode_query([Question(name, type, unicast) for name in names], id=id)


def packets(recorder: Recorder, *directions: Direction) -> list[tuple[MdnsPacket, mdns.Message]]:
    bodies = [event.body for event in recorder.events]
    return [
        (body, mdns.decode(body.raw))
        for body in bodies
        if isinstance(body, MdnsPacket) and (not directions or body.direction in directions)
    ]


async def seen(recorder: Recorder, direction: Direction, **wanted: object) -> MdnsPacket:
    """Wait for a packet with these fields, if it is not there yet."""

    def matches(event: Event) -> bool:
        body = event.body
        return (
            isinstance(body, MdnsPacket)
            and body.direction is direction
            and all(getattr(body, name) == value for name, value in wanted.items())
        )

    event = await recorder.wait_for(matches, within=20, since=0)
    assert event and isinstance(event.body, MdnsPacket), f"no packet {direction} {wanted}"
    return event.body


def test_packets_of_the_device_are_recorded_from_the_first_probe_to_the_goodbye() -> None:
    async def main(recorder: Recorder) -> None:
        names, address = Names(), fresh_address()
        async with opened(MdnsLink(recorder, dut_address=address)):
            async with zeroconf_device(names, address):
                pass
            await recorder.wait_for(
                lambda event: (
                    isinstance(event.body, MdnsPacket)
                    and any(record.ttl == 0 for record in mdns.decode(event.body.raw).answers)
                ),
                within=10,
                since=0,
            )
        told = packets(recorder, Direction.FROM_DUT)
        assert all(body.source == f"{address}:5353" for body, _ in told)
        assert all(body.destination == GROUP and not body.unicast for body, _ in told)
        assert not told[0][1].response, "the first packet is a probe"
        ttls = [record.ttl for _, message in told for record in message.answers if message.response]
        assert 120 in ttls and 0 in ttls

    run(main, virtual=True)


def test_own_packets_are_recorded_once_and_answers_as_multicast() -> None:
    async def main(recorder: Recorder) -> None:
        names, address = Names(), fresh_address()
        async with (
            opened(MdnsLink(recorder, dut_address=address)) as link,
            zeroconf_device(names, address),
        ):
            event = link.send(ask(names.type), "a plain question")
            assert recorder.events[event.line - 2].body == Stimulus(
                Act.RAW, "a plain question", transport="mdns"
            )
            answer = await recorder.wait_for(
                lambda answer: (
                    isinstance(answer.body, MdnsPacket) and answer.body.direction is Direction.FROM_DUT
                ),
                within=10,
            )
            assert answer and isinstance(answer.body, MdnsPacket)
            assert (answer.body.destination, answer.body.unicast) == (GROUP, False)
            [(body, message)] = packets(recorder, Direction.TO_DUT)
            assert body == MdnsPacket(Direction.TO_DUT, f"{link.address}:5353", GROUP, body.raw)
            assert [question.name for question in message.questions] == [names.type]
            own = f"{link.address}:5353"
            assert not [body for body, _ in packets(recorder, Direction.OTHER) if body.source == own]

    run(main, virtual=True)


def test_unicast_answers_are_told_from_multicast_ones() -> None:
    async def main(recorder: Recorder) -> None:
        names, address = Names(), fresh_address()
        async with (
            opened(MdnsLink(recorder, dut_address=address)) as link,
            zeroconf_device(names, address),
        ):
            link.send(ask(names.type, unicast=True))
            answer = await seen(recorder, Direction.FROM_DUT, unicast=True)
            assert answer.destination == f"{link.address}:5353"
            assert mdns.decode(answer.raw).answers[0].data == Ptr(names.instance)

    run(main, virtual=True)


def test_legacy_queries_come_from_ports_of_their_own_and_answers_to_them_are_seen() -> None:
    async def main(recorder: Recorder) -> None:
        names, address = Names(), fresh_address()
        async with (
            opened(MdnsLink(recorder, dut_address=address)) as link,
            zeroconf_device(names, address),
        ):
            sources = []
            for id in (77, 78):
                event = link.send_legacy(ask(names.type, id=id), "a resolver without mDNS")
                assert isinstance(event.body, MdnsPacket) and event.body.direction is Direction.TO_DUT
                sources.append(event.body.source)
                answer = await seen(recorder, Direction.FROM_DUT, destination=event.body.source)
                assert answer.unicast and mdns.decode(answer.raw).id == id
            assert len({*sources, f"{link.address}:5353"}) == 3

    run(main, virtual=True)


class Neighbour:
    """Another host on the link: sends what the test says, from an address of its own."""

    def __init__(self, port: int = 5353) -> None:
        self.address = fresh_address()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self.address))
        self._socket.bind((self.address, port))

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(self, *problem: object) -> None:
        self._socket.close()

    def send(self, raw: bytes, to: tuple[str, int] = ("224.0.0.251", 5353)) -> None:
        self._socket.sendto(raw, to)


def test_of_others_only_what_concerns_the_device_is_recorded() -> None:
    async def main(recorder: Recorder) -> None:
        names, foreign = Names(), Names()
        given = [names.type, names.instance, names.host]
        with Neighbour() as neighbour:
            link = MdnsLink(recorder, dut_address=fresh_address(), names=given)
            async with opened(link):
                rival = mdns.encode_response(names.records(neighbour.address)[3:])
                concerning = [
                    ask(names.host.upper(), type=RecordType.A),
                    ask(foreign.type, names.type),
                    ask(SERVICE_TYPES),
                    rival,
                ]
                indifferent = [
                    ask(foreign.type),
                    mdns.encode_response(foreign.records(neighbour.address)),
                    # Another device of the same type is none of our business.
                    mdns.encode_response([mdns.record(names.type, Ptr(foreign.instance), ttl=4500)]),
                    b"",
                    b"garbage",
                ]
                for raw in [*indifferent, *concerning]:
                    neighbour.send(raw)
                await seen(recorder, Direction.OTHER, raw=rival)
                source = f"{neighbour.address}:5353"
                found = [body for body, _ in packets(recorder, Direction.OTHER) if body.source == source]
                assert [body.raw for body in found] == concerning
                assert {body.destination for body in found} == {GROUP}

    run(main)


def test_names_that_the_device_claims_are_followed() -> None:
    async def main(recorder: Recorder) -> None:
        names = Names()
        with Neighbour() as device, Neighbour() as neighbour:
            async with opened(MdnsLink(recorder, dut_address=device.address)):
                rival = mdns.encode_response(names.records(neighbour.address)[1:])
                neighbour.send(rival)
                device.send(mdns.encode_response(names.records(device.address)))
                await seen(recorder, Direction.FROM_DUT)
                assert not [body for body, _ in packets(recorder) if body.raw == rival]
                neighbour.send(rival)
                await seen(recorder, Direction.OTHER, raw=rival)
                question = ask(names.type)
                neighbour.send(question)
                await seen(recorder, Direction.OTHER, raw=question)

    run(main)


def test_names_that_the_device_probes_for_are_followed() -> None:
    async def main(recorder: Recorder) -> None:
        names = Names()
        with Neighbour() as device, Neighbour() as neighbour:
            async with opened(MdnsLink(recorder, dut_address=device.address)):
                own = names.records(device.address)
                device.send(
                    mdns.encode_query([Question(names.host, RecordType.ANY, True)], authorities=own[3:])
                )
                await seen(recorder, Direction.FROM_DUT)
                defence = mdns.encode_response(names.records(neighbour.address)[3:])
                neighbour.send(defence)
                await seen(recorder, Direction.OTHER, raw=defence)

    run(main)


def test_unicast_of_a_stranger_is_not_taken_for_the_device() -> None:
    async def main(recorder: Recorder) -> None:
        names = Names()
        with Neighbour() as device, Neighbour() as stranger:
            link = MdnsLink(recorder, dut_address=device.address, names=[names.instance])
            async with opened(link):
                for sender in (stranger, device):
                    raw = mdns.encode_response(names.records(sender.address))
                    sender.send(raw, (link.address, 5353))
                told = await seen(recorder, Direction.FROM_DUT, source=f"{device.address}:5353")
                other = await seen(recorder, Direction.OTHER, source=f"{stranger.address}:5353")
                assert told.unicast and other.unicast

    run(main)


def test_device_on_our_own_address_is_told_from_ourselves() -> None:
    async def main(recorder: Recorder) -> None:
        names = Names()
        with Neighbour() as device:
            link = MdnsLink(recorder, device.address, dut_address=device.address)
            async with opened(link):
                own = ask(names.type)
                link.send(own)
                answer = mdns.encode_response(names.records(device.address))
                device.send(answer)
                await seen(recorder, Direction.FROM_DUT)
                found = [(body.direction, body.raw) for body, _ in packets(recorder)]
                assert (Direction.TO_DUT, own) in found and (Direction.FROM_DUT, own) not in found
                assert (Direction.FROM_DUT, answer) in found

    run(main)


def test_links_of_one_process_have_addresses_of_their_own() -> None:
    async def main(recorder: Recorder) -> None:
        links = [MdnsLink(recorder) for _ in range(20)]
        assert len({link.address for link in links}) == 20
        assert MdnsLink(recorder, "192.0.2.7").address == "192.0.2.7"

    run(main)


@pytest.mark.parametrize("form", ["{label}", "{label}.{type}", "{host}", "{short}"])
def test_device_is_found_by_its_name(form: str) -> None:
    async def main(recorder: Recorder) -> None:
        names, address = Names(), fresh_address()
        wanted = form.format(
            label=names.label.upper(),
            type=names.type,
            host=names.host,
            short=names.host.removesuffix(".local."),
        )
        async with zeroconf_device(names, address), opened(MdnsLink(recorder)) as link:
            found = await link.find(wanted, within=30)
            assert (found.host, found.address) == (names.host, address)
            if form.startswith("{label}"):
                [service] = found.services
                assert (service.label, service.port) == (names.label, 8080)

    run(main, virtual=True)


def test_search_asks_again_when_the_answer_was_lost() -> None:
    async def main(recorder: Recorder) -> None:
        names = Names()
        with Neighbour() as device:
            async with opened(MdnsLink(recorder)) as link:
                search = asyncio.create_task(link.find(names.host, within=30))
                begin = recorder.now
                for _ in range(3):
                    await recorder.wait_for(lambda event: event.body.direction is Direction.TO_DUT, within=30)  # type: ignore[union-attr]
                assert recorder.now - begin == pytest.approx(3, abs=0.2)
                device.send(mdns.encode_response(names.records(device.address)[3:]))
                assert await search == Found(names.host, device.address, ())

    run(main, virtual=True)


def test_device_that_is_not_there_is_told_with_those_that_are() -> None:
    async def main(recorder: Recorder) -> None:
        names, address = Names(), fresh_address()
        async with zeroconf_device(names, address), opened(MdnsLink(recorder)) as link:
            with pytest.raises(LinkError) as caught:
                await link.find("Nobody at all", within=5)
            text = str(caught.value)
            assert "Nobody at all" in text and f'"{names.label}"' in text and link.address in text

    run(main, virtual=True)


def heard(search: Search, records: Iterable[Record]) -> None:
    search.hear(mdns.decode(mdns.encode_response(records)))


def test_search_goes_from_the_types_to_the_address() -> None:
    names = Names()
    type, instance, host = names.type, names.instance, names.host
    pointer, srv, txt, address = names.records("192.0.2.7")
    search = Search(names.label)
    assert Question(SERVICE_TYPES, RecordType.PTR) in search.questions()
    heard(search, [mdns.record(SERVICE_TYPES, Ptr(type), ttl=4500)])
    assert Question(type, RecordType.PTR) in search.questions()
    heard(search, [pointer])
    assert Question(instance, RecordType.SRV) in search.questions()
    assert search.result() is None and "SRV" in search.explain()
    heard(search, [srv, txt])
    assert Question(host, RecordType.A) in search.questions()
    assert search.result() is None and host in search.explain()
    heard(search, [address])
    service = Service(instance, 8080, host, (b"model=1",))
    assert search.result() == Found(host, "192.0.2.7", (service,))


def test_search_does_not_take_a_longer_name_for_the_wanted_one() -> None:
    names = Names()
    search = Search(names.label[:-1])
    heard(search, names.records("192.0.2.7"))
    assert search.result() is None
    assert f'"{names.label}"' in search.explain()


def test_search_knows_the_type_that_was_given_with_the_name() -> None:
    assert Question("_http._tcp.local.", RecordType.PTR) in Search("Plug 1.5._http._tcp.local").questions()
    assert Question("_ipp._tcp.local.", RecordType.PTR) in Search("Plug", ["_ipp._tcp.local."]).questions()


@pytest.mark.parametrize("by_host", [True, False])
def test_search_tells_that_only_ipv6_was_found(by_host: bool) -> None:
    names = Names()
    records = [*names.records("192.0.2.7")[:3], mdns.record(names.host, Address("2001:db8::7"), ttl=120)]
    search = Search(names.host if by_host else names.label)
    heard(search, records[3:] if by_host else records)
    assert search.result() is None
    assert "IPv4" in search.explain()


def test_search_does_not_take_a_goodbye_for_an_answer() -> None:
    names = Names()
    search = Search(names.host)
    heard(search, [mdns.record(names.host, Address("192.0.2.7"), ttl=0)])
    assert search.result() is None
    assert search.explain() == "no service was seen at all"


@given(st.text(max_size=80))
def test_search_takes_any_name(text: str) -> None:
    questions = list(Search(text).questions())
    assert mdns.decode(mdns.encode_query(questions)).problems == ()


@given(st.binary(max_size=200))
def test_search_takes_any_packet(raw: bytes) -> None:
    search = Search("plug")
    search.hear(mdns.decode(raw))
    assert search.explain()


@pytest.mark.parametrize(
    ("interface", "text"), [("eth0", "no IPv4 address"), ("192.0.2.99", "has the address 192.0.2.99")]
)
def test_wrong_interface_is_told_as_such(interface: str, text: str) -> None:
    async def main(recorder: Recorder) -> None:
        with pytest.raises(LinkError, match=text):
            await MdnsLink(recorder, interface).start()

    run(main)


def test_taken_port_is_told_as_such() -> None:
    async def main(recorder: Recorder) -> None:
        address = fresh_address()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as selfish:
            selfish.bind((address, 5353))
            with pytest.raises(LinkError, match="5353 is taken"):
                await MdnsLink(recorder, address).start()

    run(main)


def test_nothing_is_sent_before_start_and_after_close() -> None:
    async def main(recorder: Recorder) -> None:
        link = MdnsLink(recorder)
        for _ in range(2):
            for send in (link.send, link.send_legacy):
                with pytest.raises(LinkError, match="not open"):
                    send(ask(SERVICE_TYPES))
            await link.start()
            await link.close()
        assert not packets(recorder)

    run(main)
