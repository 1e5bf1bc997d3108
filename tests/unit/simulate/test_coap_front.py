"""The CoAP front against a raw client: messages, methods, options, errors, links."""

import asyncio
import itertools

import cbor2
import pytest
from coap_peer import HOST, PROFILE, Client, bench, run
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.profile import Profile
from harness.simulate.coap.deviations import Duplicates
from harness.wire.coap.codec import (
    Code,
    Option,
    Type,
    parse_link_format,
)


def option(number: int, value: bytes = b"") -> Option:
    return Option(number, value)


async def assert_alive(client: Client) -> None:
    """The server answers, and its state is as at first."""
    answer = await client.get("/power")
    assert (answer.code, answer.payload) == (Code.CONTENT, b"false")


@pytest.mark.parametrize("token", [b"", b"\0", b"\0" * 8, b"12345678"])
def test_get_answers_in_the_acknowledgement(token: bytes) -> None:
    async def main() -> None:
        async with bench() as (_, client):
            asked = client.request(Code.GET, "/power", token=token)
            client.send(asked)
            answer = await client.next()
            assert (answer.type, answer.mid, answer.token) == (Type.ACK, asked.mid, token)
            assert (answer.code, answer.content_format, answer.payload) == (Code.CONTENT, 50, b"false")

    run(main())


def hostile_datagrams() -> st.SearchStrategy[bytes]:
    """Any bytes, and such as look like requests at first."""
    head = st.sampled_from([b"\x40\x01\0\x09", b"\x50\x03\0\x09", b"\x41\x03\0\x09t", b"\x40\x02\0\x09"])
    options = st.lists(
        st.one_of(st.sampled_from([b"\xb5power", b"\xb5event", b"\x13\xff\xff\xff"]), st.binary(max_size=4))
    )
    tail = st.one_of(st.just(b""), st.binary(max_size=8).map(lambda payload: b"\xff" + payload))
    return st.one_of(
        st.binary(max_size=40), st.tuples(head, options, tail).map(lambda t: t[0] + b"".join(t[1]) + t[2])
    )


MALFORMED = {
    "token length 9": bytes([0x49, 1, 0, 7]) + bytes(9) + b"\xb5power",
    "token length 15": bytes([0x4F, 1, 0, 7]) + bytes(15) + b"\xb5power",
    "token cut short": bytes([0x44, 1, 0, 7, 1, 2]),
    "marker without payload": bytes([0x40, 3, 0, 7]) + b"\xb5power\xff",
    "option delta 15": bytes([0x40, 3, 0, 7]) + b"\xb5power\xf1\x00",
    "option length 15": bytes([0x40, 3, 0, 7]) + b"\xb5power\x1f\x00",
    "option cut short": bytes([0x40, 3, 0, 7]) + b"\xb5pow",
    "extended length cut short": bytes([0x40, 3, 0, 7]) + b"\xbe\x01",
    "option number past 65535": bytes([0x40, 1, 0, 7]) + b"\xe0\xff\xff\xe0\xff\xff",
    "empty with token": bytes([0x41, 0, 0, 7, 1]),
    "empty with more bytes": bytes([0x40, 0, 0, 7, 1]),
    "code 1.01": bytes([0x40, 0x21, 0, 7]),
    "code 6.00": bytes([0x40, 0xC0, 0, 7]),
    "code 7.31": bytes([0x40, 0xFF, 0, 7]),
    "an answer nobody asked for": bytes([0x40, 0x45, 0, 7]),
    "ping": bytes([0x40, 0, 0, 7]),
}


@pytest.mark.parametrize("datagram", MALFORMED.values(), ids=MALFORMED)
def test_what_makes_no_sense_is_reset_when_confirmable_and_else_ignored(datagram: bytes) -> None:
    async def main() -> None:
        async with bench() as (_, client):
            client.send(datagram)
            answer = await client.next()
            assert (answer.type, answer.code, answer.mid) == (Type.RST, Code.EMPTY, 7)
            client.send(bytes([datagram[0] | 0x10]) + datagram[1:])
            assert await client.silent()
            await assert_alive(client)

    run(main())


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x40",
        b"\x40\x01\x00",
        *(bytes([version << 6, 1, 0, 7]) + b"\xb5power" for version in (0, 2, 3)),
        bytes([0x60, 0, 0, 7]),
        bytes([0x70, 0, 0, 7]),
        bytes([0x60, 1, 0, 7]) + b"\xb5power",
        bytes([0x60, 0x45, 0, 7]),
    ],
    ids=bytes.hex,
)
def test_some_messages_are_never_answered(datagram: bytes) -> None:
    async def main() -> None:
        async with bench() as (_, client):
            client.send(datagram)
            assert await client.silent()
            # A request with the same Message ID is a new one.
            client.send(client.request(Code.GET, "/power", mid=7))
            assert (await client.next()).code == Code.CONTENT

    run(main())


def test_a_non_confirmable_request_gets_a_non_confirmable_answer() -> None:
    async def main() -> None:
        async with bench() as (_, client):
            asked = client.request(Code.GET, "/power", type=Type.NON)
            client.send(asked)
            answer = await client.next()
            assert (answer.type, answer.token, answer.payload) == (Type.NON, asked.token, b"false")
            assert await client.silent()

    run(main())


@pytest.mark.parametrize("kind", [Type.CON, Type.NON])
def test_a_duplicate_is_executed_once(kind: Type) -> None:
    async def main() -> None:
        async with bench() as (device, client):
            calls: list[str] = []
            invoke = device.core.invoke
            device.core.invoke = lambda name, value=None: calls.append(name) or invoke(name, value)  # type: ignore[method-assign, func-returns-value]
            asked = client.request(Code.POST, "/restart", type=kind)
            for pause in (0.1, 2, 60):
                client.send(asked)
                await asyncio.sleep(pause)
            assert calls == ["restart"]
            assert len(client.raw) == (3 if kind is Type.CON else 1)
            assert len(set(client.raw)) == 1
            # From another port the same Message ID is another request.
            other = await device.client()
            other.send(asked)
            assert (await other.next()).code == Code.CHANGED
            assert calls == ["restart"] * 2
            # And so it is when the Message ID has been forgotten.
            await asyncio.sleep(300)
            client.send(asked)
            await asyncio.sleep(1)
            assert calls == ["restart"] * 3

    run(main())


def test_faults_in_the_handling_of_duplicates() -> None:
    async def answers_to_three(duplicates: Duplicates) -> int:
        async with bench(duplicates=duplicates) as (_, client):
            asked = client.request(Code.POST, "/restart")
            for _ in range(3):
                client.send(asked)
            await asyncio.sleep(5)
            return len(client.raw)

    assert run(answers_to_three(Duplicates.SILENT)) == 1
    assert run(answers_to_three(Duplicates.EXECUTE)) == 3


def test_a_slow_answer_comes_by_itself_and_is_repeated_until_acknowledged() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with bench() as (_, client):
            client.acknowledges = False
            asked = client.request(Code.GET, "/slow")
            client.send(asked)
            first = await client.next()
            assert (first.type, first.code, first.mid, first.token) == (Type.ACK, Code.EMPTY, asked.mid, b"")
            client.send(asked)
            assert await client.next() == first
            times, answers = [], []
            while not await client_is_silent_after(client, answers, times, loop):
                pass
            assert len(answers) == 5
            assert len(set(client.raw[2:])) == 1
            assert (answers[0].type, answers[0].token, answers[0].code) == (
                Type.CON,
                asked.token,
                Code.CONTENT,
            )
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            assert 2 <= gaps[0] <= 3.01
            assert gaps[1:] == pytest.approx([gaps[0] * 2, gaps[0] * 4, gaps[0] * 8], abs=0.1)

    async def client_is_silent_after(client, answers, times, loop) -> bool:  # type: ignore[no-untyped-def]
        try:
            answers.append(await client.next(within=60))
        except TimeoutError:
            return True
        times.append(loop.time())
        return False

    run(main())


def test_requests_with_the_same_token_do_not_get_in_each_others_way() -> None:
    async def main() -> None:
        async with bench() as (_, client):
            for mid in range(20, 25):
                client.send(client.request(Code.GET, "/slow", mid=mid, token=b""))
            client.send(client.request(Code.GET, "/power", mid=25, token=b""))
            seen = [await client.next(5) for _ in range(11)]
            assert {message.mid for message in seen if message.type is Type.ACK} == set(range(20, 26))
            assert sum(message.code == Code.CONTENT for message in seen) == 6

    run(main())


@pytest.mark.parametrize(
    ("path", "payload", "value"),
    [("/power", b"true", True), ("/target", b"22.5", 22.5)],
    ids=["json", "text"],
)
def test_put_changes_and_can_be_repeated(path: str, payload: bytes, value: object) -> None:
    async def main() -> None:
        async with bench() as (device, client):
            for _ in range(2):
                assert (await client.put(path, payload)).code == Code.CHANGED
                assert device.core.read(path[1:]) == value
                assert (await client.get(path)).payload == payload

    run(main())


def test_cbor_is_read_and_written() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            await client.put("/power", b"true")
            assert (await client.put("/mode", cbor2.dumps("cool"), content_format=60)).code == Code.CHANGED
            assert device.core.read("mode") == "cool"
            answer = await client.get("/mode")
            assert (answer.content_format, cbor2.loads(answer.payload)) == (60, "cool")

    run(main())


REFUSED = {
    "unknown path": (Code.GET, "/nothing", {}, Code.NOT_FOUND),
    "dots": (Code.GET, "/../power", {}, Code.NOT_FOUND),
    "long path": (Code.GET, "/" + "a/" * 100, {}, Code.NOT_FOUND),
    "root": (Code.GET, "/", {}, Code.NOT_FOUND),
    "read-only": (Code.PUT, "/sensors/room", {"payload": b"3"}, Code.METHOD_NOT_ALLOWED),
    "delete": (Code.DELETE, "/power", {}, Code.METHOD_NOT_ALLOWED),
    "fetch": (Code.FETCH, "/power", {}, Code.METHOD_NOT_ALLOWED),
    "ipatch": (Code.IPATCH, "/power", {"payload": b"true"}, Code.METHOD_NOT_ALLOWED),
    "unknown method": (0x1F, "/power", {}, Code.METHOD_NOT_ALLOWED),
    "get on an action": (Code.GET, "/restart", {}, Code.METHOD_NOT_ALLOWED),
    "post on a property": (Code.POST, "/power", {"payload": b"true"}, Code.METHOD_NOT_ALLOWED),
    "accept": (Code.GET, "/power", {"accept": 60}, Code.NOT_ACCEPTABLE),
    "unknown accept": (Code.GET, "/power", {"accept": 65535}, Code.NOT_ACCEPTABLE),
    "content format": (
        Code.PUT,
        "/power",
        {"payload": b"true", "content_format": 65535},
        Code.UNSUPPORTED_CONTENT_FORMAT,
    ),
    "not JSON": (Code.PUT, "/power", {"payload": b"{"}, Code.BAD_REQUEST),
    "not UTF-8": (Code.PUT, "/power", {"payload": b'"\xff"'}, Code.BAD_REQUEST),
    "no payload": (Code.PUT, "/power", {}, Code.BAD_REQUEST),
    "not CBOR": (Code.PUT, "/mode", {"payload": b"\xff"}, Code.BAD_REQUEST),
    "wrong type": (Code.PUT, "/power", {"payload": b"1"}, Code.BAD_REQUEST),
    "out of range": (Code.PUT, "/target", {"payload": b"31"}, Code.BAD_REQUEST),
    "between steps": (Code.PUT, "/target", {"payload": b"20.2"}, Code.BAD_REQUEST),
    "against a rule": (Code.PUT, "/mode", {"payload": cbor2.dumps("cool")}, Code.CONFLICT),
    "wrong input": (Code.POST, "/beep", {"payload": b'"x"'}, Code.BAD_REQUEST),
    "missing input": (Code.POST, "/beep", {}, Code.BAD_REQUEST),
    "too long": (Code.PUT, "/power", {"payload": b" " * 1200}, Code.REQUEST_ENTITY_TOO_LARGE),
    "unknown critical option": (Code.GET, "/power", {"extra": [option(65001)]}, Code.BAD_OPTION),
    "long accept": (Code.GET, "/power", {"extra": [option(17, b"\0\0\x32")]}, Code.BAD_OPTION),
    "two accepts": (
        Code.GET,
        "/power",
        {"extra": [option(17, b"\x32"), option(17, b"\x32")]},
        Code.BAD_OPTION,
    ),
    "no host": (Code.GET, "/power", {"extra": [option(3)]}, Code.BAD_OPTION),
    "long segment": (Code.GET, "/power", {"extra": [option(11, b"a" * 256)]}, Code.BAD_OPTION),
    "path not UTF-8": (Code.GET, "/power", {"extra": [option(11, b"\xff")]}, Code.BAD_OPTION),
    "proxy": (Code.GET, "/power", {"extra": [option(35, b"coap://other/")]}, Code.PROXYING_NOT_SUPPORTED),
    "proxy scheme": (Code.GET, "/power", {"extra": [option(39, b"http")]}, Code.PROXYING_NOT_SUPPORTED),
    "exists": (Code.PUT, "/power", {"payload": b"true", "extra": [option(5)]}, Code.PRECONDITION_FAILED),
    "stale": (
        Code.PUT,
        "/power",
        {"payload": b"true", "extra": [option(1, b"old")]},
        Code.PRECONDITION_FAILED,
    ),
}


@pytest.mark.parametrize(("code", "path", "fields", "answer"), REFUSED.values(), ids=REFUSED)
def test_refused_requests_change_nothing(code: int, path: str, fields: dict, answer: int) -> None:  # type: ignore[type-arg]
    async def main() -> None:
        async with bench() as (device, client):
            before = {name: device.core.read(name) for name in PROFILE.properties}
            got = await client.ask(code, path, **fields)
            assert (got.type, got.code) == (Type.ACK, answer)
            assert got.payload.decode()
            assert got.content_format is None
            assert {name: device.core.read(name) for name in PROFILE.properties} == before
            await assert_alive(client)

    run(main())


def test_a_non_confirmable_request_with_an_unknown_critical_option_is_dropped() -> None:
    async def main() -> None:
        async with bench() as (_, client):
            asked = client.request(
                Code.PUT, "/power", type=Type.NON, payload=b"true", extra=[option(65001, b"x")]
            )
            client.send(asked)
            assert await client.silent()
            await assert_alive(client)

    run(main())


@pytest.mark.parametrize(
    "extra",
    [
        [option(65000, b"x")],
        [option(14, b"\1"), option(14, b"\2")],
        [option(17, b"\0\x32")],
        [option(6, b"\0\0\0")],
        [option(3, b"plug.local"), option(7, b"\x16\x33")],
        [option(15, b"first=1"), option(15, b"second=2")],
        [option(258, b"\0")],
    ],
    ids=[
        "elective",
        "elective twice",
        "long zero",
        "long observe",
        "host and port",
        "queries",
        "no-response",
    ],
)
def test_options_that_do_not_matter_are_let_pass(extra: list[Option]) -> None:
    async def main() -> None:
        async with bench() as (_, client):
            answer = await client.get("/power", extra=extra)
            assert (answer.code, answer.payload) == (Code.CONTENT, b"false")

    run(main())


def test_etags_tell_versions_apart() -> None:
    async def main() -> None:
        async with bench() as (_, client):
            first = await client.get("/power")
            tag = first.option(4)
            assert tag
            same = await client.get("/power", extra=[option(4, tag)])
            assert (same.code, same.payload, same.option(4)) == (Code.VALID, b"", tag)
            assert (await client.put("/power", b"true", extra=[option(1, tag)])).code == Code.CHANGED
            changed = await client.get("/power", extra=[option(4, tag)])
            assert (changed.code, changed.payload) == (Code.CONTENT, b"true")
            assert changed.option(4) != tag

    run(main())


def test_links_are_well_formed_and_true() -> None:
    async def main() -> None:
        async with bench() as (_, client):
            answer = await client.get("/.well-known/core")
            assert (answer.code, answer.content_format) == (Code.CONTENT, 40)
            links = {
                link.target: dict(link.attributes) for link in parse_link_format(answer.payload.decode())
            }
            assert links["/power"] == {"rt": "switch", "ct": "50", "obs": None}
            assert links["/sensors/room"] == {"if": "core.s", "ct": "50", "obs": None}
            assert links["/log"]["title"] == 'The "log"'
            assert int(links["/log"]["sz"]) >= 3000
            assert "obs" not in links["/log"]
            for target, attributes in links.items():
                got = await client.get(target)
                if "ct" not in attributes:
                    assert got.code == Code.METHOD_NOT_ALLOWED
                elif target != "/slow":
                    assert (got.code, str(got.content_format)) == (Code.CONTENT, attributes["ct"])

    run(main())


@pytest.mark.parametrize(
    ("query", "targets"),
    [
        ("rt=switch", {"/power"}),
        ("rt=swi*", {"/power"}),
        ("rt=other", set()),
        ("if=core.s", {"/sensors/room"}),
        ("href=/s*", {"/sensors/room", "/slow"}),
        ("ct=60", {"/mode"}),
        ("nothing=*", set()),
    ],
)
def test_links_can_be_filtered(query: str, targets: set[str]) -> None:
    async def main() -> None:
        async with bench() as (_, client):
            answer = await client.get(f"/.well-known/core?{query}")
            text = answer.payload.decode()
            assert {link.target for link in (parse_link_format(text) if text else ())} == targets

    run(main())


def test_members_share_a_resource() -> None:
    shared = PROFILE.model_dump(by_alias=True)
    for name in ("power", "room"):
        shared["bindings"]["coap"]["properties"][name] |= {"path": "/both", "member": name}

    async def main() -> None:
        async with bench(Profile.model_validate(shared)) as (device, client):
            assert (await client.get("/both")).payload == b'{"power":false,"room":21}'
            assert (await client.put("/both", b'{"power":true}')).code == Code.CHANGED
            assert device.core.read("power") is True
            refused = await client.put("/both", b'{"power":false,"room":3}')
            assert refused.code == Code.METHOD_NOT_ALLOWED
            assert (await client.put("/both", b'{"other":1}')).code == Code.BAD_REQUEST
            assert device.core.read("power") is True

    run(main())


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    async def main() -> None:
        async with bench() as (first, _), bench() as (second, client):
            assert first.front.address == (HOST, 5683)
            assert second.front.address[1] != 5683
            await assert_alive(client)

    run(main())


def test_filters_see_every_datagram() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            device.front.outgoing.append(lambda datagram: [datagram, datagram])
            await client.get("/power")
            assert (await client.next()).payload == b"false"
            device.front.incoming.append(lambda datagram: [])
            client.send(client.request(Code.GET, "/power"))
            assert await client.silent()

    run(main())


def test_it_can_be_stopped_and_started_again() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            client.send(client.request(Code.GET, "/slow"))
            await client.next()
            await device.front.stop()
            client.send(client.request(Code.GET, "/power"))
            assert await client.silent()
            await device.front.start()
            assert device.front.address == (HOST, 5683)
            again = await device.client()
            await assert_alive(again)

    run(main())


@settings(max_examples=300, deadline=None)
@given(st.lists(hostile_datagrams(), min_size=1, max_size=5))
def test_no_datagram_does_harm(datagrams: list[bytes]) -> None:
    async def main() -> None:
        async with bench() as (_, client):
            for datagram in datagrams:
                client.send(datagram)
            await client.silent(0.5)
            client.drain()
            answer = await client.get("/sensors/room")
            assert (answer.code, answer.payload) == (Code.CONTENT, b"21")

    run(main())
