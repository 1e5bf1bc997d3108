"""Variants of a profile: with a login, with fewer transports, with more frequent reports."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from harness.model.bindings.mqtt import MqttBinding
from harness.model.profile import Profile
from harness.session.target import UsageError

TRANSPORTS = ("mqtt", "coap", "mdns")


def logging_in(profile: Profile) -> Profile:
    """The same device, configured to log in to its broker."""
    return _with_mqtt(profile, login=True)


def speaking_only(profile: Profile, transports: Collection[str]) -> Profile:
    """The same device with only these transports. Raises UsageError if it has none of them."""
    bound = [name for name in TRANSPORTS if getattr(profile.bindings, name) is not None]
    left = {name: None for name in bound if name not in transports}
    if len(left) == len(bound):
        has = ", ".join(bound) or "no transport at all"
        raise UsageError(f"--only {' '.join(transports)}: {profile.profile} has {has}")
    return profile.model_copy(update={"bindings": profile.bindings.model_copy(update=left)})


def reporting_every(profile: Profile, seconds: float) -> Profile:
    """The same device, reporting its states over MQTT this often; a sleeping one wakes up for it."""
    mqtt = profile.bindings.mqtt
    if mqtt is None or mqtt.sleep is None:
        behaviour = profile.behaviour.model_copy(update={"heartbeat": seconds})
        return profile.model_copy(update={"behaviour": behaviour})
    return _with_mqtt(profile, sleep=mqtt.sleep.model_copy(update={"wakes_every": seconds}))


def _with_mqtt(profile: Profile, **changes: Any) -> Profile:
    mqtt: MqttBinding | None = profile.bindings.mqtt
    if mqtt is None:
        return profile
    bindings = profile.bindings.model_copy(update={"mqtt": mqtt.model_copy(update=changes)})
    return profile.model_copy(update={"bindings": bindings})
