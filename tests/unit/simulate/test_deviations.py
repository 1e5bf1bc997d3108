"""Habits of the CoAP and mDNS fronts show on the wire when they are bent, and chance has its seed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import coap_peer
import mdns_peer
import pytest
from mdns_peer import AAAA, COAP_INSTANCE, HOST_NAME, INSTANCE, PTR, SRV, TXT, TYPE, A, Peer

from harness.simulate.coap.deviations import Duplicates
from harness.simulate.mdns.responder import SimulatedMdnsResponder
from harness.wire.coap.codec import (
    Block,
    Code,
    Message,
    Option,
    Type,
    empty,
)
from harness.wire.mdns.codec import (
    Address,
    Ptr,
    Question,
    Srv,
    Txt,
    encode_response,
    record,
)

Probe = Callable[[coap_peer.Bench, coap_peer.Client], Awaitable[Any]]


async def collected(client: coap_peer.Client, within: float = 300) -> list[tuple[float, Message]]:
    """All that comes, with the time since now."""
    loop = asyncio.get_running_loop()
    start, found = loop.time(), []
    while (left := start + within - loop.time()) > 0:
        try:
            message = await client.next(left)
        except TimeoutError:
            break
        found.append((round(loop.time() - start, 1), message))
    return found


def sends(datagram: bytes) -> Probe:
    async def probe(_: Any, client: coap_peer.Client) -> Any:
        client.send(datagram)
        return [(m.type, m.code) for _, m in await collected(client, 5)]

    return probe


def asks(code: int, path: str, **fields: Any) -> Probe:
    """Asks twice; the answers' codes, payloads and options, and the power afterwards."""

    async def probe(device: Any, client: coap_peer.Client) -> Any:
        answers = [await client.ask(code, path, **fields) for _ in range(2)]
        shown = [(m.code, m.payload, m.content_format, m.block2, m.block1, m.option(4)) for m in answers]
        return shown, device.core.read("power"), device.core.read("target")

    return probe


def by_non(code: int, path: str, **fields: Any) -> Probe:
    async def probe(_: Any, client: coap_peer.Client) -> Any:
        client.send(client.request(code, path, type=Type.NON, **fields))
        return [(m.type, m.code) for _, m in await collected(client, 5)]

    return probe


async def repeats(_: Any, client: coap_peer.Client) -> Any:
    asked = client.request(Code.POST, "/restart")
    for _ in range(3):
        client.send(asked)
    return len(await collected(client, 5))


async def slow(_: Any, client: coap_peer.Client) -> Any:
    client.acknowledges = False
    client.send(client.request(Code.GET, "/slow"))
    return [(time, m.type) for time, m in await collected(client)]


async def own_message_ids(_: Any, client: coap_peer.Client) -> Any:
    client.send(client.request(Code.GET, "/slow"))
    return [m.mid for _, m in await collected(client, 5)][-1]


def observing(
    *, acknowledges: bool = True, then: str = "", pauses: float = 5, token: bytes = b"ob", profile: Any = None
) -> Probe:
    """Registers, lets the value change three times, and does something after the first change."""

    async def probe(device: Any, client: coap_peer.Client) -> Any:
        client.acknowledges = acknowledges
        first = await client.observe("/sensors/room", token=token)
        numbers, told = [first.observe], []
        for value in (1, 2, 3):
            device.core.sense("room", value)
            for _, message in await collected(client, pauses):
                numbers.append(message.observe)
                told.append((message.token, message.payload, message.type))
                if then == "reset":
                    client.send(empty(Type.RST, message.mid))
            if then == "deregister":
                await client.get("/sensors/room", observe=1, token=token)
            elif then == "get":
                await client.get("/sensors/room", token=token)
            elif then == "again":
                client.send(client.request(Code.GET, "/sensors/room", observe=0, token=token))
                await client.next()
        return numbers, told

    return probe


async def uploads(device: coap_peer.Bench, client: coap_peer.Client) -> Any:
    """Two clients upload at once."""
    other = await device.client()
    codes = []
    for sender, number, more in ((client, 0, True), (other, 0, True), (other, 1, True), (client, 1, False)):
        payload = b" " * 16 if number else b"17.5" + b" " * 12
        codes.append((await sender.put("/target", payload, block1=Block(number, more, 0))).code)
    return codes


LOG2 = {"block2": Block(1, False, 2)}
BLOCK = {"payload": b"17.5" + b" " * 12}

COAP: dict[str, tuple[dict[str, Any], Probe]] = {
    "strict_parsing": ({"strict_parsing": False}, sends(b"\x40\x01\0\x01\xb5power\xff")),
    "reset_format_errors": ({"reset_format_errors": False}, sends(b"\x40\x21\0\x01")),
    "answer_ping": ({"answer_ping": False}, sends(b"\x40\0\0\x01")),
    "duplicates": ({"duplicates": Duplicates.SILENT}, repeats),
    "early_acknowledgement": ({"early_acknowledgement": False}, slow),
    "retransmissions": ({"retransmissions": 7}, slow),
    "retransmission_factor": ({"retransmission_factor": 1.0}, slow),
    "message_id_start": ({"message_id_start": 1}, own_message_ids),
    "non_confirmable_answers": ({"non_confirmable_answers": False}, by_non(Code.GET, "/power")),
    "refuse_critical_options": (
        {"refuse_critical_options": False},
        asks(Code.GET, "/power", extra=[Option(65001, b"")]),
    ),
    "ignore_elective_options": (
        {"ignore_elective_options": False},
        asks(Code.GET, "/power", extra=[Option(65000, b"")]),
    ),
    "understand_uri_host": (
        {"understand_uri_host": False},
        asks(Code.GET, "/power", extra=[Option(3, b"host")]),
    ),
    "check_option_lengths": (
        {"check_option_lengths": False},
        asks(Code.GET, "/power", extra=[Option(17, b"\0\0\x32")]),
    ),
    "refuse_proxying": (
        {"refuse_proxying": False},
        asks(Code.GET, "/power", extra=[Option(35, b"coap://x")]),
    ),
    "obey_accept": ({"obey_accept": False}, asks(Code.GET, "/power", accept=60)),
    "check_content_format": (
        {"check_content_format": False},
        asks(Code.PUT, "/power", payload=b"true", content_format=60),
    ),
    "obey_preconditions": (
        {"obey_preconditions": False},
        asks(Code.PUT, "/power", payload=b"true", extra=[Option(5, b"")]),
    ),
    "errors_as": ({"errors_as": Code.INTERNAL_SERVER_ERROR}, asks(Code.GET, "/nothing")),
    "unknown_paths_found": ({"unknown_paths_found": True}, asks(Code.GET, "/nothing")),
    "get_has_side_effect": ({"get_has_side_effect": True}, asks(Code.GET, "/power")),
    "put_toggles": ({"put_toggles": True}, asks(Code.PUT, "/power", payload=b"true")),
    "observe_start": ({"observe_start": 5}, observing()),
    "observe_step": ({"observe_step": 0}, observing()),
    "observe_bits": ({"observe_bits": 2}, observing()),
    "observe_first_repeats": ({"observe_first_repeats": True}, observing()),
    "observe_lifetime": ({"observe_lifetime": 6}, observing()),
    "notify": ({"notify": False}, observing()),
    "echo_token": ({"echo_token": False}, observing()),
    "obey_reset": ({"obey_reset": False}, observing(acknowledges=False, then="reset")),
    "obey_deregistration": ({"obey_deregistration": False}, observing(then="deregister")),
    "replace_registration": ({"replace_registration": False}, observing(then="again")),
    "drop_silent_observers": ({"drop_silent_observers": False}, observing(acknowledges=False, pauses=100)),
    "plain_get_cancels": ({"plain_get_cancels": True}, observing(then="get")),
    "supersede": ({"supersede": False}, observing(acknowledges=False, pauses=2)),
    "check_block_fields": (
        {"check_block_fields": False},
        asks(Code.GET, "/log", block2=Block(999, False, 6)),
    ),
    "obey_block_size": ({"obey_block_size": False}, asks(Code.GET, "/log", **LOG2)),
    "block_etag": ({"block_etag": False}, asks(Code.GET, "/log", **LOG2)),
    "body_changes_between_blocks": ({"body_changes_between_blocks": True}, asks(Code.GET, "/log", **LOG2)),
    "atomic_upload": ({"atomic_upload": False}, asks(Code.PUT, "/target", block1=Block(0, True, 0), **BLOCK)),
    "check_missing_blocks": (
        {"check_missing_blocks": False},
        asks(Code.PUT, "/target", block1=Block(3, False, 0), **BLOCK),
    ),
    "maximum_body": ({"maximum_body": None}, asks(Code.PUT, "/power", payload=b"true" + b" " * 1050)),
    "separate_uploads": ({"separate_uploads": False}, uploads),
    "links_match": ({"links_match": False}, asks(Code.GET, "/.well-known/core")),
    "filter_links": ({"filter_links": False}, asks(Code.GET, "/.well-known/core?rt=switch")),
}
NON_ONLY = {
    "confirmable_every": {"confirmable_every": 6.0},
    "non_confirmable_spacing": {"non_confirmable_spacing": 0.0},
}


def coap_outcome(habits: dict[str, Any], probe: Probe, **binding: Any) -> Any:
    data = coap_peer.PROFILE.model_dump(by_alias=True)
    data["bindings"]["coap"] |= binding

    async def main() -> Any:
        profile = type(coap_peer.PROFILE).model_validate(data)
        async with coap_peer.bench(profile, **habits) as (device, client):
            return await probe(device, client)

    return coap_peer.run(main())


@pytest.mark.parametrize(("habits", "probe"), COAP.values(), ids=COAP)
def test_a_bent_coap_habit_shows(habits: dict[str, Any], probe: Probe) -> None:
    assert coap_outcome(habits, probe) != coap_outcome({}, probe)


@pytest.mark.parametrize("habits", NON_ONLY.values(), ids=NON_ONLY)
def test_a_bent_habit_of_non_confirmable_notifications_shows(habits: dict[str, Any]) -> None:
    probe = observing(pauses=1)
    if "confirmable_every" in habits:
        probe = observing(pauses=10)
    bent = coap_outcome(habits, probe, confirmable_notifications=False)
    assert bent != coap_outcome({}, probe, confirmable_notifications=False)


# mDNS


MdnsProbe = Callable[[SimulatedMdnsResponder, Peer], Awaitable[Any]]


def shown(packets: list[mdns_peer.Seen], start: float = 0) -> Any:
    """Packets in a form to compare; times to a hundredth."""
    return [
        (
            round(seen.time - start, 2),
            seen.multicast,
            seen.message.id,
            [(r.name, r.type, r.ttl, r.cache_flush, r.rdata) for r in seen.message.records],
        )
        for seen in packets
    ]


def mdns_asks(*questions: Question, times: int = 1, **fields: Any) -> MdnsProbe:
    async def probe(_: SimulatedMdnsResponder, peer: Peer) -> Any:
        start = asyncio.get_running_loop().time()
        found = []
        for _ in range(times):
            found += await peer.ask(*questions, within=0.3 if times > 1 else 5, **fields)
        return shown([*found, *await peer.packets(5)], start)

    return probe


async def from_the_start(_: SimulatedMdnsResponder, peer: Peer) -> Any:
    await asyncio.sleep(30)
    return shown(peer.seen)


def conflicting() -> bytes:
    return encode_response([record(HOST_NAME, Address("1.2.3.4"), ttl=120, cache_flush=True)])


async def contradicts(_: SimulatedMdnsResponder, peer: Peer) -> Any:
    peer.send(conflicting())
    return shown(await peer.packets(5))


async def repeats_its_address(_: SimulatedMdnsResponder, peer: Peer) -> Any:
    peer.send(encode_response([record(HOST_NAME, Address(mdns_peer.HOST), ttl=120, cache_flush=True)]))
    return shown(await peer.packets(5))


async def loses_its_name(_: SimulatedMdnsResponder, peer: Peer) -> Any:
    """Contradicted once and denied while it probes; asked for its old name at last."""
    peer.send(conflicting())
    await asyncio.sleep(0.3)  # it has probed once or twice by then
    peer.send(conflicting())
    await asyncio.sleep(5)
    return shown(await peer.ask(Question(HOST_NAME, A)))


async def stops(device: SimulatedMdnsResponder, peer: Peer) -> Any:
    before = len(peer.seen)
    await device.stop()
    await asyncio.sleep(1)
    return shown(peer.seen[before:])


async def denies(device: SimulatedMdnsResponder, peer: Peer) -> Any:
    """Every probe of a restarted device is denied for a while."""
    await device.kill()
    peer.seen.clear()
    restarted = asyncio.create_task(device.start())
    try:
        for _ in range(18):
            before = len(peer.seen)
            while len(peer.seen) == before and not restarted.done():
                await asyncio.wait({restarted}, timeout=0.05)
            names = peer.seen[-1].message.questions
            if names:
                theirs = record(names[0].name, Address("1.2.3.4"), ttl=120, cache_flush=True)
                peer.send(encode_response([theirs]))
        await restarted
    finally:
        restarted.cancel()
    return device.host_name, shown(peer.seen)


async def probes_against(device: SimulatedMdnsResponder, peer: Peer) -> Any:
    """Another host probes for the same name at the same time, with greater records."""
    await device.kill()
    peer.seen.clear()
    restarted = asyncio.create_task(device.start())
    await asyncio.sleep(0.3)
    question = Question(HOST_NAME, 255, unicast_response=True)
    await peer.ask(question, authorities=[record(HOST_NAME, Address("250.0.0.1"), ttl=120)])
    await restarted
    return len([seen for seen in peer.seen if not seen.message.response])


async def plain_dns(_: SimulatedMdnsResponder, peer: Peer) -> Any:
    """What a client on another port gets; the peer only hears what is multicast."""
    import socket

    from harness.wire.mdns.codec import encode_query

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((mdns_peer.PEER, 0))
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(mdns_peer.PEER))
        client.sendto(encode_query([Question(HOST_NAME, A)], id=7), ("224.0.0.251", 5353))
        return shown(await peer.packets(5))


PROBED = {"authorities": [record(HOST_NAME, Address("1.2.3.4"), ttl=120)]}
KNOWN = {"known": [record(TYPE, Ptr(INSTANCE), ttl=4500)]}
HALF_KNOWN = {"known": [record(TYPE, Ptr(INSTANCE), ttl=100)]}
SERVICES = Question("_services._dns-sd._udp.local.", PTR)

MDNS: dict[str, tuple[dict[str, Any], MdnsProbe]] = {
    "probes": ({"probes": 0}, from_the_start),
    "probe_interval": ({"probe_interval": 0.05}, from_the_start),
    "probe_authorities": ({"probe_authorities": False}, from_the_start),
    "gives_way": ({"gives_way": False}, denies),
    "tie_break_inverted": ({"tie_break_inverted": True}, probes_against),
    "conflict_pause": ({"conflict_pause": 0.0}, denies),
    "watches_for_conflicts": ({"watches_for_conflicts": False}, contradicts),
    "conflicts_with_equals": ({"conflicts_with_equals": True}, repeats_its_address),
    "keeps_old_names": ({"keeps_old_names": True}, loses_its_name),
    "conflicts_with_itself": ({"conflicts_with_itself": True}, from_the_start),
    "defends": ({"defends": False}, mdns_asks(Question(HOST_NAME, 255), **PROBED)),
    "defence_delay": ({"defence_delay": 1.0}, mdns_asks(Question(HOST_NAME, 255), **PROBED)),
    "announcements": ({"announcements": 1}, from_the_start),
    "announcement_interval": ({"announcement_interval": 0.2}, from_the_start),
    "announces_every": ({"announces_every": 5.0}, from_the_start),
    "goodbye": ({"goodbye": False}, stops),
    "cache_flush_on_unique": ({"cache_flush_on_unique": False}, mdns_asks(Question(HOST_NAME, A))),
    "cache_flush_on_shared": ({"cache_flush_on_shared": True}, mdns_asks(Question(TYPE, PTR))),
    "host_ttl": ({"host_ttl": 10}, mdns_asks(Question(HOST_NAME, A))),
    "other_ttl": ({"other_ttl": 10}, mdns_asks(Question(TYPE, PTR))),
    "address": ({"address": "0.0.0.0"}, mdns_asks(Question(HOST_NAME, A))),
    "srv_port_offset": ({"srv_port_offset": 1}, mdns_asks(Question(INSTANCE, SRV))),
    "srv_weight": ({"srv_weight": 10}, mdns_asks(Question(INSTANCE, SRV))),
    "label_bytes": ({"label_bytes": lambda label: label.encode("utf-16")}, mdns_asks(Question(TYPE, PTR))),
    "txt": ({"txt": ()}, mdns_asks(Question(INSTANCE, TXT))),
    "pointer_name": ({"pointer_name": "Other"}, mdns_asks(Question(TYPE, PTR))),
    "splits_dots": ({"splits_dots": True}, mdns_asks(Question(TYPE, PTR))),
    "service_type": ({"service_type": "_much_too_long_a_name._http"}, from_the_start),
    "subtypes": ({"subtypes": False}, mdns_asks(Question(f"_plug._sub.{TYPE}", PTR))),
    "enumerates": ({"enumerates": False}, mdns_asks(SERVICES)),
    "enumerates_instances": ({"enumerates_instances": True}, mdns_asks(SERVICES)),
    "answers_for": ({"answers_for": 5.0}, mdns_asks(Question(HOST_NAME, A))),
    "obeys_known_answers": ({"obeys_known_answers": False}, mdns_asks(Question(TYPE, PTR), **KNOWN)),
    "renews_half_expired": ({"renews_half_expired": False}, mdns_asks(Question(TYPE, PTR), **HALF_KNOWN)),
    "negative_answers": ({"negative_answers": False}, mdns_asks(Question(HOST_NAME, AAAA))),
    "question_limit": (
        {"question_limit": 1},
        mdns_asks(Question(HOST_NAME, A), Question(COAP_INSTANCE, SRV)),
    ),
    "ignores_case": ({"ignores_case": False}, mdns_asks(Question(HOST_NAME.upper(), A))),
    "additional_records": ({"additional_records": False}, mdns_asks(Question(TYPE, PTR))),
    "repeat_spacing": ({"repeat_spacing": 0.0}, mdns_asks(Question(HOST_NAME, A), times=3)),
    "shared_delay": ({"shared_delay": (0.0, 0.0)}, mdns_asks(Question(TYPE, PTR))),
    "unique_delay": ({"unique_delay": 0.12}, mdns_asks(Question(HOST_NAME, A))),
    "unicast_when_asked": (
        {"unicast_when_asked": False},
        mdns_asks(Question(HOST_NAME, A, unicast_response=True)),
    ),
    "legacy_answers": ({"legacy_answers": False}, plain_dns),
}


def mdns_outcome(habits: dict[str, Any], probe: MdnsProbe) -> Any:
    async def main() -> Any:
        async with mdns_peer.bench(**habits) as (device, peer):
            return await probe(device, peer)

    return mdns_peer.run(main())


@pytest.mark.parametrize(("habits", "probe"), MDNS.values(), ids=MDNS)
def test_a_bent_mdns_habit_shows(habits: dict[str, Any], probe: MdnsProbe) -> None:
    assert mdns_outcome(habits, probe) != mdns_outcome({}, probe)


@pytest.mark.parametrize("probe", [probe for _, probe in (*COAP.values(),)], ids=COAP)
def test_the_same_seed_gives_the_same_coap_behaviour(probe: Probe) -> None:
    assert coap_outcome({}, probe) == coap_outcome({}, probe)


@pytest.mark.parametrize("probe", [probe for _, probe in MDNS.values()], ids=MDNS)
def test_the_same_seed_gives_the_same_mdns_behaviour(probe: MdnsProbe) -> None:
    assert mdns_outcome({}, probe) == mdns_outcome({}, probe)


def test_broken_txt_and_srv_can_be_made() -> None:
    async def main() -> None:
        async with mdns_peer.bench(txt=(b"=x", b""), srv_port_offset=5) as (_, peer):
            (seen,) = await peer.ask(Question(INSTANCE, TXT), Question(INSTANCE, SRV))
            data = {r.type: r.data for r in seen.message.answers}
            assert data[TXT] == Txt((b"=x", b""))
            assert isinstance(data[SRV], Srv)
            assert data[SRV].port == 86

    mdns_peer.run(main())
