"""Modbus RTU: requests and responses. pymodbus encodes the messages; the port is our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from harness.links.serial.protocol import (
    CommandAnswer,
    Cutter,
    Piece,
)
from harness.model.base import Value
from harness.model.bindings.serial import (
    TELLING,
    ByteOrder,
    LineSettings,
    ModbusProtocol,
    ModbusRegister,
    ModbusTable,
    SerialCommand,
)
from harness.model.profile import Profile
from harness.model.schema import DataSchema
from harness.wire.serial.values import (
    UnfitError,
    from_number,
    to_bytes,
    to_number,
)

READING = {
    ModbusTable.COIL: ReadCoilsRequest,
    ModbusTable.DISCRETE: ReadDiscreteInputsRequest,
    ModbusTable.HOLDING: ReadHoldingRegistersRequest,
    ModbusTable.INPUT: ReadInputRegistersRequest,
}

SILENT_CHARACTERS = 3.5  # between two messages (MODBUS over Serial Line 1.02, 2.5.1.1)
BITS_OF_CHARACTER = 11
LEAST_GAP = 0.00175  # seconds, at 19200 bits/s and above
ENOUGH = 16  # bytes without a message after which the line settings are suspect

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge: it takes longer",
    6: "server device busy",
    8: "memory parity error",
}
"""Exception codes (MODBUS Application Protocol 1.1b3, 7)."""


class ModbusFinder:
    """Finds the messages to or from one device in a stream, in spite of noise."""

    LONGEST = 256  # bytes of a message (MODBUS over Serial Line 1.02, 2.5.1)

    def __init__(self, address: int, *, requests: bool) -> None:
        self._address = address
        self._decoder = DecodePDU(is_server=requests)
        self._buffer = bytearray()
        self._passed = 0  # bytes of the stream that are no longer in the buffer
        self.damaged = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, ModbusPDU]]:
        """The messages that these bytes complete, with their ends in the stream."""
        self._buffer += data
        while (found := self._first()) is not None:
            end, message = found
            del self._buffer[:end]
            self._passed += end
            yield self._passed, message
        surplus = len(self._buffer) - self.LONGEST
        if surplus > 0:
            del self._buffer[:surplus]
            self._passed += surplus

    def clear(self) -> None:
        """Drop an incomplete message."""
        self._passed += len(self._buffer)
        self._buffer.clear()

    def _first(self) -> tuple[int, ModbusPDU] | None:
        for start in range(len(self._buffer) - FramerRTU.MIN_SIZE + 1):
            if self._buffer[start] != self._address:
                continue
            size = self._size(bytes(self._buffer[start:]))
            raw = bytes(self._buffer[start : start + size])
            if not size or len(raw) < size:
                continue
            if not FramerRTU.check_CRC(raw[:-2], int.from_bytes(raw[-2:], "big")):
                self.damaged += 1
                continue
            message = self._decoder.decode(raw[1:-2])
            if message is not None:
                message.dev_id = self._address
                return start + size, message
        return None

    def _size(self, data: bytes) -> int:
        kind = self._decoder.lookupPduClass(data)
        try:
            return int(kind.calculateRtuFrameSize(data)) if kind is not None else 0
        except IndexError:  # its length has not come yet
            return 0


def message_raw(message: ModbusPDU) -> bytes:
    """A message with address and checksum."""
    return FramerRTU(DecodePDU(is_server=False)).buildFrame(message)


class ModbusSerialProtocol:
    """Implements :class:`harness.links.serial.protocol.SerialProtocol`."""

    unfinished = False

    def __init__(self, protocol: ModbusProtocol, line: LineSettings, profile: Profile) -> None:
        self._protocol = protocol
        self._line = line
        self._profile = profile
        self.gap = max(LEAST_GAP, SILENT_CHARACTERS * BITS_OF_CHARACTER / line.baud_rate)
        self._finder = ModbusFinder(protocol.address, requests=False)
        self._cutter = Cutter()
        self._messages = 0

    def greeting(self) -> None:
        """Modbus needs no greeting."""

    def split(self, data: bytes) -> Iterator[Piece]:
        """Messages, and what is left."""
        yield from self._cutter.cut(data, self._complete(data))

    def stalled(self) -> Iterable[Piece]:
        """The next request begins anew anyway."""
        return ()

    def exchange(self, command: SerialCommand, name: str | None, value: Value) -> ModbusExchange:
        """A request."""
        self._finder.clear()
        schema = self._profile.properties.get(name or "")
        register = self._register(command, name)
        if command in TELLING:
            return ModbusExchange(_reading(self._protocol.address, register), register, command, schema)
        if command is SerialCommand.PRESS_BUTTON:
            number = self._protocol.controls[name or ""]
        elif value is not None:
            number = to_number(register, schema, value)
        else:
            number = self._protocol.commands[command].value
        message = _writing(self._protocol.address, register, number)
        return ModbusExchange(message, register, command, schema)

    def complaint(self) -> str | None:
        """Bytes that are no messages."""
        if self._messages or self._cutter.position < ENOUGH:
            return None
        return (
            f"{self._cutter.position} bytes came and no message among them: {self._line.baud_rate} bits/s, "
            f"or parity {self._line.parity}, is probably not what the board uses (bindings.serial.line), "
            f"or its address is not {self._protocol.address}"
        )

    def _register(self, command: SerialCommand, name: str | None) -> ModbusRegister:
        bound = self._protocol.properties.get(name or "")
        if command is SerialCommand.INJECT_SENSOR and bound is not None and bound.inject is not None:
            return bound.inject
        if command in (SerialCommand.READ_STATE, SerialCommand.WRITE_PROPERTY) and bound is not None:
            return bound
        return self._protocol.commands[command]

    def _complete(self, data: bytes) -> Iterator[tuple[int, Piece]]:
        for end, message in self._finder.feed(data):
            self._messages += 1
            yield end, Piece(b"", what=described(message), content=message)


@dataclass(frozen=True, slots=True)
class ModbusExchange:
    """Implements :class:`harness.links.serial.protocol.CommandExchange`."""

    request: ModbusPDU
    register: ModbusRegister
    command: SerialCommand
    schema: DataSchema | None
    awaits: bool = True

    @property
    def raw(self) -> bytes:
        """The message."""
        return message_raw(self.request)

    @property
    def text(self) -> str:
        """For people."""
        return described(self.request)

    def offer(self, piece: Piece) -> CommandAnswer | None:
        """The response, if this is it."""
        response = piece.content
        if not isinstance(response, ModbusPDU):
            return None
        if response.function_code & 0x7F != self.request.function_code:
            return None
        if response.isError():
            code = response.exception_code
            return CommandAnswer(
                problem=f"the board refused: Modbus exception {code}, {EXCEPTIONS.get(code, 'unknown')}"
            )
        if self.command not in TELLING:
            return CommandAnswer()
        try:
            return CommandAnswer(self._value(response))
        except (UnfitError, UnicodeDecodeError) as problem:
            return CommandAnswer(problem=f"the board reported {problem}")

    def quiet(self) -> CommandAnswer | None:
        """None: one message is the whole answer."""
        return None

    @property
    def instead(self) -> str | None:
        """None: responses are matched by their function."""
        return None

    def _value(self, response: ModbusPDU) -> Value:
        register = self.register
        if register.table.has_bits:
            if not response.bits:
                raise UnfitError("no bit")
            return from_number(register, self.schema, int(response.bits[0]))
        if len(response.registers) != register.words:
            raise UnfitError(f"{len(response.registers)} registers instead of {register.words}")
        if register.text:
            return _raw_of(response.registers).rstrip(b"\0 ").decode()
        return from_number(register, self.schema, _number_of(register, response.registers))


def _reading(address: int, register: ModbusRegister) -> ModbusPDU:
    kind = READING[register.table]
    return kind(dev_id=address, address=register.register_, count=register.words)


def _writing(address: int, register: ModbusRegister, number: int) -> ModbusPDU:
    where = register.register_
    if register.table.has_bits:
        return WriteSingleCoilRequest(dev_id=address, address=where, bits=[bool(number)])
    words = words_of(register, number)
    if len(words) == 1:
        return WriteSingleRegisterRequest(dev_id=address, address=where, registers=words)
    return WriteMultipleRegistersRequest(dev_id=address, address=where, registers=words)


def words_of(register: ModbusRegister, number: int) -> list[int]:
    """A number as registers, in the register's ``order``; each of them is big-endian. Raises UnfitError."""
    raw = to_bytes(number, 2 * register.words, ByteOrder.BIG, signed=register.signed)
    words = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
    return words[::-1] if register.order is ByteOrder.LITTLE else words


def text_words(text: str, words: int) -> list[int]:
    """A text as registers of two characters each."""
    raw = text.encode()[: 2 * words].ljust(2 * words, b"\0")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def _number_of(register: ModbusRegister, words: Sequence[int]) -> int:
    ordered = words[::-1] if register.order is ByteOrder.LITTLE else words
    return int.from_bytes(_raw_of(ordered), "big", signed=register.signed)


def _raw_of(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in words)


def described(message: ModbusPDU) -> str:
    """One line for people."""
    name = type(message).__name__.removesuffix("Request").removesuffix("Response")
    if message.isError():
        return f"Modbus exception {message.exception_code} to function {message.function_code & 0x7F}"
    what = [f"register {message.address}"] if message.address else []
    what += [f"count {message.count}"] if message.count else []
    what += [f"values {list(message.registers)}"] if message.registers else []
    what += [f"bits {[int(bit) for bit in message.bits]}"] if message.bits else []
    return f"Modbus {name}" + (f": {', '.join(what)}" if what else "")
