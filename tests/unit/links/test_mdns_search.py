"""Finding a device by name: what is asked, and what the answers add up to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdns_parts import Names, Neighbour, fresh_address, opened, zeroconf_device
from udp_peers import run

from harness.links.errors import LinkError
from harness.links.mdns.link import MdnsLink
from harness.links.mdns.search import (
    SERVICE_TYPES,
    Found,
    Search,
    Service,
)
from harness.trace.events import Direction
from harness.trace.recorder import Recorder
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Address,
    Ptr,
    Question,
    Record,
    RecordType,
)


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
    assert search.explain() == "no service was seen"


def test_a_foreign_address_record_does_not_become_the_address_of_the_device() -> None:
    names = Names()
    search = Search(names.label)
    search.hear(mdns.decode(mdns.encode_response(names.records("192.0.2.66"))), "192.0.2.99")
    assert search.result() is None, "the packet came from elsewhere"
    search.hear(mdns.decode(mdns.encode_response(names.records("192.0.2.7"))), "192.0.2.7")
    search.hear(mdns.decode(mdns.encode_response(names.records("192.0.2.66"))), "192.0.2.99")
    search.accept_hearsay()
    found = search.result()
    assert found and found.address == "192.0.2.7"


def test_an_address_told_by_another_host_is_believed_when_the_device_is_silent() -> None:
    names = Names()
    search = Search(names.label)
    search.hear(mdns.decode(mdns.encode_response(names.records("192.0.2.7"))), "192.0.2.99")
    search.accept_hearsay()
    found = search.result()
    assert found and found.address == "192.0.2.7"


def test_the_link_waits_for_the_device_itself() -> None:
    async def main(recorder: Recorder) -> None:
        names = Names()
        with Neighbour() as device, Neighbour() as other:
            async with opened(MdnsLink(recorder)) as link:
                search = asyncio.create_task(link.find(names.host, within=30))
                await recorder.wait_for(lambda event: event.body.direction is Direction.TO_DUT, within=30)  # type: ignore[union-attr]
                other.send(mdns.encode_response(names.records("192.0.2.66")[3:]))
                await asyncio.sleep(0.1)
                device.send(mdns.encode_response(names.records(device.address)[3:]))
                assert (await search).address == device.address

    run(main, virtual=True)


@given(st.text(max_size=80))
def test_search_takes_any_name(text: str) -> None:
    questions = list(Search(text).questions())
    assert mdns.decode(mdns.encode_query(questions)).problems == ()


@given(st.binary(max_size=200))
def test_search_takes_any_packet(raw: bytes) -> None:
    search = Search("plug")
    search.hear(mdns.decode(raw))
    assert search.explain()
