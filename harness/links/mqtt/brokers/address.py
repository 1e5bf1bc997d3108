"""How to reach a broker: address, users, certificates."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.links.errors import LinkError


class BrokerError(LinkError):
    """A broker cannot be started or reached, or its address is invalid; the message is readable."""


@dataclass(frozen=True, slots=True)
class User:
    """A user name and its password."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a broker of our own. ``ca`` signed ``certificate``; None: it signed itself."""

    certificate: Path
    key: Path
    ca: Path | None = None

    def server_context(self) -> ssl.SSLContext:
        """For the listening side. Raises BrokerError when the files cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except OSError as problem:
            text = f"TLS: cannot use certificate {self.certificate} with key {self.key}: {problem}"
            raise BrokerError(text) from problem
        return context

    def client_context(self) -> ssl.SSLContext:
        """For clients of that broker."""
        return client_context(self.ca or self.certificate)


def client_context(ca: Path | None = None) -> ssl.SSLContext:
    """Trust ``ca`` (a PEM file), or what the system trusts.

    Raises BrokerError when the file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as problem:
        raise BrokerError(f"TLS: cannot read certificates from {ca}: {problem}") from problem


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker's address. ``user`` is how to log in there, None: anonymously."""

    host: str
    port: int
    secure: bool = False
    user: User | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port, without user and password: fit for reports."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.secure else 'mqtt'}://{host}:{self.port}"


_PORTS = {"mqtt": 1883, "mqtts": 8883}
_FORM = "expected mqtt://[user:password@]host[:port], or mqtts:// for TLS"


def parse_url(text: str) -> BrokerAddress:
    """Parse ``mqtt://user:password@host:port``. Raises BrokerError with the reason.

    Special characters in user and password are percent-encoded. The default ports are 1883 and 8883.
    """
    shown = _without_password(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as problem:
        raise BrokerError(f"broker URL {shown!r}: {problem}; {_FORM}") from problem
    if parts.scheme not in _PORTS:
        raise BrokerError(f"broker URL {shown!r}: scheme {parts.scheme!r} is not known; {_FORM}")
    if not parts.hostname:
        raise BrokerError(f"broker URL {shown!r}: the host is missing; {_FORM}")
    if port == 0:
        raise BrokerError(f"broker URL {shown!r}: nothing listens on port 0; {_FORM}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BrokerError(f"broker URL {shown!r}: nothing may follow the port; {_FORM}")
    if parts.password is not None and not parts.username:
        raise BrokerError(f"broker URL {shown!r}: a password without a user name; {_FORM}")
    user = User(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return BrokerAddress(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "mqtts", user)


def _without_password(text: str) -> str:
    scheme, mark, rest = text.rpartition("://")
    login, at, address = rest.rpartition("@")
    name, colon, _ = login.partition(":")
    return f"{scheme}{mark}{name}{colon}{'…' if colon else ''}{at}{address}"
