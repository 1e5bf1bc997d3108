"""How the MQTT side of a simulated device can deviate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

PacketFilter = Callable[[bytes], Sequence[bytes]]
"""Turns one whole MQTT packet into those really sent."""


@dataclass(frozen=True, slots=True)
class MqttDeviations:
    """Each default conforms. ``None``: the profile decides."""

    # CONNECT
    client_id: str | None = None
    will: bool = True
    will_retain: bool | None = None
    will_qos: int | None = None
    keep_alive: int | None = None  # seconds announced in CONNECT, and kept
    ping_slowness: float = 1.0  # factor by which pings come later than the announced keep-alive requires
    pings: bool = True
    notices_half_open: bool = True  # a missing PINGRESP ends the connection

    # After CONNACK
    waits_for_suback: bool = True
    subscribes: bool = True
    subscribes_again: bool = True  # … also on connections after the first
    minds_refused_subscription: bool = True
    trusts_session: bool = False  # does not subscribe where CONNACK says that the session was kept
    filters: tuple[str, ...] | None = None  # subscribed in place of the command topics
    birth: bool = True
    birth_again: bool = True
    birth_retain: bool | None = None
    publishes_state: bool = True
    publishes_state_again: bool = True

    # While connected
    qos: int | None = None  # of every publication
    state_retain: bool | None = None
    event_retain: bool | None = None
    repeats: int = 1  # how often each state is published
    heartbeat: float | None = None  # seconds between two reports of all states
    confirms: bool = True  # commands that changed nothing, and refused ones, are answered with the state
    acknowledges: bool = True
    executes_duplicates: bool = False
    obeys_retained: bool | None = None
    obeys_own_state: bool = False  # a message on a state topic is taken as a command
    replaces_missing: bool = False  # members that a command leaves out go back to their defaults
    strict_members: bool = False  # an unknown member invalidates the whole command
    checks_size: bool = True
    crash: float = 0.0  # seconds offline after an unreadable payload; 0: it is ignored
    large_crash: float = 0.0  # … after one larger than the profile says

    # Losing and leaving
    keeps_settings: bool = True  # otherwise the settings fall back to their defaults with each loss
    cycle: float = 0.0  # seconds after which it leaves its broker, to come back at once; 0: it stays
    reconnects: int | None = None  # number of attempts after a disconnect; None: unlimited
    backs_off: bool = True
    jitters: bool = True
    minds_short_sessions: bool = True  # a session that ends at once counts as a failure
    says_offline: bool = True
    disconnects: bool = True  # DISCONNECT ends an orderly stop


HABITS: dict[str, dict[str, Any]] = {
    "kept-session": {"trusts_session": True},
    "message-every-5-s": {"heartbeat": 5.0},
    "chatty": {"heartbeat": 1.0},
}
"""Habits of devices that conform all the same, as arguments of ``SimulatedMqttClient.deviate``."""
