"""The clocks that protocol libraries read by themselves: where each is found, and what it reads.

In virtual time each library gets the loop's clock (:func:`given`), which is verified repeatedly
(:func:`clock_drift_reason`): a library that keeps real time would ping too late, or never find anything
expired, and the device would be blamed for it.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.errors import UndecidedError

TOLERANCE = 0.001
"""Seconds by which a reading may differ: zeroconf rounds to milliseconds."""


class ClockError(UndecidedError):
    """A library cannot be brought under the loop's clock; the message is for people."""


@dataclass(frozen=True, slots=True)
class ForeignClock:
    """One clock of a library: the name that a module of it uses for the time, and how to read the clock.

    ``name`` is a function, or the module ``time`` under that name. ``reading`` uses the library's own code,
    so that a name which the library no longer uses is noticed.
    """

    library: str
    module: str
    name: str
    reading: Callable[[], float]


def _paho() -> float:
    """A client records when it was created."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    return float(Client(CallbackAPIVersion.VERSION2)._last_msg_out)


def _zeroconf() -> float:
    """A record stores when it was created, in compiled code that may bypass Python's names."""
    from zeroconf._dns import DNSPointer

    return float(DNSPointer("clock.local.", 12, 1, 120, "virtual.clock.local.").created) / 1000


def _aiocoap() -> float:
    from aiocoap import protocol

    return float(protocol.time.time())


def _amqtt_session() -> float:
    from amqtt import session

    return float(session.time.time())


def _amqtt_broker() -> float:
    from amqtt import broker

    return float(broker.time.time())


FOREIGN_CLOCKS = (
    ForeignClock("paho-mqtt", "paho.mqtt.client", "time_func", _paho),
    ForeignClock("zeroconf", "zeroconf._utils.time", "time", _zeroconf),
    ForeignClock("aiocoap", "aiocoap.protocol", "time", _aiocoap),
    ForeignClock("amqtt", "amqtt.session", "time", _amqtt_session),
    ForeignClock("amqtt", "amqtt.broker", "time", _amqtt_broker),
)


class _ClockAsModule:
    """Replaces the module ``time`` inside a library; its clocks are the given one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.time = self.monotonic = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextlib.contextmanager
def given(clock: Callable[[], float]) -> Iterator[None]:
    """Give the libraries that clock, and restore theirs at the end.

    Raises ClockError if this version of a library reads its time elsewhere.
    """
    stand_in = _ClockAsModule(clock)
    with contextlib.ExitStack() as restore:
        for foreign in FOREIGN_CLOCKS:
            module = importlib.import_module(foreign.module)
            own = getattr(module, foreign.name, None)
            if own is None:
                raise ClockError(
                    f"{foreign.module} has no {foreign.name}: its version does not support virtual time; "
                    "install the version that this package asks for, or run in real time (--real-time)"
                )
            setattr(module, foreign.name, clock if callable(own) else stand_in)
            restore.callback(setattr, module, foreign.name, own)
        if problem := clock_drift_reason(clock):
            raise ClockError(problem)
        yield


def clock_drift_reason(clock: Callable[[], float]) -> str | None:
    """Which library has another time than ``clock``, as text; None if all agree."""
    for foreign in FOREIGN_CLOCKS:
        theirs, ours = foreign.reading(), clock()
        if abs(theirs - ours) > TOLERANCE:
            return (
                f"the clock of the library {foreign.library} is at {theirs:.3f} s and that of the run at "
                f"{ours:.3f} s, so this run cannot be judged; install the version of "
                f"{foreign.library} that this package asks for, or run in real time (--real-time)"
            )
    return None
