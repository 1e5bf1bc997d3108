"""The words in which reports speak to people who never saw the tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model.requirement import Area, Basis, Level
from harness.model.verdict import Verdict
from harness.report.json_report import CheckVerdict, Report
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


def conclusion_of(report: Report) -> Conclusion:
    """The conclusion of one run."""
    found = _conclusion(report.verdicts)
    if report.complete:
        return found
    early = f"The run ended early ({report.ended}), so requirements not listed here were not tested."
    if found.verdict is Verdict.PASS:
        return Conclusion(Verdict.INCONCLUSIVE, "The run did not come to its end", early)
    return Conclusion(found.verdict, found.headline, f"{found.text} {early}")


def _conclusion(judged: Sequence[CheckVerdict]) -> Conclusion:
    applied = [each for each in judged if each.verdict is not Verdict.NOT_APPLICABLE]
    if not applied:
        return Conclusion(
            Verdict.INCONCLUSIVE, "Nothing was tested", "No requirement applied to this device."
        )
    failed = [each for each in applied if each.verdict is Verdict.FAIL]
    undecided = _undecided_text(applied)
    if failed:
        text = f"{len(failed)} of {plural(len(applied), 'check')} failed{_whose(failed)} {undecided}"
        several = all(each.area is Area.COMPAT for each in applied)
        headline = "The devices do not get on" if several else "The device does not conform"
        return Conclusion(Verdict.FAIL, headline, text.rstrip())
    if undecided:
        headline = "Nothing failed, but not everything could be decided"
        return Conclusion(Verdict.INCONCLUSIVE, headline, f"{undecided} Until then this is not a pass.")
    counts = Counter(each.verdict for each in applied)
    text = f"{counts[Verdict.PASS]} of {plural(len(applied), 'check')} passed."
    if counts[Verdict.WARN]:
        text += f" {plural(counts[Verdict.WARN], 'check')} found a recommendation that is not kept."
    if counts[Verdict.INCONCLUSIVE]:
        text += f" {plural(counts[Verdict.INCONCLUSIVE], 'check')} of recommendations stayed inconclusive."
    if counts[Verdict.WARN]:
        return Conclusion(Verdict.WARN, "No violation found", text)
    if not counts[Verdict.PASS]:
        return Conclusion(Verdict.INCONCLUSIVE, "Nothing could be decided", text)
    return Conclusion(Verdict.PASS, "No violation found", text)


def _undecided_text(applied: Sequence[CheckVerdict]) -> str:
    errors = sum(each.verdict is Verdict.ERROR for each in applied)
    is_open = [each for each in applied if each.verdict is Verdict.INCONCLUSIVE and each.level is Level.MUST]
    sentences = []
    if is_open:
        sentences.append(f"{plural(len(is_open), 'check')} of binding requirements stayed inconclusive.")
    if errors:
        sentences.append(f"{plural(errors, 'check')} could not be made, for the test tool itself went wrong.")
    return " ".join(sentences)


def _whose(failed: Sequence[CheckVerdict]) -> str:
    """Against what the device failed: only a standard can be violated."""
    of_standard = sum(each.basis in OF_A_STANDARD for each in failed)
    if of_standard == len(failed):
        return " against a standard."
    if of_standard:
        others = len(failed) - of_standard
        return (
            f": {of_standard} against a standard, {others} against the profile, convention or good practice."
        )
    if all(each.area is Area.COMPAT for each in failed):
        return ", but none against a standard: what the profiles or the scene say does not come about."
    return ", but none against a standard: the device breaks its own profile, a convention or good practice."
