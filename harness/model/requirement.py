"""Requirements of standards and profiles: a statement, its clause and its level."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How binding a requirement is (RFC 2119; ETSI ``shall`` is MUST, ``should`` is SHOULD)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Basis(StrEnum):
    """The origin of a requirement; breaking a practice does not violate a standard."""

    NORMATIVE = "normative"  # stated by the clause itself
    DERIVED = "derived"  # derived from the clauses cited
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

    TAP = "tap"  # the point between device and broker, where packets are seen, withheld and injected
    BROKER = "broker"  # a client of the harness on the device's broker
    RESTART = "restart"  # the device's broker can be restarted and its storage wiped
    COAP = "coap"  # the device's CoAP endpoint can be reached
    MDNS = "mdns"  # multicast DNS on the device's link
    LOCAL = "local"  # local operation: buttons pressed, sensors stimulated
    POWER = "power"  # orderly stop and start of the device
    SERIAL = "serial"  # the device's serial line: commands can be sent and output is read


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
