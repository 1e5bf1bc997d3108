"""How the device under test is reached, and what that lets a check do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.links.actuators import ActuatorError
from harness.links.actuators.registry import (
    ActuatorName,
    parse,
)
from harness.links.labgrid.place import LabgridTarget
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature

OWN_BROKERS = ("embedded", "mosquitto")


class UsageError(HarnessError):
    """The command cannot be carried out as given; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Target:
    """How the device is reached.

    ``broker``: ``embedded``, ``mosquitto``, or the URL of the broker behind the tap. ``mqtt``: URL of a
    broker that the device uses by itself, out of our control. ``listen``: where the device finds the tap.
    """

    simulate: bool = False
    broker: str = "embedded"
    listen: tuple[str, int] | None = None
    mqtt: str | None = None
    ca: Path | None = None
    coap: str | None = None
    mdns: str | None = None
    interface: str | None = None  # our own address on the device's network, for multicast
    faults: tuple[str, ...] = ()
    serial: str | None = None  # the port; of a simulated device SIMULATED_PORT
    power: ActuatorName | None = None  # the actuator that switches a real device off and on
    hands: ActuatorName | None = None  # the actuator that operates a real device
    labgrid: LabgridTarget | None = None  # provides serial port and power where the fields above do not

    @property
    def asks_people(self) -> bool:
        """Whether a person has to act at the device, which takes a person's time."""
        return any(name is not None and name.is_person for name in (self.power, self.hands))

    @property
    def has_serial(self) -> bool:
        """Whether there is a serial line to the device."""
        return self.serial is not None or (self.labgrid is not None and self.labgrid.serial)

    @property
    def has_power(self) -> bool:
        """Whether a real device can be switched off and on."""
        return self.power is not None or (self.labgrid is not None and self.labgrid.power)

    @property
    def watches_mqtt(self) -> bool:
        """Whether the device's MQTT traffic is seen at all."""
        return bool(self.simulate or self.listen or self.mqtt)

    @property
    def description(self) -> str:
        """For reports: what was tested."""
        if self.simulate:
            return "simulated" + (f" with faults {', '.join(self.faults)}" if self.faults else "")
        parts = []
        if self.listen:
            parts.append(f"tap {self.listen[0]}:{self.listen[1]}")
        if self.mqtt:
            parts.append(_without_password(self.mqtt))
        parts += [f"serial {self.serial}"] if self.serial else []
        parts += [f"labgrid target {self.labgrid}"] if self.labgrid else []
        parts += [text for text in (self.coap, self.mdns and f"mdns {self.mdns}") if text]
        return ", ".join(parts)


def needs_met(profile: Profile, target: Target) -> frozenset[BenchFeature]:
    """What a bench with that device offers to checks."""
    bindings = profile.bindings
    met = set()
    if bindings.mqtt and target.watches_mqtt:
        met.add(BenchFeature.BROKER)
        if not target.mqtt:
            met.add(BenchFeature.TAP)
            if target.broker in OWN_BROKERS:
                met.add(BenchFeature.RESTART)
    if bindings.coap and (target.simulate or target.coap or target.mdns):
        met.add(BenchFeature.COAP)
    if bindings.mdns and (target.simulate or target.mdns):
        met.add(BenchFeature.MDNS)
    if bindings.serial and target.has_serial:
        met.add(BenchFeature.SERIAL)
    if target.simulate:
        met |= {BenchFeature.LOCAL, BenchFeature.POWER}
    has_actuator = target.hands is not None and not target.hands.is_console
    if has_actuator or (BenchFeature.SERIAL in met and has_console_hands(profile)):
        met.add(BenchFeature.LOCAL)
    # Where nothing is seen of the device, a loss of power cannot be confirmed.
    is_switched = target.has_power and (target.power is None or not target.power.is_console)
    if is_switched and met & {BenchFeature.BROKER, BenchFeature.COAP, BenchFeature.MDNS, BenchFeature.SERIAL}:
        met.add(BenchFeature.POWER)
    if target.power is not None and target.power.is_console and can_reboot(profile, target):
        met.add(BenchFeature.POWER)
    return frozenset(met)


def can_reboot(profile: Profile, target: Target) -> bool:
    """Whether a real device can be rebooted over its serial line."""
    binding = profile.bindings.serial
    return binding is not None and target.has_serial and binding.knows(SerialCommand.REBOOT)


def has_console_hands(profile: Profile) -> bool:
    """Whether its console can press keys or feed sensors."""
    binding = profile.bindings.serial
    hands = {SerialCommand.PRESS_BUTTON, SerialCommand.INJECT_SENSOR}
    return binding is not None and bool(hands & binding.commands)


def address_in(text: str, option: str) -> tuple[str, int]:
    """Host and port. Raises UsageError that names the option."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{option} {text}: not an address such as 0.0.0.0:1883")
    return host, int(port)


def helper_in(text: str | None, option: str) -> ActuatorName | None:
    """The actuator that an option names. Raises UsageError that names the option."""
    if text is None:
        return None
    try:
        return parse(text)
    except ActuatorError as problem:
        raise UsageError(f"{option}: {problem}") from None


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
