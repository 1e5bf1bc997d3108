"""The words in which reports speak to people who never saw the tool."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.requirement import Area, Basis, Level
from harness.model.verdict import Verdict
from harness.report.text import plural


@dataclass(frozen=True, slots=True)
class VerdictWords:
    """How a verdict is shown: a sign that tells it apart without colour, and what it means."""

    sign: str
    word: str
    one: str  # behind the number 1
    many: str  # behind all others
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
        "The device did something that a binding requirement forbids, or left out what it asks for.",
    ),
    Verdict.ERROR: VerdictWords(
        "‼",
        "error",
        "error",
        "errors",
        "The test tool itself went wrong; this says nothing about the device.",
    ),
    Verdict.INCONCLUSIVE: VerdictWords(
        "?",
        "inconclusive",
        "inconclusive",
        "inconclusive",
        "Something needed for an answer was missing: neither good nor bad.",
    ),
    Verdict.WARN: VerdictWords(
        "!",
        "warning",
        "warning",
        "warnings",
        "A recommendation was not kept. That is allowed, but worth a look.",
    ),
    Verdict.PASS: VerdictWords(
        "✓", "pass", "passed", "passed", "The requirement was put to the test and kept; messages show it."
    ),
    Verdict.NOT_APPLICABLE: VerdictWords(
        "–",
        "not applicable",
        "not applicable",
        "not applicable",
        "The device does not claim the feature, or this test bench cannot test it.",
    ),
}
"""By verdict, those first that ask for attention first."""

BASES = {
    Basis.NORMATIVE: "The clause itself asks this of the device.",
    Basis.DERIVED: "No single sentence says so, but it follows from the clauses named.",
    Basis.CONVENTION: (
        "This is a convention of a community that the profile says the device follows. "
        "Breaking it is not a violation of a standard."
    ),
    Basis.PRACTICE: "This is good practice, not a standard. Breaking it is not a violation of a standard.",
    Basis.PROFILE: (
        "The device's own profile promises this. Breaking it breaks the maker's word, not a standard."
    ),
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
    Level.MUST: "binding: a device that breaks it does not conform",
    Level.SHOULD: "recommended: a device may break it for a good reason, and then gets a warning",
    Level.MAY: "optional",
}

OF_A_STANDARD = (Basis.NORMATIVE, Basis.DERIVED)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a run comes to, in a headline and a sentence. ``verdict`` is the gravest one."""

    verdict: Verdict
    headline: str
    text: str
