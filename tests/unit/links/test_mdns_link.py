"""The multicast DNS link against python-zeroconf and scripted neighbours, on loopback multicast."""

from __future__ import annotations

import socket

import pytest
from mdns_parts import GROUP, Names, Neighbour, ask, fresh_address, opened, packets, seen, zeroconf_device
from udp_peers import run

from harness.links.errors import LinkError
from harness.links.mdns.link import MdnsLink
from harness.links.mdns.search import SERVICE_TYPES
from harness.trace.events import Act, Direction, MdnsPacket, Stimulus
from harness.trace.recorder import Recorder
from harness.wire import mdns
from harness.wire.mdns.codec import (
    Ptr,
    Question,
    RecordType,
)


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


@pytest.mark.parametrize(
    ("interface", "text"), [("eth0", "not an IPv4 address"), ("192.0.2.99", "has the address 192.0.2.99")]
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
            with pytest.raises(LinkError, match="another program uses UDP port 5353"):
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
