"""Faults in keep-alive, reconnection and disconnection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.profile import Profile
from harness.simulate.faults import fault
from harness.simulate.faults.mqtt._rewriting import (
    binding,
    front,
    speaks_mqtt,
    takes_commands,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


stays_connected = binding(lambda mqtt: mqtt.sleep is None and mqtt.keep_alive)


def has_to_ping(profile: Profile) -> bool:
    """A device that stays connected, and does not report so often by itself that it need not ping."""
    heartbeat, mqtt = profile.behaviour.heartbeat, profile.bindings.mqtt
    return stays_connected(profile) and (heartbeat is None or mqtt is None or heartbeat > mqtt.keep_alive)


def shows_untold_states(profile: Profile) -> bool:
    """A device with retained states that no heartbeat tells in the time that it has for coming back."""
    behaviour = profile.behaviour
    retains = binding(lambda mqtt: any(bound.retain for bound in mqtt.properties.values()))
    # The first beat may come after half a period.
    return retains(profile) and (
        behaviour.heartbeat is None or behaviour.heartbeat / 2 >= behaviour.reconnect
    )


@fault(
    name="pings-late",
    title="pings later than its keep-alive requires",
    breaks=("MQTT-DEV-018",),
    seen_as="F-MQTT-11",
    applies=has_to_ping,
)
def pings_late(device: SimulatedDevice) -> None:
    """The timer has some slack, on the wrong side."""
    front(device).deviate(ping_slowness=1.3)


@fault(
    name="pings-missing",
    title="never pings",
    breaks=("MQTT-DEV-018",),
    seen_as="F-MQTT-11",
    applies=has_to_ping,
)
def pings_missing(device: SimulatedDevice) -> None:
    """Nobody calls the client library's loop while there is nothing to send."""
    front(device).deviate(pings=False)


@fault(
    name="half-open-not-noticed",
    title="does not notice that its pings are not answered",
    breaks=("MQTT-DEV-019",),
    seen_as="F-MQTT-13",
    applies=has_to_ping,
)
def half_open_not_noticed(device: SimulatedDevice) -> None:
    """It believes for hours that it is online."""
    front(device).deviate(notices_half_open=False)


@fault(
    name="subscribes-once",
    title="does not subscribe again after a disconnect",
    breaks=("MQTT-DEV-030", "MQTT-DEV-031"),
    applies=binding(takes_commands),
)
def subscribes_once(device: SimulatedDevice) -> None:
    """It keeps reporting, but receives no commands."""
    front(device).deviate(subscribes_again=False)


@fault(
    name="states-told-once",
    title="publishes its states only on the first connection",
    breaks=("DEV-16", "PROFILE-05"),
    seen_as="F-MQTT-25",
    applies=shows_untold_states,
)
def states_told_once(device: SimulatedDevice) -> None:
    """After a restart of the broker everybody waits for the next change."""
    front(device).deviate(publishes_state_again=False)


@fault(
    name="birth-not-retained",
    title="its will is retained, its online message is not",
    breaks=("DEV-18",),
    seen_as="F-MQTT-03",
    applies=binding(lambda mqtt: mqtt.availability and mqtt.availability.retain),
)
def birth_not_retained(device: SimulatedDevice) -> None:
    """Late subscribers see it offline although it works."""
    front(device).deviate(birth_retain=False)


@fault(
    name="birth-told-once",
    title="publishes its online message only on the first connection",
    breaks=("DEV-18", "PROFILE-05"),
    seen_as="F-HOMIE-02",
    applies=binding(lambda mqtt: mqtt.availability),
)
def birth_told_once(device: SimulatedDevice) -> None:
    """After a disconnect the will stays the last message."""
    front(device).deviate(birth_again=False)


@fault(
    name="never-reconnects",
    title="does not reconnect after it has lost the broker",
    breaks=("PROFILE-06",),
    seen_as="F-MQTT-10",
    applies=stays_connected,
)
def never_reconnects(device: SimulatedDevice) -> None:
    """Only a power cycle helps."""
    front(device).deviate(reconnects=0)


@fault(
    name="backoff-missing",
    title="tries to reconnect at a constant rate forever",
    breaks=("MQTT-DEV-022", "MQTT-DEV-023"),
    seen_as="F-MQTT-10",
    applies=speaks_mqtt,
)
def backoff_missing(device: SimulatedDevice) -> None:
    """All devices of a house try every second, and keep the broker from starting."""
    front(device).deviate(backs_off=False)


@fault(
    name="short-sessions-forgotten",
    title="floods a broker that ends each of its sessions at once",
    breaks=("MQTT-DEV-023",),
    seen_as="F-MQTT-10",
    applies=speaks_mqtt,
)
def short_sessions_forgotten(device: SimulatedDevice) -> None:
    """Every CONNACK counts as success and sets the pause back."""
    front(device).deviate(minds_short_sessions=False)


@fault(
    name="gives-up-reconnecting",
    title="gives up forever after two failed attempts",
    breaks=("MQTT-DEV-022", "MQTT-DEV-023"),
    seen_as="F-MQTT-10",
    applies=speaks_mqtt,
)
def gives_up_reconnecting(device: SimulatedDevice) -> None:
    """An outage of some seconds is enough."""
    front(device).deviate(reconnects=2)


@fault(
    name="leaves-each-cycle",
    title="leaves its broker every few seconds, and comes back",
    breaks=("PROFILE-09",),
    applies=stays_connected,
)
def leaves_each_cycle(device: SimulatedDevice) -> None:
    """The client is closed after each cycle of a slow task: the availability flickers."""
    front(device).deviate(cycle=6.0)
