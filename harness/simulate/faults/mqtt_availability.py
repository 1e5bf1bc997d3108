"""Faults in what a device lets others know of its being there, and in what it leaves at the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.binding import MqttBinding
from harness.model.profile import Profile, RetainedCommandPolicy
from harness.simulate.faults import fault
from harness.simulate.faults.rewriting import binding, front, only, takes_commands
from harness.trace.mqtt import PacketType, encode_publish

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


def _awake(mqtt: MqttBinding) -> bool:
    """It is connected all the time."""
    return mqtt.sleep is None


def _leaves_in_order(profile: Profile) -> bool:
    """It promises to say goodbye when it is stopped."""
    return binding(_awake)(profile) and "MQTT.GRACEFUL_STOP" in profile.ics


@fault(
    name="stop-untold",
    title="is stopped in order without saying that it goes offline",
    breaks=("DEV-19",),
    applies=lambda profile: _leaves_in_order(profile) and binding(lambda mqtt: mqtt.availability)(profile),
)
def stop_untold(device: SimulatedDevice) -> None:
    """The will is trusted to do it, which DISCONNECT takes back."""
    front(device).bend(says_offline=False)


@fault(
    name="talks-after-disconnect",
    title="publishes once more after its DISCONNECT",
    breaks=("MQTT-DEV-051",),
    applies=_leaves_in_order,
)
def talks_after_disconnect(device: SimulatedDevice) -> None:
    """The task that reports is stopped after the client."""
    mqtt = device.profile.bindings.mqtt
    assert mqtt is not None
    last = encode_publish(f"{mqtt.base}/uptime", b"86400")
    front(device).outgoing.append(only(PacketType.DISCONNECT, lambda packet: [packet, last]))


@fault(
    name="obeys-retained-commands",
    title="obeys commands that the broker kept",
    breaks=("DEV-20",),
    seen_as="F-MQTT-27",
    applies=lambda profile: (
        binding(takes_commands)(profile)
        and profile.behaviour.retained_command is RetainedCommandPolicy.IGNORE
    ),
)
def obeys_retained_commands(device: SimulatedDevice) -> None:
    """The retain flag is not looked at: ghosts switch the load after each loss of the network."""
    front(device).bend(obeys_retained=True)
