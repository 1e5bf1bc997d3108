"""The device on a serial line: line settings, commands, answers and log output.

A device has one of three kinds of protocol: a text console (:class:`TextConsole`), binary frames
(:class:`FrameProtocol`), or registers over Modbus RTU (:class:`ModbusProtocol`). All of them
encode the same commands (:class:`SerialCommand`), so callers need not know which is in use.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from harness.model.base import ProfilePart, Seconds, Value


class CrashKind(StrEnum):
    """How a firmware crashes."""

    PANIC = "panic"  # an unhandled exception, or a kernel panic
    WATCHDOG = "watchdog"  # it hung, and the watchdog restarted it
    ASSERTION = "assertion"  # it detected an impossible state
    HARD_FAULT = "hard-fault"  # the processor refused an instruction or an address
    BROWN_OUT = "brown-out"  # the supply voltage was too low
    STACK = "stack"  # a task overflowed its stack
    MEMORY = "memory"  # out of memory, or a damaged heap


class ChipFamily(StrEnum):
    """Families of chips or systems, each with its own messages."""

    ESP_IDF = "esp-idf"  # ESP32 and its successors
    ESP8266 = "esp8266"  # with the non-OS SDK or Arduino
    ZEPHYR = "zephyr"
    FREERTOS = "freertos"
    STM32 = "stm32"
    NRF = "nrf"  # nRF5 SDK
    MBED = "mbed"
    REALTEK = "realtek"  # Ameba
    BEKEN = "beken"  # the BK7231 family
    LINUX = "linux"


class SerialCommand(StrEnum):
    """Commands to a board over its serial line. Comments show arguments → the value that is answered."""

    READ_STATE = "read_state"  # property → its value
    WRITE_PROPERTY = "write_property"  # property, value: as if set at the device itself
    PRESS_BUTTON = "press_button"  # control
    INJECT_SENSOR = "inject_sensor"  # property, value: the sensor measures this from now on
    REBOOT = "reboot"
    FACTORY_RESET = "factory_reset"
    FIRMWARE_VERSION = "firmware_version"  # → text
    MEMORY = "memory"  # → free bytes, a number
    NETWORK_OFF = "network_off"  # the board leaves its network and stays off it
    NETWORK_ON = "network_on"
    CREDENTIALS = "credentials"  # → text: the stored network and account credentials; "" or "none" for none
    PROVISION = "provision"  # stores the credentials of the bench's network again, as the profile says
    READ_CLOCK = "read_clock"  # → seconds since 1970, a number; 0 while the time is not set
    SET_CLOCK = "set_clock"  # value: seconds since 1970


# The arguments of each command; they stand in braces in requests and answers.
ARGUMENTS: dict[SerialCommand, tuple[str, ...]] = {
    SerialCommand.READ_STATE: ("property",),
    SerialCommand.WRITE_PROPERTY: ("property", "value"),
    SerialCommand.PRESS_BUTTON: ("control",),
    SerialCommand.INJECT_SENSOR: ("property", "value"),
    SerialCommand.SET_CLOCK: ("value",),
}

# Commands whose answer holds {value}.
TELLING = frozenset(
    {
        SerialCommand.READ_STATE,
        SerialCommand.FIRMWARE_VERSION,
        SerialCommand.MEMORY,
        SerialCommand.CREDENTIALS,
        SerialCommand.READ_CLOCK,
    }
)


class Parity(StrEnum):
    """The parity bit of each byte."""

    NONE = "none"
    EVEN = "even"
    ODD = "odd"
    MARK = "mark"
    SPACE = "space"


class FlowControl(StrEnum):
    """How one side asks the other to pause."""

    NONE = "none"
    RTS_CTS = "rts/cts"
    DSR_DTR = "dsr/dtr"
    XON_XOFF = "xon/xoff"


class LineSettings(ProfilePart):
    """The settings of the port. ``dtr`` and ``rts``: off for boards on which these lines reset the chip."""

    baud_rate: int = Field(115200, gt=0, description="bits per second")
    data_bits: Literal[5, 6, 7, 8] = Field(8, description="bits of each byte")
    parity: Parity = Field(Parity.NONE, description="parity bit of each byte")
    stop_bits: Literal[1, 2] = Field(1, description="stop bits of each byte")
    flow_control: FlowControl = Field(FlowControl.NONE, description="how one side asks the other to pause")
    dtr: bool | None = Field(None, description="level of DTR when the port is opened; left out: unchanged")
    rts: bool | None = Field(None, description="level of RTS when the port is opened; left out: unchanged")


Expression = Annotated[str, Field(min_length=1, description="regular expression, searched for in each line")]
Expressions = tuple[Expression, ...]


class Patterns(ProfilePart):
    """Patterns of console lines, in addition to those of the chip families."""

    boot: Expressions = Field((), description="lines that show a start of the board")
    ready: Expressions = Field((), description="lines that show that the board is ready for commands")
    crash: dict[CrashKind, Expressions] = Field({}, description="lines that show a crash, by kind")
    harmless: Expressions = Field((), description="lines that never count as a crash")


Hex = Annotated[
    str, Field(pattern=r"^\s*([0-9A-Fa-f]{2}\s*)*$", description="bytes as hexadecimal text, such as 55 AA")
]
Template = Annotated[str, Field(description="text with arguments in braces, such as set {property} {value}")]


# A text console


class LineEnding(StrEnum):
    """The end of a typed line."""

    LF = "lf"
    CR = "cr"
    CRLF = "crlf"

    @property
    def raw(self) -> bytes:
        """As bytes."""
        return {"lf": b"\n", "cr": b"\r", "crlf": b"\r\n"}[self.value]


class TextCommand(ProfilePart):
    """A typed command. Without ``answer`` it is complete once it is sent."""

    send: Template = Field(description="the line to type, with arguments in braces")
    answer: Template | None = Field(
        None, description="the whole line of the answer; {value} is the result, {any} is any text"
    )


class TextProperty(ProfilePart):
    """A property on the console. ``values`` maps console texts to the property's values."""

    name: str | None = Field(None, description="its name on the console, if different")
    values: dict[str, Value] | None = Field(
        None,
        description="text to value, such as on: true; without it values are JSON, and texts have no quotes",
    )


class TextConsole(ProfilePart):
    """A text console: lines are typed and answered."""

    prompt: str | None = Field(None, description="prompt of the console")
    line_ending: LineEnding = Field(LineEnding.CRLF, description="end of a typed line")
    cancel: Hex | None = Field(
        None,
        description="bytes that cancel a half-typed command, such as 03 (Ctrl-C) for a shell that waits for "
        "the closing quote",
    )
    echo: bool = Field(True, description="whether the console echoes what is typed")
    errors: tuple[Template, ...] = Field(
        (), description="lines that reject a command; {reason} is the reason, {any} is any text"
    )
    commands: dict[SerialCommand, TextCommand] = Field({}, description="the commands")
    properties: dict[str, TextProperty] = Field({}, description="properties on the console")
    controls: dict[str, str] = Field({}, description="controls on the console, with their names there")


# Binary frames


class ByteOrder(StrEnum):
    """Which byte of a number comes first."""

    BIG = "big"
    LITTLE = "little"

    @property
    def literal(self) -> Literal["big", "little"]:
        """The byte order as Python names it."""
        return "big" if self is ByteOrder.BIG else "little"


class FrameField(StrEnum):
    """A part of a frame."""

    HEADER = "header"
    VERSION = "version"
    SEQUENCE = "sequence"
    COMMAND = "command"
    LENGTH = "length"
    PAYLOAD = "payload"
    CHECKSUM = "checksum"


class ChecksumKind(StrEnum):
    """How a checksum is computed."""

    SUM = "sum"  # of all bytes, modulo its width
    NEGATIVE_SUM = "negative-sum"  # the two's complement of the sum: all bytes add up to zero
    XOR = "xor"
    CRC_8 = "crc-8"  # polynomial 07, initially 00
    CRC_8_MAXIM = "crc-8-maxim"  # Dallas 1-Wire: polynomial 31, reflected
    CRC_16_MODBUS = "crc-16-modbus"  # polynomial 8005, reflected, initially FFFF
    CRC_16_CCITT = "crc-16-ccitt"  # polynomial 1021, initially FFFF
    CRC_16_XMODEM = "crc-16-xmodem"  # polynomial 1021, initially 0000
    CRC_32 = "crc-32"  # as in Ethernet


class FrameVersion(ProfilePart):
    """The version of the protocol; each side may send its own."""

    sent: int = Field(0, ge=0, le=0xFF, description="in frames to the device")
    received: int | None = Field(None, ge=0, le=0xFF, description="in frames from the device; left out: any")


class FrameLength(ProfilePart):
    """The length of a frame."""

    bytes: Literal[1, 2] = Field(1, description="its width in bytes")
    order: ByteOrder = Field(ByteOrder.BIG, description="which byte comes first")
    counts: tuple[FrameField, ...] = Field((FrameField.PAYLOAD,), description="the fields that it counts")


class FrameChecksum(ProfilePart):
    """The checksum of a frame."""

    kind: ChecksumKind = Field(description="how it is computed")
    order: ByteOrder = Field(ByteOrder.BIG, description="which byte comes first, if there are several")
    covers: tuple[FrameField, ...] | None = Field(
        None, description="the fields that it covers; left out: all that come before it"
    )


class WireNumber(ProfilePart):
    """How a value is written as bytes: by the property's type, as a number, or as text."""

    signed: bool = Field(False, description="numbers are in two's complement")
    scale: float = Field(1.0, gt=0, description="value of one unit on the wire: 0.1 where 215 means 21.5")
    order: ByteOrder = Field(ByteOrder.BIG, description="which byte comes first")
    values: dict[int, Value] | None = Field(
        None, description="maps numbers on the wire to values, for enumerations"
    )


class FrameProperty(WireNumber):
    """A property in frames: ``tag`` identifies it and comes before the value."""

    tag: Hex = Field(description="bytes before the value: identifier, type, length")
    bytes: int | None = Field(
        None, ge=1, le=8, description="width of the value in bytes; left out: the rest of the frame is text"
    )


class FrameMessage(ProfilePart):
    """One frame: its command, and its payload as bytes and arguments in braces."""

    command: int = Field(ge=0, le=0xFF, description="its command byte")
    payload: str = Field(
        "",
        description="hexadecimal bytes and arguments in braces: {tag} and {value} of the property, "
        "{control}, and in answers {any}",
    )


class FrameCommand(ProfilePart):
    """A command frame and its answer. Without ``answer`` the command is complete once it is sent."""

    send: FrameMessage = Field(description="the frame that is sent")
    answer: FrameMessage | None = Field(None, description="the frame that answers")


class FrameProtocol(ProfilePart):
    """Binary frames, as exchanged between a communication module and an appliance's main controller."""

    header: Hex = Field(description="the first bytes of each frame")
    order: tuple[FrameField, ...] = Field(
        (
            FrameField.HEADER,
            FrameField.VERSION,
            FrameField.COMMAND,
            FrameField.LENGTH,
            FrameField.PAYLOAD,
            FrameField.CHECKSUM,
        ),
        description="the parts of a frame, in their order",
    )
    version: FrameVersion | None = Field(None, description="where frames hold a version")
    length: FrameLength = Field(FrameLength(), description="how the length is written")
    checksum: FrameChecksum | None = Field(None, description="how the checksum is computed")
    maximum: int = Field(512, gt=0, le=65535, description="largest payload in bytes")
    commands: dict[SerialCommand, FrameCommand] = Field({}, description="the commands")
    reports: FrameMessage | None = Field(
        None, description="the frame that reports a change without a request"
    )
    properties: dict[str, FrameProperty] = Field({}, description="properties that frames carry")
    controls: dict[str, Hex] = Field({}, description="controls, with the bytes that identify them")


# Modbus RTU


class ModbusTable(StrEnum):
    """Where a register lies (MODBUS Application Protocol 1.1b3, 4.3)."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"

    @property
    def writable(self) -> bool:
        """Whether a client can write it."""
        return self in (ModbusTable.COIL, ModbusTable.HOLDING)

    @property
    def has_bits(self) -> bool:
        """Whether it holds single bits, not words of 16."""
        return self in (ModbusTable.COIL, ModbusTable.DISCRETE)


class ModbusRegister(WireNumber):
    """One register, or several in a row. ``text`` holds two characters in each."""

    table: ModbusTable = Field(ModbusTable.HOLDING, description="where it lies")
    register_: int = Field(alias="register", ge=0, le=0xFFFF, description="its address, counted from 0")
    words: int = Field(1, ge=1, le=64, description="how many registers it takes")
    text: bool = Field(False, description="whether it holds text, not a number")


class ModbusProperty(ModbusRegister):
    """A property as a register."""

    inject: ModbusRegister | None = Field(
        None, description="the register through which a test bench sets what the sensor measures"
    )


class ModbusCommand(ModbusRegister):
    """A command as a register: ``value`` is written to it; if the command returns a value, it is read."""

    value: int = Field(1, ge=0, le=0xFFFF, description="the value to write")


class ModbusProtocol(ProfilePart):
    """Registers over Modbus RTU; read_state, write_property and inject_sensor come with the properties."""

    address: int = Field(1, ge=1, le=247, description="the device's address on the line")
    commands: dict[SerialCommand, ModbusCommand] = Field({}, description="further commands, by what they do")
    properties: dict[str, ModbusProperty] = Field({}, description="properties that registers hold")
    controls: dict[str, int] = Field(
        {}, description="controls, with the number that press_button writes for them"
    )


class SerialBinding(ProfilePart):
    """The device's serial line. It has one of ``text``, ``frames`` and ``modbus``."""

    line: LineSettings = Field(LineSettings(), description="settings of the port")
    chips: tuple[ChipFamily, ...] = Field(
        (), description="chip families whose boot and crash messages are recognised; left out: all"
    )
    patterns: Patterns = Field(Patterns(), description="patterns of console lines")
    answer_within: Seconds = Field(2.0, description="seconds from a command to its answer")
    text: TextConsole | None = Field(None, description="a text console")
    frames: FrameProtocol | None = Field(None, description="binary frames")
    modbus: ModbusProtocol | None = Field(None, description="Modbus RTU")

    @property
    def protocol(self) -> TextConsole | FrameProtocol | ModbusProtocol | None:
        """The declared protocol; None while a profile is incomplete."""
        return self.text or self.frames or self.modbus

    @property
    def commands(self) -> frozenset[SerialCommand]:
        """The commands that the board accepts."""
        protocol = self.protocol
        if protocol is None:
            return frozenset()
        given = set(protocol.commands)
        if isinstance(protocol, ModbusProtocol):
            registers = protocol.properties.values()
            implied = {
                SerialCommand.READ_STATE: bool(registers),
                SerialCommand.WRITE_PROPERTY: any(bound.table.writable for bound in registers),
                SerialCommand.INJECT_SENSOR: any(bound.inject for bound in registers),
            }
            given |= {command for command, there in implied.items() if there}
        return frozenset(given)

    def can_read(self, name: str) -> bool:
        """Whether the board reports that property."""
        return SerialCommand.READ_STATE in self.commands and self._knows(name)

    def can_write(self, name: str) -> bool:
        """Whether that property can be set over the line; ``readOnly`` is not considered."""
        if self.modbus is not None:
            bound = self.modbus.properties.get(name)
            return bound is not None and bound.table.writable
        return SerialCommand.WRITE_PROPERTY in self.commands and self._knows(name)

    def can_inject(self, name: str) -> bool:
        """Whether the board accepts an injected sensor value for that property."""
        if self.modbus is not None:
            bound = self.modbus.properties.get(name)
            return bound is not None and bound.inject is not None
        return SerialCommand.INJECT_SENSOR in self.commands and self._knows(name)

    def can_press(self, control: str) -> bool:
        """Whether that control can be operated over the line."""
        protocol = self.protocol
        known = protocol is not None and control in protocol.controls
        return known and SerialCommand.PRESS_BUTTON in self.commands

    def knows(self, command: SerialCommand, name: str | None = None) -> bool:
        """Whether the board accepts the command, for the property or control ``name`` where it needs one."""
        about = {
            SerialCommand.READ_STATE: self.can_read,
            SerialCommand.WRITE_PROPERTY: self.can_write,
            SerialCommand.INJECT_SENSOR: self.can_inject,
            SerialCommand.PRESS_BUTTON: self.can_press,
        }.get(command)
        if command not in self.commands:
            return False
        return about is None or (name is not None and about(name))

    def _knows(self, name: str) -> bool:
        return self.protocol is not None and name in self.protocol.properties
