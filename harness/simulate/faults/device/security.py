"""Faults of security: open ports, leaked secrets, parsers that do not check their input."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from harness.model.profile import Profile
from harness.simulate.faults import fault
from harness.wire import mqtt
from harness.wire.mqtt.encode import encode_publish

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

TELNET = (23, 2323)  # the second where the first needs privileges
LONGEST_TOKEN = 8  # RFC 7252, 3
PROTOCOL_LEVEL = 4  # MQTT 3.1.1


class _Console:
    """A login prompt for developers."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        for port in TELNET:
            try:
                self._server = await asyncio.start_server(self._greet, self._host, port)
                return
            except OSError:
                continue

    async def stop(self) -> None:
        await self.kill()

    async def kill(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"login: ")
        writer.close()


@fault(
    name="telnet-left-open",
    title="leaves a developer console open",
    breaks=("SEC-01",),
    seen_as="F-SEC-03",
    applies=lambda profile: profile.bindings.coap is not None or profile.bindings.mdns is not None,
)
def telnet_left_open(device: SimulatedDevice) -> None:
    """It was not removed from the firmware image."""
    device.further.append(_Console(device.host))


def _publishes_objects(profile: Profile) -> bool:
    mqtt_binding = profile.bindings.mqtt
    return (
        bool(profile.security.secrets)
        and mqtt_binding is not None
        and any(bound.member for bound in mqtt_binding.properties.values())
    )


@fault(
    name="configuration-in-telemetry",
    title="publishes its configuration, including the password, with its state",
    breaks=("SEC-07",),
    seen_as="F-SEC-10",
    applies=_publishes_objects,
)
def configuration_in_telemetry(device: SimulatedDevice) -> None:
    """One routine encodes everything in memory as JSON."""
    secret = device.profile.security.secrets[0]

    def leaking(raw: bytes) -> list[bytes]:
        packet = mqtt.decode(raw, PROTOCOL_LEVEL)
        if not isinstance(packet, mqtt.Publish) or not packet.payload.startswith(b"{"):
            return [raw]
        published = {**json.loads(packet.payload), "wifi": {"ssid": "home", "psk": secret}}
        return [
            encode_publish(
                packet.topic,
                json.dumps(published).encode(),
                packet.qos,
                packet_id=packet.packet_id,
                dup=packet.dup,
                retain=packet.retain,
            )
        ]

    if device.mqtt is not None:
        device.mqtt.outgoing.append(leaking)


class _Crash:
    """Stops one transport on a poisonous packet, until the next power-on."""

    def __init__(
        self, kill: Callable[[], Coroutine[Any, Any, None]], poisonous: Callable[[bytes], bool]
    ) -> None:
        self._kill = kill
        self._poisonous = poisonous
        self._dying: asyncio.Task[None] | None = None

    def __call__(self, raw: bytes) -> list[bytes]:
        if not self._poisonous(raw):
            return [raw]
        if self._dying is None or self._dying.done():
            self._dying = asyncio.get_running_loop().create_task(self._kill())
        return []


def _has_overlong_token(raw: bytes) -> bool:
    return bool(raw) and raw[0] & 0x0F > LONGEST_TOKEN


@fault(
    name="coap-token-overflow",
    title="crashes on CoAP tokens longer than eight bytes",
    breaks=("SEC-10",),
    seen_as="F-SEC-06",
    applies=lambda profile: profile.bindings.coap is not None,
)
def coap_token_overflow(device: SimulatedDevice) -> None:
    """It copies tokens of the reserved lengths 9 to 15 into eight bytes."""
    if device.coap is not None:
        device.coap.incoming.append(_Crash(device.coap.kill, _has_overlong_token))


def _points_to_itself(raw: bytes) -> bool:
    """Whether a compression pointer in the first name points to itself."""
    return raw[12:14] == b"\xc0\x0c"


@fault(
    name="mdns-name-loop",
    title="follows compression pointers in names forever",
    breaks=("SEC-10",),
    seen_as="F-SEC-06",
    applies=lambda profile: profile.bindings.mdns is not None,
)
def mdns_name_loop(device: SimulatedDevice) -> None:
    """One packet hangs its responder."""
    if device.mdns is not None:
        device.mdns.incoming.append(_Crash(device.mdns.kill, _points_to_itself))
