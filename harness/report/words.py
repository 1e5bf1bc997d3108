"""Texts of reports, for readers who do not know the tool."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.requirement import Area, Basis, Level
from harness.model.verdict import Verdict
from harness.report.text import plural


@dataclass(frozen=True, slots=True)
class VerdictWords:
    """How a verdict is shown: a sign that works without colour, words, and the meaning."""

    sign: str
    word: str
    one: str  # after the number 1
    many: str  # after all other numbers
    meaning: str

    def counted(self, count: int) -> str:
        """Such as ``2 failed`` or ``1 warning``."""
        return plural(count, self.one, self.many)


VERDICTS = {
    Verdict.FAIL: VerdictWords(
        "✗",
        "fail",
        "failed",
        "failed",
        "The device did something that a binding requirement forbids, or did not do what it demands.",
    ),
    Verdict.ERROR: VerdictWords(
        "‼",
        "error",
        "error",
        "errors",
        "The test tool failed; this says nothing about the device.",
    ),
    Verdict.INCONCLUSIVE: VerdictWords(
        "?",
        "inconclusive",
        "inconclusive",
        "inconclusive",
        "Not enough information for a verdict: neither good nor bad.",
    ),
    Verdict.WARN: VerdictWords(
        "!",
        "warning",
        "warning",
        "warnings",
        "A recommendation was not followed. That is allowed, but worth checking.",
    ),
    Verdict.PASS: VerdictWords(
        "✓", "pass", "passed", "passed", "The requirement was tested and met; the messages prove it."
    ),
    Verdict.NOT_APPLICABLE: VerdictWords(
        "–",
        "not applicable",
        "not applicable",
        "not applicable",
        "The profile does not claim the feature, or this test bench cannot test it.",
    ),
}
"""By verdict, the most urgent first."""

BASES = {
    Basis.NORMATIVE: "The clause itself demands this.",
    Basis.DERIVED: "Derived from the clauses cited.",
    Basis.CONVENTION: (
        "A convention that the device follows according to its profile. "
        "Breaking it does not violate a standard."
    ),
    Basis.PRACTICE: "Good practice. Breaking it does not violate a standard.",
    Basis.PROFILE: ("A promise of the device's own profile. Breaking it does not violate a standard."),
}

SOURCES = {
    Basis.NORMATIVE: "of a standard",
    Basis.DERIVED: "derived from a standard",
    Basis.CONVENTION: "of a convention",
    Basis.PRACTICE: "of good practice",
    Basis.PROFILE: "of the device's own profile",
}

AREAS = {
    Area.MQTT: "MQTT",
    Area.COAP: "CoAP",
    Area.MDNS: "mDNS and DNS-SD",
    Area.BEHAVIOUR: "Behaviour",
    Area.CROSS: "Agreement between protocols",
    Area.SECURITY: "Security",
    Area.SERIAL: "Serial line",
    Area.COMPAT: "Compatibility",
}

LEVELS = {
    Level.MUST: "binding: a device that violates it does not conform",
    Level.SHOULD: "recommended: a device that does not follow it gets a warning",
    Level.MAY: "optional",
}

OF_A_STANDARD = (Basis.NORMATIVE, Basis.DERIVED)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The overall result of a run: a headline and a sentence. ``verdict`` is the most severe one."""

    verdict: Verdict
    headline: str
    text: str
