"""Helpers for CoAP faults: conditions on profiles, and filters for datagrams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.model.profile import Profile
from harness.simulate.coap.endpoint import DatagramFilter
from harness.simulate.coap.server import SimulatedCoapServer
from harness.wire import coap

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

CON, NON, ACK, RST = range(4)


def has_coap(profile: Profile) -> bool:
    """A device that is a CoAP server."""
    return profile.bindings.coap is not None


def has_slow_resource(profile: Profile) -> bool:
    """A device with separate responses."""
    binding = profile.bindings.coap
    return binding is not None and any(resource.takes > 0 for resource in binding.resources)


def observes(profile: Profile) -> bool:
    """A device with an observable setting."""
    binding = profile.bindings.coap
    return binding is not None and any(
        bound.observe and profile.properties[name].writable for name, bound in binding.properties.items()
    )


def observes_confirmably(profile: Profile) -> bool:
    """A device that sends confirmable notifications."""
    binding = profile.bindings.coap
    return binding is not None and binding.confirmable_notifications and observes(profile)


def has_setting(profile: Profile) -> bool:
    """A device with a writable property over CoAP."""
    binding = profile.bindings.coap
    return binding is not None and any(profile.properties[name].writable for name in binding.properties)


def front(device: SimulatedDevice) -> SimulatedCoapServer:
    """The CoAP server of a device that has one."""
    assert device.coap is not None
    return device.coap


def with_type(datagram: bytes, kind: int) -> bytes:
    """The same datagram with another message type."""
    return bytes([datagram[0] & 0xCF | kind << 4]) + datagram[1:]


def kind_of(datagram: bytes) -> int:
    """The message type."""
    return datagram[0] >> 4 & 3


def token_of(datagram: bytes) -> bytes:
    """The token."""
    return datagram[4 : 4 + (datagram[0] & 0x0F)]


def is_request(datagram: bytes) -> bool:
    """Whether its code is that of a request."""
    return len(datagram) > 3 and 0 < datagram[1] < 32


def response_code(datagram: bytes) -> int:
    """The code of a response; 0 otherwise."""
    return datagram[1] if len(datagram) > 3 and 64 <= datagram[1] < 192 else 0


def responses(change: Callable[[coap.Message], coap.Message]) -> DatagramFilter:
    """A filter that changes every response, including notifications, before it is sent."""
    return lambda datagram: (
        [coap.encode(change(coap.decode(datagram)))] if response_code(datagram) else [datagram]
    )


def without(message: coap.Message, number: int) -> coap.Message:
    """The message without an option."""
    return replace(message, options=tuple(each for each in message.options if each.number != number))


def counts_actions(profile: Profile) -> bool:
    """A device with an action over CoAP whose repetition an event reports."""
    binding = profile.bindings.coap
    if binding is None:
        return False
    return any(
        rule.then[0].event in binding.events and rule.when[0].action in binding.actions
        for rule in profile.behaviour.rules
        if rule.when and rule.then
    )
