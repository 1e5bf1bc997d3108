"""A simulated MQTT device on a real broker, a tap between them and a controller beside; in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.links.clock import loop as clock
from harness.links.mqtt.brokers.address import User
from harness.links.mqtt.brokers.broker import EmbeddedBroker
from harness.links.mqtt.paho_client import (
    PahoClient,
    ReceivedMessage,
)
from harness.links.mqtt.tap.tap import Tap
from harness.model.profile import Profile
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import fault_named
from harness.simulate.firmware.core import Core
from harness.simulate.mqtt.client import SimulatedMqttClient
from harness.trace.events import Connection, ConnectionChange, Direction, Event, MqttPacket
from harness.trace.recorder import Recorder
from harness.wire.mqtt.codec import (
    Packet,
    PacketType,
    Publish,
    decode,
)

PROFILE: dict[str, Any] = {
    "profile": "tested",
    "title": "A device for tests",
    "category": "test",
    "properties": {
        "relay": {"type": "boolean"},
        "target": {"type": "number", "minimum": 16, "maximum": 30, "multipleOf": 0.5, "default": 20},
        "swing": {"type": "boolean"},
        "lock": {"type": "boolean"},
        "power": {"type": "number", "readOnly": True, "minimum": 0, "default": 40},
        "voltage": {"type": "number", "readOnly": True, "default": 230},
    },
    "actions": {"flip": {}, "beep": {"input": {"type": "integer", "minimum": 1}}},
    "events": {"key": {"data": {"type": "string"}}, "done": {}},
    "controls": {
        "button": {
            "effects": [{"property": "relay", "toggle": True}, {"event": "key", "data": "up"}],
        },
    },
    "bindings": {
        "mqtt": {
            "base": "dev",
            "client_id": "dev-1",
            "keep_alive": 20,
            "availability": {"topic": "dev/status"},
            "reconnect": {"first": 1, "maximum": 16},
            "maximum_payload": 64,
            "properties": {
                "relay": {
                    "state": "dev/relay",
                    "command": "dev/relay/set",
                    "values": {"ON": True, "OFF": False},
                    "qos": 1,
                },
                "target": {"state": "dev/target", "command": "dev/target/set", "command_qos": 2},
                "swing": {
                    "state": "dev/settings",
                    "member": "swing",
                    "command": "dev/set",
                    "command_member": "swing",
                    "values": {"yes": True, "no": False},
                },
                "lock": {
                    "state": "dev/settings",
                    "member": "lock",
                    "command": "dev/set",
                    "command_member": "lock",
                },
                "power": {"state": "dev/meter", "member": "power", "retain": False},
                "voltage": {"state": "dev/meter", "member": "voltage", "retain": False},
            },
            "actions": {"flip": {"command": "dev/flip"}, "beep": {"command": "dev/beep"}},
            "events": {
                "key": {"topic": "dev/key", "qos": 1, "member": "key"},
                "done": {"topic": "dev/done"},
            },
        }
    },
    "behaviour": {
        "rules": [
            {
                "id": "flip",
                "purpose": "flip sets the relay, and tells",
                "when": [{"action": "flip"}],
                "then": [{"event": "done"}],
            },
            {
                "id": "locked",
                "purpose": "nothing is switched on while it is locked",
                "while": [{"property": "lock", "equals": True}],
                "refuse": [{"property": "relay", "equals": True}],
            },
            {
                "id": "off",
                "purpose": "off takes no power",
                "while": [{"property": "relay", "equals": False}],
                "then": [{"property": "power", "equals": 0}],
            },
        ]
    },
}


def profile_with(mqtt: dict[str, Any] | None = None, **behaviour: Any) -> Profile:
    """The profile for tests, with parts of its binding and behaviour replaced."""
    bindings = {"mqtt": {**PROFILE["bindings"]["mqtt"], **(mqtt or {})}}
    return Profile.model_validate(
        {**PROFILE, "bindings": bindings, "behaviour": {**PROFILE["behaviour"], **behaviour}}
    )


@dataclass
class Bench:
    broker: EmbeddedBroker
    tap: Tap
    recorder: Recorder
    core: Core
    front: SimulatedMqttClient
    controller: PahoClient
    heard: list[ReceivedMessage] = field(default_factory=list)

    def packets(self, direction: Direction = Direction.FROM_DUT, since: int = 0) -> list[Packet]:
        """What the device sent (or got), decoded."""
        return [
            decode(event.body.raw, event.body.level)
            for event in self.recorder.events[since:]
            if isinstance(event.body, MqttPacket) and event.body.direction is direction
        ]

    def publishes(self, since: int = 0) -> list[Publish]:
        return [packet for packet in self.packets(since=since) if isinstance(packet, Publish)]

    def published(self, since: int = 0) -> list[tuple[str, str]]:
        return [(packet.topic, packet.payload.decode()) for packet in self.publishes(since)]

    @property
    def mark(self) -> int:
        return len(self.recorder.events)

    async def packet(self, type: PacketType, since: int, within: float = 60) -> Event:
        """Waits until the device has sent a packet of this type."""

        def wanted(event: Event) -> bool:
            body = event.body
            return (
                isinstance(body, MqttPacket)
                and body.direction is Direction.FROM_DUT
                and body.raw[0] >> 4 == type
            )

        event = await self.recorder.wait_for(wanted, within=within, since=since)
        assert event is not None, f"no {type.name} within {within} s"
        return event

    async def ready(self, within: float = 60) -> None:
        async with asyncio.timeout(within):
            while not self.front.ready:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def send(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> int:
        """The controller publishes; returns the mark from before, once the device had time to answer."""
        mark = self.mark
        await self.controller.publish(topic, payload, qos, retain)
        await asyncio.sleep(0.2)
        return mark

    def openings(self, since: int = 0) -> Iterator[float]:
        """Times at which the device opened connections."""
        for event in self.recorder.events[since:]:
            if isinstance(event.body, Connection) and event.body.change is ConnectionChange.OPENED:
                yield event.time


def on_bench(
    test: Callable[[Bench], Coroutine[Any, Any, None]],
    profile: Profile | None = None,
    *,
    users: tuple[User, ...] = (),
    before: Callable[[Bench], None] | None = None,
    faults: tuple[str, ...] = (),
    start: bool = True,
) -> None:
    """Runs ``test`` beside a started device; ``before`` may bend it first."""

    async def main() -> None:
        async with EmbeddedBroker(users=users) as broker, Tap(broker.endpoint) as tap:
            recorder = Recorder(asyncio.get_running_loop().time)
            tap.recorder = recorder
            login = (users[0].name, users[0].password) if users else None
            device = SimulatedDevice(
                profile or profile_with(),
                broker=tap.address,
                login=login,
                seed=1,
                faults=[fault_named(name) for name in faults],
            )
            core, front = device.core, device.mqtt
            assert front is not None
            bench = Bench(broker, tap, recorder, core, front, PahoClient("controller"))
            if login:
                bench.controller.username, bench.controller.password = login
            bench.controller.on_message = bench.heard.append
            endpoint = broker.endpoint
            await bench.controller.connect(endpoint.host, endpoint.port, timeout=5)
            if before is not None:
                before(bench)
            core.power_on()
            if start:
                async with asyncio.timeout(20):
                    await front.start()
                await asyncio.sleep(0.1)
            await test(bench)
            await front.kill()
            core.power_off()
            await bench.controller.disconnect()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"

    clock.run(main(), virtual=True)
