"""Opening a serial port with pyserial, with clear messages when it fails."""

from __future__ import annotations

import errno
import getpass
import os
from pathlib import Path
from typing import Any

import serial
from serial.tools import list_ports

from harness.links.errors import LinkError
from harness.model.bindings.serial import (
    FlowControl,
    LineSettings,
    Parity,
)

try:
    from termios import error as TerminalError
except ImportError:  # Windows
    TerminalError = OSError  # type: ignore[misc,assignment]

_PARITIES = {
    Parity.NONE: serial.PARITY_NONE,
    Parity.EVEN: serial.PARITY_EVEN,
    Parity.ODD: serial.PARITY_ODD,
    Parity.MARK: serial.PARITY_MARK,
    Parity.SPACE: serial.PARITY_SPACE,
}
_BUSY = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
_LOCKED = "exclusively lock"
_GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV)


class SerialError(LinkError):
    """The port cannot be opened or used; the message says what, where, and what to do."""


def is_url(port: str) -> bool:
    """Whether the port is a URL and not a device of this machine."""
    return "://" in port


def open_port(port: str, settings: LineSettings) -> Any:
    """An open pyserial port that never blocks. Raises SerialError."""
    path = Path(port)
    try:
        opened = serial.serial_for_url(port, do_not_open=True, timeout=0, **_arguments(port, settings))
        if not is_url(port):
            opened.exclusive = True
            if not path.exists():
                raise SerialError(f"there is no serial port {port}; {_choice()}")
        # Set before opening, so that the lines have another level as shortly as possible.
        if settings.dtr is not None:
            opened.dtr = settings.dtr
        if settings.rts is not None:
            opened.rts = settings.rts
        opened.open()
    except (OSError, ValueError, TerminalError) as problem:
        raise SerialError(_explained(port, settings, problem)) from problem
    return opened


def port_names() -> list[str]:
    """The serial ports of this machine."""
    return sorted(found.device for found in list_ports.comports())


def _arguments(port: str, settings: LineSettings) -> dict[str, Any]:
    flow = settings.flow_control
    # A pseudo-terminal has no parity, and refuses to be asked for one.
    is_terminal = os.path.realpath(port).startswith("/dev/pts/")
    return {
        "baudrate": settings.baud_rate,
        "bytesize": settings.data_bits,
        "parity": serial.PARITY_NONE if is_terminal else _PARITIES[settings.parity],
        "stopbits": settings.stop_bits,
        "rtscts": flow is FlowControl.RTS_CTS,
        "dsrdtr": flow is FlowControl.DSR_DTR,
        "xonxoff": flow is FlowControl.XON_XOFF,
    }


def _explained(port: str, settings: LineSettings, problem: Exception) -> str:
    """What went wrong and what to do about it."""
    number = problem.errno if isinstance(problem, OSError) else problem.args[0] if problem.args else None
    text = str(problem)
    if is_url(port) and "option 'control'" in text:
        return f"the serial port {port} has no control lines: add ?ign_set_control to it"
    if is_url(port):
        return f"the serial port {port} cannot be opened: {_short(text)}; check that its server is running"
    if number in _BUSY or _LOCKED in text:
        return (
            f"the serial port {port} is busy: another program has it open; close it "
            f"(`fuser -v {port}` shows it)"
        )
    if number == errno.EACCES:
        group = _group_of(port)
        advice = (
            f"`sudo usermod -a -G {group} {getpass.getuser()}`, then log in again"
            if group
            else "run as its owner"
        )
        return f"the serial port {port} may not be opened by this user: {advice}"
    if number in _GONE:
        return f"there is no serial port {port}; {_choice()}"
    if "Could not configure port" in text or number == errno.ENOTTY:
        return f"{port} is no serial port; {_choice()}"
    if number == errno.EINVAL or isinstance(problem, ValueError):
        line = f"{settings.data_bits} data bits, parity {settings.parity}, {settings.stop_bits} stop bits"
        return f"the serial port {port} does not support {settings.baud_rate} bits/s, {line}: {_short(text)}"
    return f"the serial port {port} cannot be opened: {_short(text)}"


def _choice() -> str:
    names = port_names()
    return f"there are {', '.join(names)}" if names else "this machine has none; is the cable plugged in?"


def _group_of(port: str) -> str | None:
    """The group that may use the port, usually ``dialout`` or ``uucp``."""
    try:
        import grp

        return grp.getgrgid(Path(port).stat().st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return None


def _short(text: str) -> str:
    """The end of a message of pyserial, which says what happened."""
    return text.rpartition("] ")[2] or text
