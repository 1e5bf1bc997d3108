"""The serial line to a board: opens the port, records every byte, sends the profile's commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.links.serial.frames import FrameSerialProtocol
from harness.links.serial.opening import SerialError
from harness.links.serial.port import SerialConnection
from harness.links.serial.protocol import (
    CommandAnswer,
    CommandExchange,
    Piece,
    SerialProtocol,
)
from harness.links.serial.text import TextSerialProtocol
from harness.model.base import Value
from harness.model.bindings.serial import (
    SerialBinding,
    SerialCommand,
)
from harness.model.profile import Profile
from harness.trace.events import Direction, Event, Note, PortChange, SerialAnswer, SerialData, SerialPort
from harness.trace.recorder import Recorder
from harness.wire.serial.values import UnfitError

__all__ = ["Reply", "SerialError", "SerialLink"]

PAUSE = 0.2
"""Seconds of silence after which a frame, and an answer of several frames, is over."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The board's answer; ``problem`` says what is wrong with it, if anything."""

    event: Event
    value: Value = None
    problem: str | None = None


class SerialLink:
    """One serial line.

    ``url`` is anything that pyserial opens: a device path, ``socket://host:port``, ``rfc2217://host:port``.
    Every byte is recorded as SerialData, every change of the port as SerialPort.
    """

    def __init__(self, recorder: Recorder, url: str, profile: Profile) -> None:
        binding = profile.bindings.serial
        if binding is None:
            raise ValueError(f"the profile {profile.profile} has no serial binding")
        self.url = url
        self._binding = binding
        self._recorder = recorder
        self._protocol = protocol_of(binding, profile)
        self._turn = asyncio.Lock()
        self._waiting: tuple[CommandExchange, asyncio.Future[CommandAnswer]] | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._complained = False
        # Whether half a line may be in the board's input. It is not cleared before the first command: many
        # boot loaders stop at any input during a start.
        self._unsure = True
        self._heard_at = 0.0  # loop time of the last byte
        self._port = SerialConnection(url, binding.line, on_data=self._received, on_change=self._changed)

    @property
    def present(self) -> bool:
        """Whether the port is open now; one that vanished is opened again when it returns."""
        return self._port.present

    @property
    def complaint(self) -> str | None:
        """What seems to be wrong with the line, such as its baud rate, as text; None if nothing."""
        return self._protocol.complaint()

    @property
    def absence(self) -> str | None:
        """That the port is gone, as text; None while it is open."""
        return None if self.present else f"the serial port {self.url} is gone; check its cable"

    async def start(self) -> None:
        """Open the port. Raises SerialError."""
        await self._port.open()

    async def close(self) -> None:
        """Close the port and stop recording."""
        self._stop_pause()
        await self._port.close()

    async def command(
        self,
        command: SerialCommand,
        name: str | None = None,
        value: Value = None,
        *,
        within: float | None = None,
    ) -> Reply:
        """Send the board a command and return its answer; one command at a time.

        Raises SerialError if the profile declares no such command, or the port is gone.
        """
        if not self._binding.knows(command, name):
            about = f"{command} {name}" if name else str(command)
            raise SerialError(f"the profile declares no {about} on the serial line (bindings.serial)")
        limit = self._binding.answer_within if within is None else within
        async with self._turn:
            try:
                exchange = self._protocol.exchange(command, name, value)
            except UnfitError as problem:
                raise SerialError(f"{command} cannot be sent: {problem}") from problem
            answer = await self._exchange(exchange, limit)
        text = None if answer.value is None else json.dumps(answer.value, ensure_ascii=False)
        event = self._recorder.record(SerialAnswer(command.value, name, text, answer.problem))
        return Reply(event, answer.value, answer.problem)

    async def send(self, raw: bytes) -> None:
        """Send raw bytes between two commands. Raises SerialError if the port is gone."""
        async with self._turn:
            self._send(raw, raw.decode("utf-8", "backslashreplace").rstrip("\r\n"))

    async def line(
        self, wanted: Callable[[str], bool], *, within: float, since: int | None = None
    ) -> Event | None:
        """Wait for a line of the board that ``wanted`` accepts; None if none came in time."""

        def accepted(event: Event) -> bool:
            body = event.body
            return (
                isinstance(body, SerialData)
                and body.direction is Direction.FROM_DUT
                and body.line is not None
                and wanted(body.line)
            )

        return await self._recorder.wait_for(accepted, within=within, since=since)

    async def _exchange(self, exchange: CommandExchange, within: float) -> CommandAnswer:
        if self._unsure and (greeting := self._protocol.greeting()) is not None:
            self._send(*greeting)
        self._unsure = False
        if not exchange.awaits:
            self._send(exchange.raw, exchange.text)
            return CommandAnswer()
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._heard_at + self._protocol.gap - loop.time())
        answered: asyncio.Future[CommandAnswer] = loop.create_future()
        self._waiting = (exchange, answered)
        try:
            self._send(exchange.raw, exchange.text)
            async with asyncio.timeout(within):
                return await answered
        except TimeoutError:
            self._unsure = True
            why = self.complaint or exchange.instead
            return CommandAnswer(problem=f"no answer within {within:g} s" + (f"; {why}" if why else ""))
        finally:
            self._waiting = None

    def _send(self, raw: bytes, text: str) -> None:
        self._port.write(raw)
        is_line = self._binding.text is not None
        self._recorder.record(
            SerialData(Direction.TO_DUT, raw, text if is_line else None, None if is_line else text)
        )

    def _received(self, data: bytes) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._stop_pause()
        self._take(self._protocol.split(data))
        if self._protocol.unfinished or self._waiting is not None:
            self._pause = asyncio.get_running_loop().call_later(PAUSE, self._paused)
        if not self._complained and (complaint := self._protocol.complaint()):
            self._complained = True
            self._recorder.record(Note(f"serial: {complaint}"))

    def _paused(self) -> None:
        self._pause = None
        self._take(self._protocol.stalled())
        if self._waiting is not None:
            exchange, answered = self._waiting
            self._answered(answered, exchange.quiet())

    def _take(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self._recorder.record(SerialData(Direction.FROM_DUT, piece.raw, piece.line, piece.what))
            if self._waiting is not None:
                exchange, answered = self._waiting
                self._answered(answered, exchange.offer(piece))

    @staticmethod
    def _answered(answered: asyncio.Future[CommandAnswer], answer: CommandAnswer | None) -> None:
        if answer is not None and not answered.done():
            answered.set_result(answer)

    def _changed(self, change: PortChange, detail: str | None) -> None:
        self._recorder.record(SerialPort(change, self.url, detail))
        if change is PortChange.VANISHED:
            self._stop_pause()
            if self._waiting is not None:
                problem = f"the serial port {self.url} vanished: {detail}"
                self._answered(self._waiting[1], CommandAnswer(problem=problem))
        elif change in (PortChange.OPENED, PortChange.RETURNED):
            self._unsure = True

    def _stop_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None


def protocol_of(binding: SerialBinding, profile: Profile) -> SerialProtocol:
    """The protocol that the profile declares."""
    if binding.text is not None:
        return TextSerialProtocol(binding.text, binding.line, profile)
    if binding.frames is not None:
        return FrameSerialProtocol(binding.frames, binding.line, profile)
    assert binding.modbus is not None, "validated: one of the three"
    from harness.links.serial.modbus import ModbusSerialProtocol  # imports pymodbus, which few profiles need

    return ModbusSerialProtocol(binding.modbus, binding.line, profile)
