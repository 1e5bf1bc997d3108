"""Round trips through our MQTT client, against a bare pair of paho clients on the same broker.

    python tests/benchmarks/bench_mqtt.py [--rounds N] [--repeats N] [--broker embedded|mosquitto]

A round trip: one client publishes, the other one answers from its callback, the first one goes on from
its own. Both pairs run in turn, A B A B …, in one process and on one broker. The result is the median of
the ratios of neighbouring runs; the rates themselves tell about this machine more than about us. The bare
pair has its network threads, and TCP_NODELAY as ours has: without it, QoS 1 waits for delayed
acknowledgements.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.brokers.broker import (
    Broker,
    broker_for,
)
from harness.links.mqtt.link import RecordingWatch
from harness.links.mqtt.paho_client import (
    PahoClient,
    ReceivedMessage,
)
from harness.links.mqtt.tap.tap import Tap
from harness.trace.recorder import Recorder

Contender = Callable[[BrokerAddress, int, int], Awaitable[float]]
"""Given a broker, a number of round trips and a QoS, returns round trips per second."""


class Rally:
    """Counts the round trips between two callbacks, and measures them."""

    def __init__(self, rounds: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = rounds
        self._rounds = rounds
        self._end: asyncio.Future[float] = self._loop.create_future()

    def start(self) -> None:
        self._begin = self._loop.time()

    def returned(self) -> bool:
        """One round trip is complete; whether there is to be another one. From any thread."""
        self._left -= 1
        if not self._left:
            self._loop.call_soon_threadsafe(self._end.set_result, self._loop.time())
        return self._left > 0

    async def rate(self) -> float:
        return self._rounds / (await self._end - self._begin)


async def looped_pair(endpoint: BrokerAddress, rounds: int, qos: int) -> float:
    """Two PahoClients on this loop."""
    return await rally_between(endpoint, endpoint, rounds, qos)


async def tapped_pair(endpoint: BrokerAddress, rounds: int, qos: int) -> float:
    """As a run has it: the far one behind the tap, every packet of both in a trace on disk."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(asyncio.get_running_loop().time, Path(folder) / "trace.jsonl")
        async with Tap(endpoint, recorder=recorder) as tap:
            host, port = tap.address
            watch = RecordingWatch(recorder, 1)
            result = await rally_between(endpoint, BrokerAddress(host, port), rounds, qos, watch)
        recorder.close()
        return result


async def rally_between(
    near_by: BrokerAddress, far_by: BrokerAddress, rounds: int, qos: int, watch: RecordingWatch | None = None
) -> float:
    """Round trips per second between two PahoClients, each by its own way to the broker."""
    rally = Rally(rounds)

    def answer(message: ReceivedMessage) -> None:
        far.publish("pong", message.payload, qos)

    def go_on(message: ReceivedMessage) -> None:
        if rally.returned():
            near.publish("ping", message.payload, qos)

    near = PahoClient("near", on_message=go_on, watch=watch)
    far = PahoClient("far", on_message=answer)
    for client, topic, endpoint in ((near, "pong", near_by), (far, "ping", far_by)):
        await client.connect(endpoint.host, endpoint.port, timeout=10)
        await client.subscribe((topic, qos))
    rally.start()
    near.publish("ping", b"x" * 20, qos)
    result = await rally.rate()
    await asyncio.gather(near.disconnect(), far.disconnect())
    return result


async def bare_pair(endpoint: BrokerAddress, rounds: int, qos: int) -> float:
    """Two plain paho clients, each with its network thread."""
    rally = Rally(rounds)
    loop = asyncio.get_running_loop()

    def joined(client_id: str, topic: str, on_message: Callable[..., None]) -> tuple[Client, asyncio.Event]:
        client, ready = Client(CallbackAPIVersion.VERSION2, client_id), asyncio.Event()
        client.on_socket_open = lambda _client, _userdata, sock: sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        client.on_connect = lambda *_: client.subscribe(topic, qos)
        client.on_subscribe = lambda *_: loop.call_soon_threadsafe(ready.set)
        client.on_message = on_message
        client.connect_async(endpoint.host, endpoint.port)
        client.loop_start()
        return client, ready

    def answer(client: Client, _userdata: object, message: ReceivedMessage) -> None:
        client.publish("pong", message.payload, qos)

    def go_on(client: Client, _userdata: object, message: ReceivedMessage) -> None:
        if rally.returned():
            client.publish("ping", message.payload, qos)

    near, near_ready = joined("near", "pong", go_on)
    far, far_ready = joined("far", "ping", answer)
    await asyncio.gather(near_ready.wait(), far_ready.wait())
    rally.start()
    near.publish("ping", b"x" * 20, qos)
    result = await rally.rate()
    for client in (near, far):
        client.disconnect()
        await loop.run_in_executor(None, client.loop_stop)
    return result


CONTENDERS: dict[str, Contender] = {
    "bare paho": bare_pair,
    "PahoClient": looped_pair,
    "PahoClient, tap and trace": tapped_pair,
}


async def compare(broker: Broker, rounds: int, repeats: int, qos: int) -> None:
    """Run every contender in turn, ``repeats`` times, and print the ratios to the first."""
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for contender in CONTENDERS.values():
        await contender(broker.endpoint, max(rounds // 10, 1), qos)  # warm up
    for _ in range(repeats):
        for name, contender in CONTENDERS.items():
            rates[name].append(await contender(broker.endpoint, rounds, qos))
    bare, *others = rates.values()
    for name, own in rates.items():
        figures = ", ".join(f"{rate:.0f}" for rate in own)
        print(f"  raw, QoS {qos}, {name}: {figures} round trips/s")
    for name, own in zip(list(CONTENDERS)[1:], others, strict=True):
        ratios = sorted(mine / theirs for mine, theirs in zip(own, bare, strict=True))
        print(
            f"QoS {qos}: {name} / bare paho = {statistics.median(ratios):.2f}"
            f" (each with its neighbour: {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


async def main() -> None:
    """Run the benchmark for QoS 0 and 1."""
    default = "mosquitto" if shutil.which("mosquitto") else "embedded"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--broker", default=default)
    options = parser.parse_args()
    print(
        f"broker {options.broker}, {options.rounds} round trips × {options.repeats}, Python {sys.version[:6]}"
    )
    async with broker_for(options.broker) as broker:
        for qos in (0, 1):
            await compare(broker, options.rounds, options.repeats, qos)


if __name__ == "__main__":
    asyncio.run(main())
