"""Errors of links, and their messages."""

import errno
import os
import socket
import ssl

from harness.errors import HarnessError


class LinkError(HarnessError):
    """A link cannot be opened or cannot send; the message says what, where, and what to do."""


def reason_of(error: OSError) -> str:
    """Why a connection failed, in the system's words, which asyncio replaces by its own."""
    if isinstance(error, ssl.SSLError):
        return getattr(error, "verify_message", "") or error.reason or str(error)
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


def listen_failure(who: str, host: str, port: int, error: OSError) -> str:
    """Why ``who`` cannot listen there, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"{who}: port {port} on {host} is in use; stop the program that listens there, "
            "or choose another port (0: any free one)"
        )
    return f"{who}: cannot listen on {host} port {port}: {reason_of(error)}"
