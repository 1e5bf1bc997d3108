"""Thousands of simulated devices in one process, against plain paho clients with a thread for each.

    python tests/benchmarks/bench_simulator.py [--count N] [--every SECONDS] [--minutes M] [--profile FILE]

Both load the same Mosquitto, one after the other, each in a process of its own: ``harness simulate``, and a
script as people write them, whose clients say what the simulated devices say. A thread of paho's waits in
``select``, which takes no file above number 1023, so the script goes as far as that. What arrives is counted
by a subscriber; who is lost, by the wills that the broker sends. The conclusion is the ratios for each
device.

Linux only: memory and processor time are read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from harness.links.mqtt.brokers.address import BrokerAddress
from harness.links.mqtt.brokers.broker import MosquittoBroker
from harness.links.mqtt.paho_client import (
    PahoClient,
    ReceivedMessage,
)
from harness.model.bindings.mqtt import MqttBinding
from harness.model.loading.profiles import load_profile
from harness.model.loading.units import (
    load_units,
    numbered_units,
)
from harness.model.profile import Profile
from harness.session.setup.limits import allow_sockets
from harness.simulate.firmware.core import Core
from harness.simulate.mqtt.reports import (
    Report,
    ReportComposer,
)

PLUG = Path(__file__).parents[2] / "profiles" / "smart-plug.yaml"
MEMORY_TARGET = 600  # MiB for 2000 devices
WINDOW = 10.0  # seconds over which a rate is taken
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """What one contender did."""

    name: str
    devices: int
    messages: int  # a report consists of so many
    memory: float  # MiB resident at the end
    base: float  # MiB resident with one device
    threads: int
    processor: float  # of one core
    rates: tuple[float, ...]  # messages per second of each window
    lost: int
    every: float

    @property
    def wanted(self) -> float:
        """Messages per second that there should be."""
        return self.devices * self.messages / self.every

    @property
    def memory_each(self) -> float:
        """KiB for each device."""
        return 1024 * (self.memory - self.base) / (self.devices - 1)

    @property
    def processor_each(self) -> float:
        """Milliseconds of processor time for each report of a device."""
        return 1000 * self.processor * self.every / self.devices


class Observer:
    """Subscribes to everything; counts what arrives and whom the broker gives up."""

    def __init__(self) -> None:
        self.arrived = 0
        self.lost = 0
        self._client = PahoClient("observer", on_message=self._note)

    def _note(self, message: ReceivedMessage) -> None:
        if message.retain:
            return
        self.arrived += 1
        self.lost += message.payload == b"offline"

    async def start(self, endpoint: BrokerAddress) -> None:
        await self._client.connect(endpoint.host, endpoint.port, timeout=10)
        await self._client.subscribe(("#", 0))

    async def stop(self) -> None:
        await self._client.disconnect()


def status(pid: int, key: str) -> int:
    """A number of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise KeyError(key)


def processor_time(pid: int) -> float:
    """Seconds of processor time that the process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


@asynccontextmanager
async def contender(command: Sequence[str], count: int) -> AsyncIterator[tuple[Process, int]]:
    """The process of a contender once its devices are up, and how many there are."""
    process = await asyncio.create_subprocess_exec(
        *command, "--count", str(count), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    devices = 0
    async for line in process.stdout:
        words = line.decode().split()
        if words[0] in ("ready;", "connected"):
            devices = int(words[1]) if words[0] == "connected" else count
            break
    reading = asyncio.create_task(_read_on(process.stdout))
    try:
        yield process, devices
    finally:
        process.terminate()
        await reading
        await process.wait()


async def measure(
    name: str, command: Sequence[str], endpoint: BrokerAddress, options: argparse.Namespace
) -> Load:
    """Run one contender to the end."""
    async with contender(command, 1) as (process, _):
        base = status(process.pid, "VmRSS") / 1024
    observer = Observer()
    await observer.start(endpoint)
    async with contender(command, options.count) as (process, devices):
        if not devices:
            raise SystemExit(f"{name} did not get on: there is nothing to measure")
        print(f"{name}: {devices} devices are up; measuring for {options.minutes:g} min", flush=True)
        # Devices that were started together report at moments of their own after two periods.
        await asyncio.sleep(2 * options.every)
        observer.lost = 0
        began, taken = time.monotonic(), processor_time(process.pid)
        rates = [rate async for rate in _rates(observer, max(1, round(options.minutes * 60 / WINDOW)))]
        share = (processor_time(process.pid) - taken) / (time.monotonic() - began)
        load = Load(
            name,
            devices,
            len(list(reports_of(load_profile(options.profile)))),
            status(process.pid, "VmRSS") / 1024,
            base,
            status(process.pid, "Threads"),
            share,
            tuple(rates),
            observer.lost,
            options.every,
        )
        await observer.stop()
    return load


async def _read_on(lines: asyncio.StreamReader) -> None:
    """So that the contender never waits for us."""
    async for _ in lines:
        pass


async def _rates(observer: Observer, count: int) -> AsyncIterator[float]:
    for _ in range(count):
        before, began = observer.arrived, time.monotonic()
        await asyncio.sleep(WINDOW)
        yield (observer.arrived - before) / (time.monotonic() - began)


def reports_of(profile: Profile) -> Iterator[Report]:
    """What the simulated device of a profile reports."""
    assert profile.bindings.mqtt is not None
    return ReportComposer(profile.bindings.mqtt, Core(profile)).all_states()


def client_of(binding: MqttBinding, endpoint: BrokerAddress) -> Client:
    """A paho client with a thread of its own, as paho's guide shows it."""
    client = Client(CallbackAPIVersion.VERSION2, binding.client_id)
    if binding.availability is not None:
        client.will_set(binding.availability.topic, binding.availability.offline, 1, True)
    commands = [(bound.command, 1) for bound in binding.properties.values() if bound.command]
    client.on_connect = lambda client, *_: client.subscribe(commands)
    client.connect(endpoint.host, endpoint.port, binding.keep_alive)
    client.loop_start()
    return client


def threads(options: argparse.Namespace) -> None:
    """The other contender: a thread for each device, as many as there can be."""
    allow_sockets(4 * options.count)
    host, _, port = options.threads.partition(":")
    first = load_profile(options.profile).unit
    everybody: list[tuple[Client, list[Report]]] = []
    for profile in load_units(options.profile, numbered_units(first, options.count)):
        assert profile.bindings.mqtt is not None
        client = client_of(profile.bindings.mqtt, BrokerAddress(host, int(port)))
        sock = client.socket()
        if sock is None or sock.fileno() >= 1000:  # select cannot wait for the next one
            client.loop_stop()
            client.disconnect()
            break
        everybody.append((client, list(reports_of(profile))))
    print("connected", len(everybody), flush=True)
    turn = time.monotonic()
    while True:
        for client, reports in everybody:
            for report in reports:
                client.publish(report.topic, report.payload, report.qos, report.retain)
            turn += options.every / len(everybody)
            time.sleep(max(0, turn - time.monotonic()))


def show(load: Load) -> None:
    """Print what one contender did."""
    lines = (
        f"{load.name}: {load.devices} devices, {load.threads} threads",
        f"memory: {load.memory:.0f} MiB resident, {load.base:.0f} with one device; "
        f"{load.memory_each:.0f} KiB for each device",
        f"processor: {100 * load.processor:.1f} % of a core, {load.processor_each:.2f} ms for each report",
        f"rate: wanted {load.wanted:.1f} messages/s, seen {min(load.rates):.1f} to {max(load.rates):.1f} "
        f"in {len(load.rates)} windows of {WINDOW:g} s",
        f"lost: {load.lost}",
    )
    print("\n    ".join(lines))


async def compare(options: argparse.Namespace) -> None:
    """Measure both and print the ratios."""
    async with MosquittoBroker() as broker:
        endpoint = broker.endpoint
        every = f"{options.every:g}"
        simulate = [sys.executable, "-m", "harness.cli", "simulate", str(options.profile), "--only", "mqtt"]
        simulate += ["--report-every", every, "--broker", endpoint.url]
        ours = await measure("harness simulate", simulate, endpoint, options)
        script = [sys.executable, __file__, "--threads", f"{endpoint.host}:{endpoint.port}", "--every", every]
        script += ["--profile", str(options.profile)]
        theirs = await measure("paho with threads", script, endpoint, options)
    for load in (ours, theirs):
        show(load)
    memory = ours.memory_each / theirs.memory_each
    processor = ours.processor_each / theirs.processor_each
    print(f"each device, against one with a thread of paho's: memory {memory:.2f}, processor {processor:.2f}")
    print(f"target: at most {MEMORY_TARGET} MiB, nobody lost, the rate kept")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two reports of a device")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--profile", type=Path, default=PLUG)
    parser.add_argument("--threads", help=argparse.SUPPRESS)  # we are the script, and the broker is there
    options = parser.parse_args()
    if options.threads:
        threads(options)
    else:
        allow_sockets(options.count)  # Mosquitto inherits our limit
        asyncio.run(compare(options))


if __name__ == "__main__":
    main()
