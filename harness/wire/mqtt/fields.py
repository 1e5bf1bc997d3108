"""The fields that MQTT packets are made of: integers, strings, binary data, variable byte integers."""

from __future__ import annotations

from enum import IntEnum

from harness.wire.problem import Problem

MQTT_5 = 5
"""Protocol level of MQTT 5.0; every other level is read by the rules of 3.1.1."""

MOST_VARIABLE_INTEGER = 268_435_455
"""The largest value that a variable byte integer (Remaining Length) can hold."""

MOST_STRING = 65_535
"""The most bytes that a string or binary field can hold."""


class PacketType(IntEnum):
    """The type in the high nibble of the first byte (3.1.1: 2.2.1; 5.0: 2.1.2)."""

    RESERVED = 0
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class UnreadableField(Exception):
    """A field could not be read; what is wrong is already among the reader's problems."""


class FieldReader:
    """Reads fields one after the other and collects the problems found on the way.

    Raises UnreadableField where a field does not end inside ``data``. ``level`` is the protocol level of
    the connection.
    """

    def __init__(self, data: bytes, level: int, problems: list[Problem] | None = None) -> None:
        self._data = data
        self._at = 0
        self.level = level
        self.problems: list[Problem] = [] if problems is None else problems

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def problem(self, clause: str, text: str, *, clause_5: str | None = None) -> None:
        """Note a problem by the clause of 3.1.1, or ``clause_5`` where 5.0 numbers it differently."""
        self.problems.append(Problem(clause_5 if clause_5 and self.level == MQTT_5 else clause, text))

    def take(self, count: int, field: str) -> bytes:
        """The next ``count`` bytes."""
        if count > self.left:
            text = f"{field} needs {count} bytes where {self.left} are left in the packet"
            self.problem("2.2.3", text, clause_5="2.1.4")
            raise UnreadableField(field)
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        """All bytes not read yet."""
        return self.take(self.left, "rest")

    def integer(self, size: int, field: str) -> int:
        """An unsigned integer of ``size`` bytes, most significant byte first."""
        return int.from_bytes(self.take(size, field), "big")

    def variable_integer(self, field: str) -> int:
        """A variable byte integer. Longer than needed is a problem, longer than four bytes unreadable."""
        value, size = 0, 0
        while True:
            byte = self.integer(1, field)
            value |= (byte & 0x7F) << (7 * size)
            size += 1
            if byte < 0x80:
                break
            if size == 4:
                self.problem("2.2.3", f"{field} takes more than four bytes", clause_5="MQTT-1.5.5-1")
                raise UnreadableField(field)
        needed = len(variable_integer(value))
        if size > needed:
            text = f"{field} {value} takes {size} bytes where {needed} suffice"
            self.problem("2.2.3", text, clause_5="MQTT-1.5.5-1")
        return value

    def binary(self, field: str) -> bytes:
        """Binary data behind a length of two bytes."""
        return self.take(self.integer(2, f"length of {field}"), field)

    def string(self, field: str) -> str:
        """A UTF-8 string; bytes that are no UTF-8 become U+FFFD, and a problem is noted."""
        data = self.binary(field)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as broken:
            sample = data[broken.start : broken.start + 4].hex(" ")
            found = f"{field} is not well-formed UTF-8 at byte {broken.start}: {sample}"
            self.problem("MQTT-1.5.3-1", found, clause_5="MQTT-1.5.4-1")
            text = data.decode("utf-8", "replace")
        if "\0" in text:
            self.problem("MQTT-1.5.3-2", f"{field} contains U+0000", clause_5="MQTT-1.5.4-2")
        return text

    def packet_id(self) -> int:
        """A packet identifier; 0 is a problem."""
        value = self.integer(2, "packet identifier")
        if value == 0:
            self.problem("MQTT-2.3.1-1", "the packet identifier is 0", clause_5="MQTT-2.2.1-3")
        return value


def variable_integer(value: int) -> bytes:
    """The shortest encoding of ``value``. Raises ValueError outside 0 to 268 435 455."""
    if not 0 <= value <= MOST_VARIABLE_INTEGER:
        raise ValueError(f"{value} does not fit a variable byte integer")
    encoded = bytearray()
    while True:
        value, digit = divmod(value, 128)
        encoded.append(digit | 0x80 if value else digit)
        if not value:
            return bytes(encoded)


def string(value: str | bytes) -> bytes:
    """A string or binary field behind its length; bytes go out as they are, well-formed or not."""
    data = value.encode("utf-8") if isinstance(value, str) else value
    if len(data) > MOST_STRING:
        raise ValueError(f"a string of {len(data)} bytes does not fit a length of two bytes")
    return len(data).to_bytes(2, "big") + data
