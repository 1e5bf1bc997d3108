"""What a standard or a profile asks of a device: one statement, its clause and how binding it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How binding a requirement is (RFC 2119; ETSI ``shall`` is MUST, ``should`` is SHOULD)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Basis(StrEnum):
    """Where a requirement comes from; a broken practice is not a violation of a standard."""

    NORMATIVE = "normative"  # the clause itself asks this of the device
    DERIVED = "derived"  # follows from the clauses named
    CONVENTION = "convention"  # community convention, binding when the profile claims it
    PRACTICE = "practice"  # good practice, binding when the profile declares it
    PROFILE = "profile"  # the device's own profile promises it


class Area(StrEnum):
    """The part of the catalogue a requirement belongs to; also a folder or module under ``checks``."""

    MQTT = "mqtt"
    COAP = "coap"
    MDNS = "mdns"
    BEHAVIOUR = "behaviour"
    CROSS = "cross"
    SECURITY = "security"
    SERIAL = "serial"
    COMPAT = "compat"


class BenchFeature(StrEnum):
    """What a check needs of the bench. Where the bench lacks it, the check is ``not-applicable``."""

    TAP = "tap"  # the point between DUT and broker, where packets are seen, withheld and injected
    BROKER = "broker"  # a client of ours on the broker that the DUT uses
    RESTART = "restart"  # the DUT's broker can be restarted, and what it stored be wiped
    COAP = "coap"  # the DUT's CoAP endpoint can be reached
    MDNS = "mdns"  # multicast DNS on the DUT's link
    LOCAL = "local"  # local operation: buttons pressed, sensors stimulated
    POWER = "power"  # orderly stop and start of the DUT
    SERIAL = "serial"  # the DUT's serial line: it can be commanded, and what it prints is seen


@dataclass(frozen=True, slots=True)
class Requirement:
    """One testable statement. ``clause`` names the clauses of ``standard``, or the key of the profile."""

    id: str
    area: Area
    standard: str
    clause: str
    level: Level
    basis: Basis
    purpose: str
    stimulus: str
    expect: str
    ics: str
    usual_cause: str
