"""The mDNS binding: names, service types and TXT records that RFC 6335, 6762 and 6763 do not allow."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.model.bindings.mdns import (
    MdnsBinding,
    MdnsService,
    Speaks,
)
from harness.model.consistency.mistake import CheckedProfile, Mistake
from harness.model.problems import Path

_HERE: Path = ("bindings", "mdns")

_LONGEST_LABEL = 63  # bytes (RFC 1035, 2.3.4)
_LONGEST_STRING = 255  # bytes of a string in a TXT record (RFC 6763, 6.1)
_LARGEST_TXT = 1300  # bytes of a TXT record that fits one packet (RFC 6763, 6.2)


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in the mDNS binding."""
    mdns = subject.profile.bindings.mdns
    if mdns is None:
        return
    if (
        not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?", mdns.host)
        or len(mdns.host) > _LONGEST_LABEL
    ):
        allowed = f"letters, digits and hyphens inside, {_LONGEST_LABEL} at most, without .local"
        yield Mistake((*_HERE, "host"), "is not a host name", mdns.host, allowed)
    yield from _of_instances(mdns)
    for index, service in enumerate(mdns.services):
        path = (*_HERE, "services", index)
        yield from _of_names(service, path)
        yield from _of_port(subject, service, path)
        yield from _of_txt(service, (*path, "txt"))


def _of_instances(mdns: MdnsBinding) -> Iterator[Mistake]:
    seen: dict[tuple[str, str], int] = {}
    spoken: dict[tuple[str, int], Speaks] = {}
    for index, service in enumerate(mdns.services):
        path = (*_HERE, "services", index)
        name = (service.instance.casefold(), service.type.casefold())
        if name in seen:
            message = f"services[{seen[name]}] has the same instance name and type"
            yield Mistake((*path, "instance"), message, service.instance)
        seen.setdefault(name, index)
        port = (service.type.rpartition(".")[2], service.port)
        if spoken.setdefault(port, service.speaks) is not service.speaks:
            message = f"another service at port {service.port} speaks {spoken[port]}"
            yield Mistake((*path, "speaks"), message, service.speaks)


def _of_names(service: MdnsService, path: Path) -> Iterator[Mistake]:
    label = service.type.partition(".")[0][1:]
    # RFC 6335, 5.1: the rules of service names.
    if (
        len(label) > 15
        or not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", label)
        or not re.search("[A-Za-z]", label)
    ):
        allowed = "up to 15 letters, digits and single hyphens inside, at least one letter (RFC 6335, 5.1)"
        yield Mistake((*path, "type"), "is not a service type", service.type, allowed)
    names = (
        (("instance",), service.instance),
        *((("subtypes", i), s) for i, s in enumerate(service.subtypes)),
    )
    for key, name in names:
        if not name or len(name.encode()) > _LONGEST_LABEL or re.search(r"[\x00-\x1f\x7f]", name):
            allowed = f"1 to {_LONGEST_LABEL} bytes of UTF-8 without control characters (RFC 6763, 4.1.1)"
            yield Mistake((*path, *key), "is not a valid instance name", repr(name), allowed)


def _of_port(subject: CheckedProfile, service: MdnsService, path: Path) -> Iterator[Mistake]:
    transport = "_udp" if service.speaks is Speaks.COAP else "_tcp"
    if not service.type.endswith(transport):
        message = f"the type of a service that speaks {service.speaks} must end in {transport}"
        yield Mistake((*path, "type"), message, service.type)
    if service.speaks is not Speaks.COAP:
        return
    coap = subject.profile.bindings.coap
    if coap is None:
        if subject.whole:
            yield Mistake((*path, "speaks"), "the device has no CoAP binding", service.speaks)
    elif service.port != coap.port:
        yield Mistake((*path, "port"), "is not bindings.coap.port", str(service.port), str(coap.port))


def _of_txt(service: MdnsService, path: Path) -> Iterator[Mistake]:
    seen: set[str] = set()
    size = 0
    for key, value in service.txt.items():
        if not re.fullmatch(r"[\x20-\x3c\x3e-\x7e]+", key):
            allowed = "printable US-ASCII without = (RFC 6763, 6.4)"
            yield Mistake((*path, key), "is not a TXT key", repr(key), allowed)
        if key.casefold() in seen:
            yield Mistake(
                (*path, key), "TXT keys are case-insensitive; this one is a duplicate (RFC 6763, 6.4)", key
            )
        seen.add(key.casefold())
        length = len(f"{key}={value}".encode())
        size += length + 1
        if length > _LONGEST_STRING:
            allowed = f"{_LONGEST_STRING} bytes at most for key=value (RFC 6763, 6.1)"
            yield Mistake((*path, key), "is too long", f"{length} bytes", allowed)
    if size > _LARGEST_TXT:
        yield Mistake(path, "is too large", f"{size} bytes", f"{_LARGEST_TXT} bytes at most (RFC 6763, 6.2)")
