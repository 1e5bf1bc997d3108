"""Looking after a board on its serial line: that its port is there, it answers, and has its network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.checks.bench import Bench, StimulusError
from harness.checks.support.serial.board import first_telling
from harness.model.bindings.serial import SerialCommand
from harness.trace.events import Act, Event, SerialPort, Stimulus
from harness.trace.trace import backwards, bodies

PAUSE = 2.0  # seconds until a board whose port is away is asked again
ENOUGH_NOISE = 3  # questions answered by noise, after which it will not get better

BACK = {Act.NETWORK_OFF: SerialCommand.NETWORK_ON, Act.FACTORY_RESET: SerialCommand.PROVISION}
"""What takes a board off its network, and the command that brings it back."""


async def port_returns(bench: Bench, limit: float) -> None:
    """Wait for a port that vanished, as it does when a board takes its USB along; not for ever."""
    if bench.serial.present:
        return
    gone = next((event for event, _ in backwards(bench.trace, SerialPort)), None)
    if gone is not None:
        await bench.wait_for(
            lambda event: isinstance(event.body, SerialPort),
            within=max(gone.time + limit - bench.now, 0.0),
            since=gone.line,
            imposed_by="profile: behaviour.boot",
            what="the serial port to return",
        )


async def board_answers(bench: Bench, deadline: float, is_noise: Callable[[], bool]) -> bool:
    """Where nothing else is seen of the device: whether it answers on its serial line."""
    telling, tries = first_telling(bench.profile), 0
    while telling is not None:
        tries += 1
        try:
            if (await bench.serial.command(*telling)).good:
                return True
        except StimulusError:  # the port is away, and may come back
            await bench.wait_for(lambda _: False, within=PAUSE, what="the serial port to return")
        if (is_noise() and tries >= ENOUGH_NOISE) or bench.now >= deadline:
            return False
    return True


async def rejoin(bench: Bench, since: int) -> None:
    """Bring the board back to its network, if a check that broke off has left it without one."""
    taken = _taken_off(bench.trace[since:])
    if taken is None or not bench.serial.knows(BACK[taken]):
        return
    await port_returns(bench, bench.profile.behaviour.boot)
    try:
        await bench.serial.command(BACK[taken])
    except StimulusError as reason:
        bench.note(f"the board stays without a network: {reason}")


def _taken_off(events: Sequence[Event]) -> Act | None:
    """The act that took the board off its network last, where nothing has brought it back."""
    taken = None
    for _, body in bodies(events, Stimulus):
        if body.act in BACK:
            taken = body.act
        elif body.act is Act.NETWORK_ON or (body.act, body.name) == (Act.CONSOLE, SerialCommand.PROVISION):
            taken = None
    return taken
