"""Finding a device by its name: what to query next, and the result of the answers (RFC 6763)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.wire import mdns
from harness.wire.mdns.codec import (
    DomainNameError,
    Question,
    RecordType,
)
from harness.wire.mdns.names import encode_name

SERVICE_TYPES = "_services._dns-sd._udp.local."
"""The PTR query for it makes every host on the link list its service types (RFC 6763 9)."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service instance that was seen; ``port`` and ``host`` are None until its SRV record arrives."""

    name: str  # "Smart Plug._http._tcp.local.", escaped as names are
    port: int | None = None
    host: str | None = None
    txt: tuple[bytes, ...] = ()

    @property
    def label(self) -> str:
        """The readable instance name: "Smart Plug"."""
        return _plain(self.name)[0]

    @property
    def type(self) -> str:
        """The service type: "_http._tcp"."""
        return ".".join(_plain(self.name)[1:3])


@dataclass(frozen=True, slots=True)
class Found:
    """A device on the link: its host name, its IPv4 address, and its services that were seen."""

    host: str
    address: str
    services: tuple[Service, ...]


class Search:
    """Collects records and says what to query next for the device called ``wanted``.

    ``wanted`` is a service instance ("Smart Plug"), with or without its type
    ("Smart Plug._http._tcp.local"), or a host name ("plug" or "plug.local"). ``types`` are service types
    ("_http._tcp.local.") to query even if no host lists them.
    """

    def __init__(self, wanted: str, types: Iterable[str] = ()) -> None:
        self._wanted = wanted.removesuffix(".").removesuffix(".local")
        named = _TYPED.fullmatch(self._wanted)
        self._types: set[str] = {type.lower() for type in types}
        if named:
            self._types.add(f"{named[1]}.local.".lower())
        self._candidates = [] if named or " " in wanted else [f"{self._wanted.lower()}.local."]
        self._candidates = [name for name in self._candidates if _fits_the_wire(name)]
        self._instances: dict[str, Service] = {}
        self._addresses: dict[str, str | None] = {}  # None: no IPv4 address, but others
        self._hearsay: dict[str, str] = {}  # addresses in packets that came from other ones

    def hear(self, message: mdns.Message, source: str | None = None) -> bool:
        """Take in a response from the IPv4 address ``source``; returns whether it contained anything new.

        Any host may send an address record for any name. An address counts at once only in a packet from
        there; another one is hearsay (see :meth:`accept_hearsay`).
        """
        before = (set(self._types), dict(self._instances), dict(self._addresses))
        if message.response:
            for record in message.records:
                if record.ttl:  # 0 is a goodbye
                    key, data = record.name.lower(), record.data
                    if isinstance(data, mdns.Address) and _is_hearsay(data.text, source):
                        self._hearsay.setdefault(key, data.text)
                    else:
                        self._keep(key, record.name, data)
        return before != (self._types, self._instances, self._addresses)

    def _keep(self, key: str, name: str, data: mdns.Data) -> None:
        match data:
            case mdns.Ptr(target) if key == SERVICE_TYPES:
                self._types.add(target.lower())
            case mdns.Ptr(target) if key.endswith(("._tcp.local.", "._udp.local.")):
                self._instances.setdefault(target.lower(), Service(target))
            case mdns.Srv(_, _, port, target):
                known = self._instances.get(key, Service(name))
                self._instances[key] = Service(known.name, port, target, known.txt)
            case mdns.Txt(strings) if key in self._instances:
                known = self._instances[key]
                self._instances[key] = Service(known.name, known.port, known.host, strings)
            case mdns.Address(text):
                if ":" not in text:
                    self._addresses[key] = text
                else:
                    self._addresses.setdefault(key, None)

    def accept_hearsay(self) -> None:
        """Believe addresses that came from elsewhere, for hosts that did not answer themselves.

        Sleep proxies answer for others, and a program on loopback may send from 127.0.0.1.
        """
        for key, text in self._hearsay.items():
            if self._addresses.get(key) is None:
                self._addresses[key] = text

    def questions(self) -> Iterator[Question]:
        """Queries for what is not known yet, the most useful first."""
        for name in self._candidates:
            if name not in self._addresses:
                yield Question(name, RecordType.A)
        yield Question(SERVICE_TYPES, RecordType.PTR)
        for type in sorted(self._types):
            yield Question(type, RecordType.PTR)
        for service in self._matching():
            if service.host is None:
                yield Question(service.name, RecordType.SRV)
                yield Question(service.name, RecordType.TXT)
            elif service.host.lower() not in self._addresses:
                yield Question(service.host, RecordType.A)

    def result(self) -> Found | None:
        """The device, once its address is known."""
        hosts = [service.host for service in self._matching() if service.host]
        for host in [*self._candidates, *hosts]:
            address = self._addresses.get(host.lower())
            if address:
                mine = [s for s in self._instances.values() if s.host and mdns.same_name(s.host, host)]
                return Found(host, address, tuple(mine))
        return None

    def explain(self) -> str:
        """Why there is no result, for messages."""
        for service in self._matching():
            if service.host is None:
                return f"{service.label} ({service.type}) was announced, but its SRV record was not received"
            if service.host.lower() not in self._addresses:
                return f"{service.label} is on {service.host}, whose address was not received"
            return f"{service.host} has no IPv4 address, and this link supports only IPv4"
        if any(name in self._addresses for name in self._candidates):
            return f"{self._wanted} has no IPv4 address, and this link supports only IPv4"
        if not self._instances:
            return "no service was seen"
        seen = sorted(f'"{service.label}" ({service.type})' for service in self._instances.values())
        return "services seen: " + ", ".join(seen)

    def _matching(self) -> list[Service]:
        wanted = self._wanted.lower()
        return [
            service
            for _, service in sorted(self._instances.items())
            if wanted in (service.label.lower(), f"{service.label}.{service.type}".lower())
        ]


_TYPED = re.compile(r".+\.(_[^.]+\._(?:tcp|udp))", re.IGNORECASE)


def _plain(name: str) -> list[str]:
    """The labels of a name, unescaped."""
    return [label.decode("utf-8", "replace") for label in mdns.split_name(name)] or [""]


def _is_hearsay(address: str, source: str | None) -> bool:
    """Whether an IPv4 address stands in a packet that came from another one."""
    return source is not None and ":" not in address and address != source


def _fits_the_wire(name: str) -> bool:
    try:
        encode_name(name)
    except DomainNameError:
        return False
    return True
