"""The checksums that serial protocols use."""

from __future__ import annotations

import zlib
from functools import reduce
from operator import xor

from harness.model.bindings.serial import (
    ChecksumKind,
    FrameChecksum,
)

WIDTHS = {
    ChecksumKind.SUM: 1,
    ChecksumKind.NEGATIVE_SUM: 1,
    ChecksumKind.XOR: 1,
    ChecksumKind.CRC_8: 1,
    ChecksumKind.CRC_8_MAXIM: 1,
    ChecksumKind.CRC_16_MODBUS: 2,
    ChecksumKind.CRC_16_CCITT: 2,
    ChecksumKind.CRC_16_XMODEM: 2,
    ChecksumKind.CRC_32: 4,
}
"""Size of each checksum in bytes."""


def checksum(how: FrameChecksum, covered: bytes) -> bytes:
    """The checksum of the covered bytes, encoded as in a frame."""
    return value_of(how.kind, covered).to_bytes(WIDTHS[how.kind], how.order.literal)


def value_of(kind: ChecksumKind, data: bytes) -> int:
    """The checksum as a number."""
    match kind:
        case ChecksumKind.SUM:
            return sum(data) & 0xFF
        case ChecksumKind.NEGATIVE_SUM:
            return -sum(data) & 0xFF
        case ChecksumKind.XOR:
            return reduce(xor, data, 0)
        case ChecksumKind.CRC_8:
            return _forward(data, polynomial=0x07, width=8, start=0)
        case ChecksumKind.CRC_8_MAXIM:
            return _reflected(data, polynomial=0x8C, start=0)
        case ChecksumKind.CRC_16_MODBUS:
            return _reflected(data, polynomial=0xA001, start=0xFFFF)
        case ChecksumKind.CRC_16_CCITT:
            return _forward(data, polynomial=0x1021, width=16, start=0xFFFF)
        case ChecksumKind.CRC_16_XMODEM:
            return _forward(data, polynomial=0x1021, width=16, start=0)
        case ChecksumKind.CRC_32:
            return zlib.crc32(data)


def _forward(data: bytes, *, polynomial: int, width: int, start: int) -> int:
    """A cyclic redundancy check, highest bit first."""
    register, top, mask = start, 1 << (width - 1), (1 << width) - 1
    for byte in data:
        register ^= byte << (width - 8)
        for _ in range(8):
            register = ((register << 1) ^ polynomial if register & top else register << 1) & mask
    return register


def _reflected(data: bytes, *, polynomial: int, start: int) -> int:
    """A cyclic redundancy check, lowest bit first; the polynomial is reversed, too."""
    register = start
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ polynomial if register & 1 else register >> 1
    return register
