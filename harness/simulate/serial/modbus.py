"""A simulated board that serves registers over Modbus RTU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse, WriteSingleCoilResponse
from pymodbus.pdu.exceptionresponse import ExceptionResponse
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)

from harness.links.serial.modbus import (
    ModbusFinder,
    message_raw,
)
from harness.model.base import Value
from harness.model.bindings.serial import (
    TELLING,
    ByteOrder,
    ModbusProtocol,
    ModbusRegister,
    ModbusTable,
    SerialCommand,
)
from harness.model.profile import Profile
from harness.model.schema import DataType, same_value
from harness.simulate.firmware.core import Change
from harness.simulate.serial.board import (
    CommandRefused,
    SimulatedBoard,
)
from harness.simulate.serial.protocol import Sender

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3

_READS = {1: ModbusTable.COIL, 2: ModbusTable.DISCRETE, 3: ModbusTable.HOLDING, 4: ModbusTable.INPUT}
_WRITES = {5: ModbusTable.COIL, 6: ModbusTable.HOLDING, 16: ModbusTable.HOLDING}
_BITS = {1: ReadCoilsResponse, 2: ReadDiscreteInputsResponse}
_WORDS = {3: ReadHoldingRegistersResponse, 4: ReadInputRegistersResponse}


@dataclass(frozen=True, slots=True)
class _Cell:
    """A declared register, with functions to read and write it, if possible."""

    register: ModbusRegister
    read: Callable[[], Value] | None
    write: Callable[[int], Value | CommandRefused] | None
    name: str | None = None


class ModbusLanguage:
    """Implements :class:`harness.simulate.serial.protocol.Language`."""

    prints_text = False  # the line carries messages only

    def __init__(
        self, modbus: ModbusProtocol, profile: Profile, board: SimulatedBoard, console: Sender
    ) -> None:
        self._modbus = modbus
        self._profile = profile
        self._board = board
        self._console = console
        self._finder = ModbusFinder(modbus.address, requests=True)
        self._cells = list(self._declared())

    def received(self, data: bytes) -> None:
        """Requests."""
        for _, request in self._finder.feed(data):
            response = self._response(request)
            response.dev_id = self._modbus.address
            self._console.send_message(message_raw(response))

    def changed(self, change: Change) -> None:
        """A server sends nothing by itself."""

    def restarted(self) -> None:
        """Drop an incomplete request."""
        self._finder.clear()

    def _declared(self) -> list[_Cell]:
        cells, board = [], self._board
        for name, bound in self._modbus.properties.items():

            def read(name: str = name) -> Value:
                return board.do(SerialCommand.READ_STATE, name)

            def write(number: int, name: str = name, bound: ModbusRegister = bound) -> Value | CommandRefused:
                return board.do(SerialCommand.WRITE_PROPERTY, name, self._value(name, bound, number))

            cells.append(_Cell(bound, read, write if bound.table.writable else None, name))
            if bound.inject is not None:

                def sense(
                    number: int, name: str = name, at: ModbusRegister = bound.inject
                ) -> Value | CommandRefused:
                    return board.do(SerialCommand.INJECT_SENSOR, name, self._value(name, at, number))

                cells.append(_Cell(bound.inject, read, sense, name))
        for command, register in self._modbus.commands.items():
            cells.append(self._command_cell(command, register, register.value))
        return cells

    def _command_cell(self, command: SerialCommand, register: ModbusRegister, expected: int) -> _Cell:
        if command in TELLING:
            return _Cell(register, lambda: self._board.do(command), None)
        controls = {code: name for name, code in self._modbus.controls.items()}

        def write(number: int) -> Value | CommandRefused:
            if command is SerialCommand.PRESS_BUTTON:
                known = controls.get(number)
                return CommandRefused("no such control") if known is None else self._board.do(command, known)
            if command is SerialCommand.SET_CLOCK:
                return self._board.do(command, None, number)
            return self._board.do(command) if number == expected else CommandRefused("not the required value")

        return _Cell(register, None, write)

    def _response(self, request: ModbusPDU) -> ModbusPDU:
        function = request.function_code
        if function in _READS:
            return self._read(request, _READS[function])
        if function in _WRITES:
            return self._write(request, _WRITES[function])
        return ExceptionResponse(function, ILLEGAL_FUNCTION)

    def _read(self, request: ModbusPDU, table: ModbusTable) -> ModbusPDU:
        words: dict[int, int] = {}
        wanted = range(request.address, request.address + request.count)
        for cell in self._cells:
            start = cell.register.register_
            is_wanted = start < wanted.stop and wanted.start < start + cell.register.words
            if is_wanted and cell.register.table is table and cell.read is not None:
                for offset, word in enumerate(self._words(cell, cell.read())):
                    words[start + offset] = word
        if any(address not in words for address in wanted):
            return ExceptionResponse(request.function_code, ILLEGAL_ADDRESS)
        values = [words[address] for address in wanted]
        if table.has_bits:
            return _BITS[request.function_code](bits=[bool(value) for value in values])
        return _WORDS[request.function_code](registers=values)

    def _write(self, request: ModbusPDU, table: ModbusTable) -> ModbusPDU:
        values = [int(bit) for bit in request.bits] if table.has_bits else list(request.registers)
        for cell in self._cells:
            register = cell.register
            here = register.table is table and register.register_ == request.address
            if here and cell.write is not None and len(values) == register.words:
                ordered = values[::-1] if register.order is ByteOrder.LITTLE else values
                raw = b"".join(value.to_bytes(2, "big") for value in ordered)
                answer = cell.write(int.from_bytes(raw, "big", signed=register.signed))
                if isinstance(answer, CommandRefused):
                    return ExceptionResponse(request.function_code, ILLEGAL_VALUE)
                return self._written(request)
        return ExceptionResponse(request.function_code, ILLEGAL_ADDRESS)

    @staticmethod
    def _written(request: ModbusPDU) -> ModbusPDU:
        if request.function_code == 5:
            return WriteSingleCoilResponse(address=request.address, bits=request.bits)
        if request.function_code == 6:
            return WriteSingleRegisterResponse(address=request.address, registers=request.registers)
        return WriteMultipleRegistersResponse(address=request.address, count=len(request.registers))

    def _words(self, cell: _Cell, value: Value) -> list[int]:
        register = cell.register
        size = 2 * register.words
        if register.text:
            raw = str(value).encode()[:size].ljust(size, b"\0")
        else:
            raw = (self._number(register, value) % (1 << (8 * size))).to_bytes(size, "big")
        words = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, size, 2)]
        return words[::-1] if register.order is ByteOrder.LITTLE and not register.text else words

    @staticmethod
    def _number(register: ModbusRegister, value: Value) -> int:
        if register.values is not None:
            return next(number for number, meant in register.values.items() if same_value(meant, value))
        if isinstance(value, bool):
            return int(value)
        return round(Decimal(str(value)) / Decimal(str(register.scale)))

    def _value(self, name: str, register: ModbusRegister, number: int) -> Value:
        if register.values is not None:
            return register.values.get(number, number)
        schema = self._profile.properties[name]
        if schema.type is DataType.BOOLEAN:
            return bool(number)
        scaled = Decimal(number) * Decimal(str(register.scale))
        return int(scaled) if schema.type is DataType.INTEGER else float(scaled)
