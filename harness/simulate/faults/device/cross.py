"""Faults that make the protocols of one device disagree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.model.base import Value
from harness.model.profile import Profile
from harness.simulate.coap.resources import PropertyResource
from harness.simulate.faults import fault
from harness.simulate.firmware.core import (
    Accepted,
    Core,
    Refused,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


class _Copy:
    """A copy of the state for one protocol, updated only by its own commands."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._known = {name: core.read(name) for name in core.profile.properties}

    def read(self, name: str) -> Value:
        return self._known[name]

    def command(self, name: str, value: Value) -> Accepted | Refused:
        answer = self._core.command(name, value)
        self._known[name] = self._core.read(name)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)


def _has_both(profile: Profile) -> bool:
    mqtt, coap = profile.bindings.mqtt, profile.bindings.coap
    return mqtt is not None and coap is not None and bool(set(mqtt.properties) & set(coap.properties))


@fault(
    name="coap-shows-copy",
    title="reports over CoAP a copy of the state that only CoAP commands update",
    breaks=("PROFILE-64",),
    applies=_has_both,
)
def coap_shows_copy(device: SimulatedDevice) -> None:
    """Each task has its own state."""
    if device.coap is None:
        return
    copy: Any = _Copy(device.core)
    for resource in device.coap.resources:
        if isinstance(resource, PropertyResource):
            resource.core = copy


def _announces(key: Callable[[Profile], str | None]) -> Callable[[Profile], bool]:
    """Whether a TXT record of the profile has the value that ``key`` returns."""

    def announced(profile: Profile) -> bool:
        mdns, wanted = profile.bindings.mdns, key(profile)
        return (
            wanted is not None and mdns is not None and any(wanted in s.txt.values() for s in mdns.services)
        )

    return announced


def _client_id(profile: Profile) -> str | None:
    return profile.bindings.mqtt.client_id if profile.bindings.mqtt is not None else None


def _shown_firmware(profile: Profile) -> str | None:
    """The firmware version, if an info page shows it as well."""
    mdns = profile.bindings.mdns
    has_page = mdns is not None and any(service.speaks == "http" for service in mdns.services)
    return profile.firmware if has_page else None


def _announce_instead(device: SimulatedDevice, value: str | None, other: str) -> None:
    """Replace ``value`` by ``other`` in the TXT records."""
    mdns = device.profile.bindings.mdns
    if device.mdns is None or mdns is None:
        return
    pairs = next((service.txt for service in mdns.services if value in service.txt.values()), {})
    strings = tuple(f"{key}={other if text == value else text}".encode() for key, text in pairs.items())
    device.mdns.deviate(txt=strings)


@fault(
    name="announces-another-unit",
    title="announces the identifier of the board that the firmware was built on",
    breaks=("DEV-25",),
    applies=_announces(_client_id),
)
def announces_another_unit(device: SimulatedDevice) -> None:
    """Over MQTT it uses its own identifier."""
    value = _client_id(device.profile) or ""
    _announce_instead(device, value, value.replace(device.profile.unit, "000000"))


@fault(
    name="announces-old-firmware",
    title="announces the firmware version that it left the factory with",
    breaks=("DNSSD-12",),
    seen_as="F-DNSSD-08",
    applies=_announces(_shown_firmware),
)
def announces_old_firmware(device: SimulatedDevice) -> None:
    """The update did not change the TXT record."""
    _announce_instead(device, device.profile.firmware, "0.9.0")
