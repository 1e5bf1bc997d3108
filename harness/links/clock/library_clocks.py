"""The clocks that protocol stacks read by themselves: where each is found, and what it really says.

In virtual time each of them is given the loop's (:func:`given`), and is asked again and again whether it
still has it (:func:`clock_drift_reason`): a stack that keeps real time beside a clock that jumps would
ping too late, or never find anything expired, and the device would be blamed for it.
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
"""Seconds by which a reading may differ: zeroconf counts milliseconds, and rounds."""


class ClockError(UndecidedError):
    """A protocol stack cannot be brought under the loop's clock; the text is for people."""


@dataclass(frozen=True, slots=True)
class ForeignClock:
    """One clock of a library: the name by which a module of it asks for the time, and how to see the answer.

    ``name`` is that of a function, or the module ``time`` under that name. ``reading`` goes the way that the
    library's own code goes, so that a name that nobody asks any more is found out.
    """

    library: str
    module: str
    name: str
    reading: Callable[[], float]


def _paho() -> float:
    """A client notes when it was made."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    return float(Client(CallbackAPIVersion.VERSION2)._last_msg_out)


def _zeroconf() -> float:
    """A record notes when it was made, in compiled code that may call past the names that Python sees."""
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
    """Stands in for the module ``time`` inside a protocol stack: its clocks are the one given."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.time = self.monotonic = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextlib.contextmanager
def given(clock: Callable[[], float]) -> Iterator[None]:
    """Give the protocol stacks that clock, and their own back at the end.

    Raises ClockError when a stack of this version reads its time elsewhere than known here.
    """
    stand_in = _ClockAsModule(clock)
    with contextlib.ExitStack() as restore:
        for foreign in FOREIGN_CLOCKS:
            module = importlib.import_module(foreign.module)
            own = getattr(module, foreign.name, None)
            if own is None:
                raise ClockError(
                    f"{foreign.module} has no {foreign.name}: its version is not known to take virtual time; "
                    "install the version that this package asks for, or run in real time (--real-time)"
                )
            setattr(module, foreign.name, clock if callable(own) else stand_in)
            restore.callback(setattr, module, foreign.name, own)
        if problem := clock_drift_reason(clock):
            raise ClockError(problem)
        yield


def clock_drift_reason(clock: Callable[[], float]) -> str | None:
    """Which library keeps another time than ``clock``, for people; None while all of them agree."""
    for foreign in FOREIGN_CLOCKS:
        theirs, ours = foreign.reading(), clock()
        if abs(theirs - ours) > TOLERANCE:
            return (
                f"the clock of the library {foreign.library} reads {theirs:.3f} s and that of the run "
                f"{ours:.3f} s: whatever took time in this run cannot be judged; install the version of "
                f"{foreign.library} that this package asks for, or run in real time (--real-time)"
            )
    return None
