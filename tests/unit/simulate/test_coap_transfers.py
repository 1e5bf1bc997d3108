"""The CoAP front: observation, block-wise transfer, and clients that others wrote."""

import asyncio
import itertools
import json
import shutil
import subprocess

import pytest
from coap_peer import PROFILE, bench, run

from harness.model.profile import Profile
from harness.wire.coap.codec import (
    Block,
    Code,
    Message,
    Option,
    OptionNumber,
    Type,
    empty,
    is_newer,
)

ETAG = OptionNumber.ETAG


def with_binding(**changes: object) -> Profile:
    """The tested profile with another CoAP binding."""
    data = PROFILE.model_dump(by_alias=True)
    data["bindings"]["coap"] |= changes
    return Profile.model_validate(data)


# Observe


@pytest.mark.parametrize("token", [b"", b"12345678"])
def test_each_settled_change_is_notified(token: bytes) -> None:
    async def main() -> None:
        async with bench() as (device, client):
            first = await client.observe("/sensors/room", token=token)
            assert (first.type, first.token, first.payload) == (Type.ACK, token, b"21")
            numbers = [first.observe]
            for value in range(30, 340):
                device.core.sense("room", value)
                told = await client.next()
                assert (told.type, told.code, told.token) == (Type.CON, Code.CONTENT, token)
                assert (told.payload, told.content_format) == (str(value).encode(), 50)
                numbers.append(told.observe)
                await asyncio.sleep(0.1)
            assert await client.silent(3600)
            for earlier, later in itertools.pairwise(numbers):
                assert earlier is not None and later is not None
                assert is_newer(earlier, later, 0.1)

    run(main())


def test_the_observe_value_wraps_at_24_bits() -> None:
    async def main() -> None:
        async with bench(observe_start=2**24 - 2) as (device, client):
            numbers = [(await client.observe("/power")).observe]
            for value in (True, False):
                device.core.command("power", value)
                numbers.append((await client.next()).observe)
            assert numbers == [2**24 - 1, 0, 1]

    run(main())


def test_several_changes_from_one_cause_are_one_notification() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            await client.observe("/sensors/room")
            for value in (1, 2, 3):
                device.core.sense("room", value)
            assert (await client.next()).payload == b"3"
            assert await client.silent()

    run(main())


def test_a_confirmation_without_a_change_is_not_notified() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            await client.observe("/power")
            device.core.command("power", False)
            assert await client.silent()

    run(main())


def deregister(client, first: Message) -> None:  # type: ignore[no-untyped-def]
    client.send(client.request(Code.GET, "/power", observe=1, token=first.token))


@pytest.mark.parametrize("confirmable", [True, False])
def test_an_observation_ends_with_observe_1(confirmable: bool) -> None:
    async def main() -> None:
        async with bench(with_binding(confirmable_notifications=confirmable)) as (device, client):
            first = await client.observe("/power")
            deregister(client, first)
            answer = await client.next()
            assert (answer.code, answer.observe, answer.payload) == (Code.CONTENT, None, b"false")
            device.core.command("power", True)
            assert await client.silent()

    run(main())


@pytest.mark.parametrize("confirmable", [True, False])
def test_an_observation_ends_with_a_reset(confirmable: bool) -> None:
    async def main() -> None:
        async with bench(with_binding(confirmable_notifications=confirmable)) as (device, client):
            client.acknowledges = False
            await client.observe("/power")
            device.core.command("power", True)
            told = await client.next()
            assert told.type is (Type.CON if confirmable else Type.NON)
            client.send(empty(Type.RST, told.mid))
            await asyncio.sleep(5)
            device.core.command("power", False)
            assert await client.silent(100)

    run(main())


def test_other_requests_leave_an_observation_alone() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            first = await client.observe("/power")
            await client.get("/power")
            await client.get("/power", token=first.token)
            await client.get("/power", observe=1, token=b"zz")
            device.core.command("power", True)
            assert (await client.next()).token == first.token

    run(main())


def test_registering_again_replaces_and_counts_on() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            numbers = [(await client.observe("/power")).observe]
            device.core.command("power", True)
            numbers.append((await client.next()).observe)
            numbers.append((await client.observe("/power")).observe)
            device.core.command("power", False)
            numbers.append((await client.next()).observe)
            assert await client.silent()
            assert all(is_newer(a, b, 0) for a, b in itertools.pairwise(numbers))  # type: ignore[arg-type]

    run(main())


def test_without_room_or_notifications_the_answer_has_no_observe() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            for token in (b"1", b"2"):
                assert (await client.observe("/power", token=token)).observe is not None
            third = await client.observe("/power", token=b"3")
            assert (third.code, third.observe) == (Code.CONTENT, None)
            assert (await client.observe("/log", token=b"4")).observe is None
            device.core.command("power", True)
            assert {(await client.next()).token, (await client.next()).token} == {b"1", b"2"}
            assert await client.silent()

    run(main())


def test_a_silent_observer_is_given_up_and_its_place_is_free_again() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with bench() as (device, client):
            for _ in range(3):
                client.acknowledges = False
                for token in (b"1", b"2"):
                    assert (await client.observe("/power", token=token)).observe is not None
                device.core.command("power", not device.core.read("power"))
                start, times = loop.time(), []
                while not times or loop.time() - start < 300:
                    try:
                        await client.next(within=100)
                    except TimeoutError:
                        break
                    times.append(loop.time() - start)
                # One message at a time: the second observation of the same client never gets its turn.
                assert len(times) == 5
                assert times[-1] <= 45.1
                device.core.command("power", not device.core.read("power"))
                assert await client.silent(300)

    run(main())


def test_a_repeated_notification_carries_the_newest_state() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            client.acknowledges = False
            await client.observe("/sensors/room")
            device.core.sense("room", 30)
            old = await client.next()
            device.core.sense("room", 31)
            device.core.sense("room", 32)
            assert await client.silent(1.9)
            new = await client.next(2)
            assert (old.payload, new.payload) == (b"30", b"32")
            assert new.mid != old.mid
            assert is_newer(old.observe, new.observe, 0)  # type: ignore[arg-type]
            client.send(empty(Type.ACK, new.mid))
            assert await client.silent(100)
            # It is still registered, and the next notification starts afresh.
            client.acknowledges = True
            device.core.sense("room", 33)
            assert (await client.next()).payload == b"33"

    run(main())


def test_what_was_missed_follows_the_acknowledgement() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            client.acknowledges = False
            await client.observe("/sensors/room")
            await client.observe("/power", token=b"p")
            device.core.sense("room", 30)
            old = await client.next()
            device.core.command("power", True)
            device.core.sense("room", 31)
            assert await client.silent(0.5)
            client.acknowledges = True
            client.send(empty(Type.ACK, old.mid))
            assert {(await client.next()).payload, (await client.next()).payload} == {b"true", b"31"}

    run(main())


def test_every_happening_is_told_even_when_acknowledged_late() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            first = await client.observe("/events/key")
            assert first.payload == b"null"
            for _ in range(3):
                device.core.operate("key")
            assert [(await client.next()).payload for _ in range(3)] == [b'"up"'] * 3
            assert await client.silent()
            assert (await client.get("/events/key")).payload == b'"up"'

    run(main())


def test_non_confirmable_notifications_are_spaced_and_end_with_the_last_state() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with bench(with_binding(confirmable_notifications=False)) as (device, client):
            await client.observe("/sensors/room")
            device.core.sense("room", 30)
            assert (await client.next()).type is Type.NON
            start = loop.time()
            for value in (31, 32):
                device.core.sense("room", value)
                await asyncio.sleep(0.1)
            last = await client.next(5)
            assert (last.type, last.payload) == (Type.NON, b"32")
            assert loop.time() - start >= 2.9
            # At least one confirmable notification a day finds observers that are gone.
            daily = await client.next(90000)
            assert (daily.type, daily.payload) == (Type.CON, b"32")

    run(main())


# Blocks


async def whole(client, path: str, szx: int | None) -> tuple[bytes, list[Message]]:  # type: ignore[no-untyped-def]
    body, answers, number = b"", [], 0
    while True:
        wanted = None if szx is None else Block(number, False, szx)
        answer = await client.get(path, block2=wanted)
        answers.append(answer)
        body += answer.payload
        if answer.block2 is None or not answer.block2.more:
            return body, answers
        szx, number = answer.block2.szx, answer.block2.num + 1


@pytest.mark.parametrize("szx", [None, 0, 2, 6])
def test_a_large_body_comes_in_blocks_of_one_version(szx: int | None) -> None:
    async def main() -> None:
        async with bench() as (_, client):
            body, answers = await whole(client, "/log", szx)
            assert len(body) >= 3000
            assert json.loads(body)
            size = 1024 if szx is None else 16 << szx
            assert all(len(answer.payload) == size for answer in answers[:-1])
            assert {answer.option(ETAG) for answer in answers} == {answers[0].option(ETAG)}
            assert answers[0].option(ETAG)
            assert answers[0].uint(OptionNumber.SIZE2) == len(body)

    run(main())


def test_block_fields() -> None:
    async def main() -> None:
        async with bench() as (_, client):
            reserved = await client.get("/log", block2=Block(0, False, 7))
            assert reserved.code == Code.BAD_REQUEST
            assert (await client.put("/power", b"true", block1=Block(0, False, 7))).code == Code.BAD_REQUEST
            behind = await client.get("/log", block2=Block(999, False, 6))
            assert behind.code == Code.BAD_REQUEST
            plain = await client.get("/log", block2=Block(1, False, 2))
            more = await client.get("/log", block2=Block(1, True, 2))
            assert (plain.code, plain.payload, plain.block2) == (more.code, more.payload, more.block2)

    run(main())


TARGET = b"22.5" + b" " * 60  # JSON allows spaces behind the number


async def upload(client, number: int, *, more: bool, **fields: object) -> Message:  # type: ignore[no-untyped-def]
    payload = TARGET[number * 16 : number * 16 + 16]
    answer: Message = await client.put("/target", payload, block1=Block(number, more, 0), **fields)
    return answer


def test_an_upload_takes_effect_with_its_last_block() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            for number in range(3):
                answer = await upload(client, number, more=True)
                assert (answer.code, answer.block1) == (Code.CONTINUE, Block(number, True, 0))
                assert device.core.read("target") == 20
            answer = await upload(client, 3, more=False)
            assert (answer.code, answer.block1) == (Code.CHANGED, Block(3, False, 0))
            assert device.core.read("target") == 22.5

    run(main())


@pytest.mark.parametrize("numbers", [[3], [0, 3], [0, 1, 1]])
def test_missing_blocks_are_found(numbers: list[int]) -> None:
    async def main() -> None:
        async with bench() as (device, client):
            for number in numbers[:-1]:
                await upload(client, number, more=True)
            answer = await upload(client, numbers[-1], more=False)
            assert answer.code == Code.REQUEST_ENTITY_INCOMPLETE
            assert device.core.read("target") == 20

    run(main())


def test_uploads_are_kept_apart_and_can_start_again() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            other = await device.client()
            await upload(client, 0, more=True)
            await upload(other, 0, more=True)
            await upload(client, 0, more=True)  # from the start again
            for number in (1, 2):
                assert (await upload(client, number, more=True)).code == Code.CONTINUE
            # Another Content-Format is another body.
            changed = await upload(other, 1, more=True, content_format=0)
            assert changed.code == Code.REQUEST_ENTITY_INCOMPLETE
            assert (await upload(client, 3, more=False)).code == Code.CHANGED
            assert device.core.read("target") == 22.5

    run(main())


def test_too_large_bodies_are_refused_early() -> None:
    async def main() -> None:
        async with bench() as (device, client):
            size = [Option(OptionNumber.SIZE1, (65536).to_bytes(3, "big"))]
            announced = await client.put("/power", b" " * 64, block1=Block(0, True, 2), extra=size)
            assert announced.code == Code.REQUEST_ENTITY_TOO_LARGE
            assert announced.uint(OptionNumber.SIZE1) == 1024
            for number in range(16):
                grown = await client.put("/power", b" " * 64, block1=Block(number, True, 2))
                assert grown.code == Code.CONTINUE
            grown = await client.put("/power", b" " * 64, block1=Block(16, True, 2))
            assert grown.code == Code.REQUEST_ENTITY_TOO_LARGE
            assert device.core.read("power") is False

    run(main())


# Clients that others wrote


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("coap-client-notls") is None, reason="coap-client-notls is not installed")
def test_libcoap_gets_puts_and_observes() -> None:
    async def libcoap(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "coap-client-notls", *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output, _ = await process.communicate()
        return output.decode()

    async def main() -> None:
        async with bench() as (device, _):
            host, port = device.front.address
            base = f"coap://{host}:{port}"
            assert (await libcoap("-m", "get", f"{base}/power")).strip() == "false"
            assert "</power>" in await libcoap("-m", "get", f"{base}/.well-known/core")
            assert len((await libcoap("-m", "get", f"{base}/log")).strip()) >= 3000
            assert len((await libcoap("-m", "get", "-b", "32", f"{base}/log")).strip()) >= 3000
            await libcoap("-m", "put", "-t", "50", "-e", "true", f"{base}/power")
            assert device.core.read("power") is True
            assert "4.04" in await libcoap("-m", "get", f"{base}/nothing")
            process = await asyncio.create_subprocess_exec(
                "coap-client-notls", "-w", "-s", "1", f"{base}/sensors/room", stdout=subprocess.PIPE
            )
            assert process.stdout
            assert await process.stdout.readline() == b"21\n"
            for value in (30, 31):
                device.core.sense("room", value)
                assert await process.stdout.readline() == b"%d\n" % value
            await process.wait()

    asyncio.run(main())


def test_aiocoap_gets_puts_and_observes() -> None:
    import aiocoap

    async def main() -> None:
        async with bench() as (device, _):
            client = await aiocoap.Context.create_client_context(transports=["simple6"])
            base = "coap://{}:{}".format(*device.front.address)
            log = await client.request(aiocoap.Message(code=aiocoap.GET, uri=f"{base}/log")).response
            assert json.loads(log.payload)
            body = b"22.5" + b" " * 900
            put = aiocoap.Message(code=aiocoap.PUT, uri=f"{base}/target", payload=body)
            put.remote.maximum_block_size_exp = 4
            assert (await client.request(put).response).code == aiocoap.CHANGED
            assert device.core.read("target") == 22.5
            request = client.request(aiocoap.Message(code=aiocoap.GET, uri=f"{base}/power", observe=0))
            assert (await request.response).payload == b"false"
            device.core.command("power", True)
            async for notification in request.observation:
                assert notification.payload == b"true"
                break
            await client.shutdown()

    asyncio.run(main())
