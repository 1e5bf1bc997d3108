"""Care for a board on a serial line: its port is present, it answers, and it is on its network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.checks.bench import Bench, StimulusError
from harness.checks.support.serial.board import harmless_command
from harness.model.bindings.serial import SerialCommand
from harness.trace.events import Act, Event, SerialPort, Stimulus
from harness.trace.trace import backwards, bodies

PAUSE = 2.0  # seconds until a board whose port is missing is asked again
ENOUGH_NOISE = 3  # after so many questions answered by noise, the line will not get better

BACK = {Act.NETWORK_OFF: SerialCommand.NETWORK_ON, Act.FACTORY_RESET: SerialCommand.PROVISION}
"""The acts that take a board off its network, and the commands that bring it back."""


async def port_returns(bench: Bench, limit: float) -> None:
    """Wait up to ``limit`` seconds for a port that vanished, as with a USB bridge on the board."""
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
    """Whether the board answers on its serial line, where nothing else is seen of it."""
    question, tries = harmless_command(bench.profile), 0
    while question is not None:
        tries += 1
        try:
            if (await bench.serial.command(*question)).good:
                return True
        except StimulusError:  # the port is missing, and may come back
            await bench.wait_for(lambda _: False, within=PAUSE, what="the serial port to return")
        if (is_noise() and tries >= ENOUGH_NOISE) or bench.now >= deadline:
            return False
    return True


async def rejoin(bench: Bench, since: int) -> None:
    """Bring the board back to its network, if an aborted check has left it without one."""
    taken = _taken_off(bench.trace[since:])
    if taken is None or not bench.serial.knows(BACK[taken]):
        return
    await port_returns(bench, bench.profile.behaviour.boot)
    try:
        await bench.serial.command(BACK[taken])
    except StimulusError as reason:
        bench.note(f"the board is still without a network: {reason}")


def is_off_network(events: Sequence[Event]) -> bool:
    """Whether an act in these events has taken the board off its network, and nothing has brought it back."""
    return _taken_off(events) is not None


def _taken_off(events: Sequence[Event]) -> Act | None:
    """The last act that took the board off its network, unless it has been brought back since."""
    taken = None
    for _, body in bodies(events, Stimulus):
        if body.act in BACK:
            taken = body.act
        elif body.act is Act.NETWORK_ON or (body.act, body.name) == (Act.CONSOLE, SerialCommand.PROVISION):
            taken = None
    return taken
