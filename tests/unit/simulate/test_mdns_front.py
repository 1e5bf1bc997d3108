"""The mDNS front on a real link: claiming names, announcing, answering."""

import asyncio
import itertools
import socket
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdns_peer import (
    AAAA,
    ANY,
    COAP_INSTANCE,
    COAP_TYPE,
    HOST,
    HOST_LABEL,
    HOST_NAME,
    INSTANCE,
    NSEC,
    OTHER,
    PEER,
    PROFILE,
    PTR,
    SRV,
    THIRD,
    TXT,
    TYPE,
    A,
    bench,
    front,
    listening,
    only,
    records,
    run,
    starting,
)

from harness.model.profile import Profile
from harness.wire.mdns.codec import (
    Address,
    Nsec,
    Ptr,
    Question,
    Srv,
    Txt,
    decode,
    encode_query,
    encode_response,
    record,
)

SERVICES = "_services._dns-sd._udp.local."


WIRE_NAME = bytes([len(HOST_LABEL)]) + HOST_LABEL.encode() + b"\x05local\0"


# Claiming and announcing


def test_it_probes_three_times_and_announces_twice() -> None:
    async def main() -> None:
        start = asyncio.get_running_loop().time()
        async with listening() as peer, starting(front()):
            await asyncio.sleep(3600)
            probes, announcements = peer.seen[:3], peer.seen[3:]
            assert 0 <= probes[0].time - start <= 0.25
            for earlier, later in itertools.pairwise((*probes, announcements[0])):
                assert later.time - earlier.time == pytest.approx(0.25, abs=0.01)
            for probe in probes:
                assert not probe.message.response
                assert not probe.message.problems
                asked = {(q.name, q.type, q.unicast_response) for q in probe.message.questions}
                assert asked == {(name, ANY, True) for name in (HOST_NAME, INSTANCE, COAP_INSTANCE)}
                proposed = {(r.name, r.type) for r in probe.message.authorities}
                services = {(name, kind) for name in (INSTANCE, COAP_INSTANCE) for kind in (SRV, TXT)}
                assert proposed == {(HOST_NAME, A)} | services
            first, second = announcements
            assert second.time - first.time == pytest.approx(1, abs=0.01)
            assert first.message == second.message
            message = first.message
            assert (message.response, message.authoritative, message.id, message.questions) == (
                True,
                True,
                0,
                (),
            )
            assert not message.problems
            assert {r.cache_flush for r in message.answers if r.type == PTR} == {False}
            assert {r.cache_flush for r in message.answers if r.type != PTR} == {True}
            assert {(r.type, r.ttl) for r in message.answers} == {
                (A, 120),
                (SRV, 120),
                (TXT, 4500),
                (PTR, 4500),
            }
            assert only(message.answers, HOST_NAME, A).data == Address(HOST)
            srv = only(message.answers, INSTANCE, SRV).data
            assert isinstance(srv, Srv)
            assert (srv.port, srv.target) == (81, HOST_NAME)
            assert only(message.answers, INSTANCE, TXT).data == Txt((b"id=42", b"empty="))
            assert only(message.answers, COAP_INSTANCE, TXT).data == Txt((b"",))
            assert only(message.answers, TYPE, PTR).data == Ptr(INSTANCE)
            assert only(message.answers, f"_plug._sub.{TYPE}", PTR).data == Ptr(INSTANCE)

    run(main())


def test_an_orderly_stop_says_goodbye_and_a_loss_of_power_does_not() -> None:
    async def main() -> None:
        async with bench() as (device, peer):
            announced = peer.seen[-1].message
            before = len(peer.seen)
            await device.stop()
            await asyncio.sleep(5)
            (goodbye,) = peer.seen[before:]
            assert {r.ttl for r in goodbye.message.answers} == {0}
            assert {(r.name, r.rdata) for r in goodbye.message.answers} == {
                (r.name, r.rdata) for r in announced.answers
            }
            await device.start()
            await asyncio.sleep(5)
            before = len(peer.seen)
            await device.kill()
            await asyncio.sleep(5)
            assert peer.seen[before:] == []

    run(main())


@pytest.mark.parametrize("denied", ["host", "instance"])
def test_a_denied_name_is_given_up(denied: str) -> None:
    name = HOST_NAME if denied == "host" else INSTANCE
    data = Address("1.2.3.4") if denied == "host" else Srv(0, 0, 1, "other.local.")

    async def main() -> None:
        device = front()
        async with listening() as peer, starting(device) as started:

            def deny() -> None:
                asked = peer.seen[-1].message.questions if peer.seen else ()
                if any(question.name == name for question in asked):
                    peer.send(encode_response([record(name, data, ttl=120, cache_flush=True)]))

            watcher = asyncio.create_task(watch(peer, deny))
            await started
            watcher.cancel()
            await asyncio.sleep(3)
            told = records(seen for seen in peer.seen if seen.message.response)
            if denied == "host":
                assert device.host_name == f"{HOST_LABEL}-2.local."
                assert {r.name for r in told if r.type == A} == {device.host_name}
                assert {r.data.target for r in told if isinstance(r.data, Srv)} == {device.host_name}
            else:
                assert device.instances == ("Tested Plug 1.2 (2)", HOST_LABEL)
                assert INSTANCE not in {r.name for r in told}
                assert device.host_name == HOST_NAME
            # The new names were probed for, too.
            last = [seen.message for seen in peer.seen if not seen.message.response][-3:]
            assert all(name not in {q.name for q in probe.questions} for probe in last)

    async def watch(peer, act) -> None:  # type: ignore[no-untyped-def]
        while True:
            peer._news.clear()
            await peer._news.wait()
            act()

    run(main())


def simultaneous_probe(*data) -> bytes:  # type: ignore[no-untyped-def]
    proposed = [record(HOST_NAME, each, ttl=120) for each in data]
    return encode_query([Question(HOST_NAME, ANY, unicast_response=True)], authorities=proposed)


@pytest.mark.parametrize(
    ("theirs", "loses"),
    [
        ([Address("127.0.0.1")], False),
        ([Address(HOST)], False),
        ([Address("200.0.0.1")], True),  # greater only when bytes are unsigned
        ([Address("10.0.0.1"), Address("250.0.0.1")], False),  # the first difference decides
        ([Address(HOST), Address(OTHER)], True),  # more records win when all before are equal
    ],
    ids=["earlier", "same", "later", "first decides", "more records"],
)
def test_simultaneous_probes_are_decided_by_the_records(theirs: list[Address], loses: bool) -> None:
    async def main() -> None:
        device = front()
        async with listening() as peer, starting(device) as started:
            await asyncio.sleep(0.3)
            assert len(peer.seen) == 1
            now = asyncio.get_running_loop().time()
            peer.send(simultaneous_probe(*theirs))
            await started
            probes = [seen for seen in peer.seen if not seen.message.response]
            if loses:
                assert len(probes) == 4
                assert 1 <= probes[1].time - now <= 1.3
            else:
                assert len(probes) == 3
            assert device.host_name == HOST_NAME

    run(main())


def test_after_many_conflicts_it_is_patient() -> None:
    async def main() -> None:
        device = front()
        async with listening() as peer, starting(device) as started:
            tries = []
            loop = asyncio.get_running_loop()
            while len(tries) < 25:
                peer._news.clear()
                await peer._news.wait()
                name = peer.seen[-1].message.questions[0].name
                tries.append(loop.time())
                peer.send(encode_response([record(name, Address("1.2.3.4"), ttl=120, cache_flush=True)]))
            gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
            assert all(gap >= 5 for gap in gaps[15:])
            assert all(gap < 1 for gap in gaps[:13])
            await started
            assert device.host_name == f"{HOST_LABEL}-26.local."

    run(main())


def test_a_later_conflict_leads_to_new_probes() -> None:
    async def main() -> None:
        async with bench() as (device, peer):
            peer.send(encode_response([record(HOST_NAME, Address("1.2.3.4"), ttl=120, cache_flush=True)]))
            packets = await peer.packets(10)
            kinds = [seen.message.response for seen in packets]
            assert kinds == [False, False, False, True, True]
            # Nobody defended the name, so it is kept.
            assert device.host_name == HOST_NAME
            same = only(records(packets), HOST_NAME, A)
            peer.send(encode_response([same]))
            assert await peer.packets(10) == []
            # One that others hold for short only is told anew.
            peer.send(encode_response([replace(same, ttl=20)]))
            (told,) = await peer.packets(10)
            assert told.types() == [A]

    run(main())


def test_two_devices_with_the_same_names_find_different_ones() -> None:
    async def main() -> None:
        first, second = front(), front(seed=1, host=OTHER)
        async with listening(), starting(first, second) as started:
            await started
            await asyncio.sleep(5)
            assert {first.host_name, second.host_name} == {HOST_NAME, f"{HOST_LABEL}-2.local."}
            assert {first.instances[0], second.instances[0]} == {"Tested Plug 1.2", "Tested Plug 1.2 (2)"}

    run(main())


# Answers


@pytest.mark.parametrize(
    ("name", "type", "answers", "additionals"),
    [
        (HOST_NAME, A, {A}, {NSEC}),
        (HOST_NAME.upper(), A, {A}, {NSEC}),
        (HOST_NAME, ANY, {A}, {NSEC}),
        (HOST_NAME, AAAA, {NSEC}, set()),
        (HOST_NAME, 13, {NSEC}, set()),
        (INSTANCE, SRV, {SRV}, {A, NSEC}),
        (INSTANCE, TXT, {TXT}, set()),
        (INSTANCE.title(), ANY, {SRV, TXT}, {A, NSEC}),
        (INSTANCE, A, {NSEC}, set()),
        (TYPE, PTR, {PTR}, {SRV, TXT, A, NSEC}),
        (TYPE.upper(), ANY, {PTR}, {SRV, TXT, A, NSEC}),
        (f"_plug._sub.{TYPE}", PTR, {PTR}, {SRV, TXT, A, NSEC}),
        (SERVICES, PTR, {PTR}, set()),
    ],
    ids=[f"question {number}" for number in range(13)],  # the names differ between processes
)
def test_answers(name: str, type: int, answers: set[int], additionals: set[int]) -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            asked = asyncio.get_running_loop().time()
            seen = await peer.answer(Question(name, type))
            message = seen.message
            assert seen.multicast
            assert seen.source == (HOST, 5353)
            assert not message.problems
            assert (message.id, message.questions, message.authorities) == (0, (), ())
            assert set(seen.types()) == answers
            assert {r.type for r in message.additionals} == additionals
            delay = seen.time - asked
            assert 0.02 <= delay <= 0.121 if PTR in answers else delay <= 0.01

    run(main())


def test_negative_answers_tell_what_there_is() -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            for name, types in ((HOST_NAME, (A,)), (INSTANCE, (TXT, SRV))):
                (nsec,) = (await peer.answer(Question(name, AAAA))).message.answers
                assert nsec.cache_flush
                assert nsec.data == Nsec(name, types)

    run(main())


def test_all_types_are_enumerated() -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            seen = await peer.answer(Question(SERVICES, PTR))
            assert {r.data for r in seen.message.answers} == {Ptr(TYPE), Ptr(COAP_TYPE)}

    run(main())


@pytest.mark.parametrize(
    "question",
    [Question("other.local.", A), Question(TYPE, SRV), Question("_other._tcp.local.", PTR)],
    ids=["A", "SRV", "PTR"],
)
def test_what_it_does_not_have_it_does_not_answer(question: Question) -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            assert await peer.ask(question) == []

    run(main())


def test_every_question_of_a_query_is_answered() -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            seen = await peer.answer(
                Question(HOST_NAME, A),
                Question("other.local.", A),
                Question(TYPE, PTR),
                Question(INSTANCE, SRV),
                Question(COAP_INSTANCE, TXT),
            )
            assert sorted(seen.types()) == sorted([A, PTR, SRV, TXT])

    run(main())


@pytest.mark.parametrize(("ttl", "silent"), [(4500, True), (2250, True), (2249, False), (0, False)])
def test_known_answers_are_not_told_again(ttl: int, silent: bool) -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            known = record(TYPE, Ptr(INSTANCE.upper()), ttl=ttl)
            packets = await peer.ask(Question(TYPE, PTR), known=[known])
            assert (packets == []) is silent
            other = record(TYPE, Ptr(f"other.{TYPE}"), ttl=4500)
            assert await peer.ask(Question(TYPE, PTR), known=[other])

    run(main())


def test_known_answers_may_come_in_a_second_packet() -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            known = [record(TYPE, Ptr(INSTANCE), ttl=4500)]
            peer.send(encode_query([Question(TYPE, PTR), Question(HOST_NAME, A)], truncated=True))
            await asyncio.sleep(0.1)
            peer.send(encode_query([], known_answers=known))
            (seen,) = await peer.packets(5)
            assert seen.types() == [A]
            # Without it, all is answered in the end.
            await asyncio.sleep(5)
            seen = await peer.answer(Question(TYPE, PTR), truncated=True)
            assert seen.types() == [PTR]

    run(main())


def test_no_record_is_multicast_twice_within_a_second() -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            start = len(peer.seen)
            for _ in range(20):
                peer.send(
                    encode_query([Question(TYPE, PTR), Question(HOST_NAME, A), Question(INSTANCE, SRV)])
                )
                await asyncio.sleep(0.05)
            await asyncio.sleep(5)
            times: dict[tuple[str, int], list[float]] = {}
            for seen in peer.seen[start:]:
                for each in seen.message.records:
                    times.setdefault((each.name, each.type), []).append(seen.time)
            assert times[TYPE, PTR]
            for moments in times.values():
                assert len(moments) <= 2
                assert all(later - earlier >= 0.999 for earlier, later in itertools.pairwise(moments))

    run(main())


def test_unicast_answers_when_asked_for_and_the_group_knows() -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            question = Question(HOST_NAME, A, unicast_response=True)
            seen = await peer.answer(question)
            assert not seen.multicast
            assert seen.types() == [A]
            await asyncio.sleep(31)  # more than a quarter of the TTL
            assert (await peer.answer(question)).multicast
            # A query that did not come by multicast is answered to its sender.
            peer.send(encode_query([Question(HOST_NAME, A)]), (HOST, 5353))
            (direct,) = await peer.packets(5)
            assert not direct.multicast

    run(main())


@pytest.mark.parametrize("unicast", [True, False])
def test_names_are_defended_at_once(unicast: bool) -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            for name, proposed, kinds in (
                (HOST_NAME, Address("1.2.3.4"), [A]),
                (INSTANCE, Srv(0, 0, 1, "other.local."), [SRV, TXT]),
            ):
                loop = asyncio.get_running_loop()
                for _ in range(2):
                    start = loop.time()
                    packets = await peer.ask(
                        Question(name, ANY, unicast_response=unicast),
                        authorities=[record(name, proposed, ttl=120)],
                        within=0.3,
                    )
                    assert packets[0].types() == kinds
                    assert packets[0].time - start <= 0.25
                    assert packets[0].multicast is not unicast

    run(main())


@pytest.mark.parametrize("type", [A, SRV, PTR], ids=["A", "SRV", "PTR"])
def test_plain_dns_clients_get_plain_answers(type: int) -> None:
    name = {A: HOST_NAME, SRV: INSTANCE, PTR: TYPE}[type]

    async def main() -> None:
        async with bench() as (_, peer):
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                client.bind((PEER, 0))
                client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(PEER))
                client.sendto(encode_query([Question(name, type)], id=0x1234), ("224.0.0.251", 5353))
                data, source = await loop.sock_recvfrom(client, 9000)
            message = decode(data)
            assert source == (HOST, 5353)
            assert message.id == 0x1234
            assert [(q.name, q.type) for q in message.questions] == [(name, type)]
            assert {r.type for r in message.answers} == {type}
            assert all(r.ttl <= 10 and not r.cache_flush for r in message.records)
            assert not any(isinstance(r.data, Srv) and r.data.compressed for r in message.records)
            assert await peer.packets(5) == []

    run(main())


def test_it_answers_for_ever() -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            for pause in (*[30] * 20, 5000, 86400):
                await asyncio.sleep(pause)
                assert (await peer.answer(Question(HOST_NAME, A), within=2)).types() == [A]

    run(main())


def test_large_answers_are_split() -> None:
    data = PROFILE.model_dump(by_alias=True)
    service = data["bindings"]["mdns"]["services"][0]
    service["txt"] = {f"key{number}": "x" * 200 for number in range(5)}
    data["bindings"]["mdns"]["services"] = [service | {"instance": f"Number {number}"} for number in range(4)]

    async def main() -> None:
        async with bench(Profile.model_validate(data)) as (_, peer):
            announced = [seen for seen in peer.seen if seen.message.response]
            assert len(announced) > 2
            assert not any(seen.message.problems for seen in announced)
            assert len({r.rdata for r in records(announced) if r.type == TXT}) == 1
            assert sum(r.type == TXT for r in records(announced)) == 8

    run(main())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.tuples(
                st.sampled_from([b"\0\0\0\0", b"\0\0\x84\0"]),
                st.binary(min_size=8, max_size=8),
                st.lists(st.sampled_from([WIRE_NAME, b"\xc0\x0c", b"\xc0\xff", b"\0\1\0\1"])),
                st.binary(max_size=20),
            ).map(lambda parts: parts[0] + parts[1] + b"".join(parts[2]) + parts[3]),
        ),
        max_size=5,
    )
)
def test_no_packet_does_harm(packets: list[bytes]) -> None:
    async def main() -> None:
        async with bench() as (_, peer):
            for packet in packets:
                peer.send(packet)
            await asyncio.sleep(20)
            found = records(await peer.ask(Question(HOST_NAME, A)))
            assert [r.type for r in found] == [A]

    run(main())


# Peers that others wrote


def test_zeroconf_finds_it_and_sees_it_leave() -> None:
    from zeroconf import IPVersion
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

    # zeroconf joins labels with dots, so it cannot tell a dot inside a label from one between two.
    data = PROFILE.model_dump(by_alias=True)
    data["bindings"]["mdns"]["services"][0]["instance"] = "Tested Plug"

    async def main() -> None:
        async with AsyncZeroconf(interfaces=[THIRD], ip_version=IPVersion.V4Only) as zc:
            changes: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
            browser = AsyncServiceBrowser(
                zc.zeroconf,
                [TYPE],
                handlers=[
                    lambda zeroconf, service_type, name, state_change: changes.put_nowait(
                        (name, state_change.name)
                    )
                ],
            )
            async with bench(Profile.model_validate(data)) as (device, _):
                assert await changes.get() == (f"Tested Plug.{TYPE}", "Added")
                info = AsyncServiceInfo(TYPE, f"Tested Plug.{TYPE}")
                assert await info.async_request(zc.zeroconf, 3000)
                assert (info.parsed_addresses(), info.port, info.server) == ([HOST], 81, HOST_NAME)
                assert info.properties == {b"id": b"42", b"empty": b""}
                await device.stop()
                while (change := await changes.get())[1] != "Removed":
                    assert change[1] == "Updated"
            await browser.async_cancel()

    run(main())


def test_an_address_that_is_not_there_is_an_error() -> None:
    async def main() -> None:
        device = front(host="192.0.2.1")
        with pytest.raises(OSError, match=r"no multicast DNS on 192\.0\.2\.1"):
            await device.start()
        await device.kill()

    run(main())
