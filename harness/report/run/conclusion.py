"""The overall result of a run, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.model.requirement import Area, Level
from harness.model.verdict import Verdict
from harness.report.run.report import CheckVerdict, RunReport
from harness.report.text import plural
from harness.report.words import OF_A_STANDARD, Conclusion


def conclusion_of(report: RunReport) -> Conclusion:
    """The conclusion of one run."""
    found = _conclusion(report.verdicts)
    if report.complete:
        return found
    early = f"The run ended early ({report.ended}), so requirements not listed here were not tested."
    if found.verdict is Verdict.PASS:
        return Conclusion(Verdict.INCONCLUSIVE, "The run ended early", early)
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
        headline = "The devices do not work together" if several else "The device does not conform"
        return Conclusion(Verdict.FAIL, headline, text.rstrip())
    if undecided:
        headline = "Nothing failed, but not everything could be decided"
        return Conclusion(Verdict.INCONCLUSIVE, headline, f"{undecided} This is not a pass.")
    counts = Counter(each.verdict for each in applied)
    text = f"{counts[Verdict.PASS]} of {plural(len(applied), 'check')} passed."
    if counts[Verdict.WARN]:
        text += f" {plural(counts[Verdict.WARN], 'check')} found a recommendation that is not followed."
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
        sentences.append(f"{plural(errors, 'check')} could not be made because the test tool failed.")
    return " ".join(sentences)


def _whose(failed: Sequence[CheckVerdict]) -> str:
    """What the failures are about: a standard, or only the profile, a convention or good practice."""
    of_standard = sum(each.basis in OF_A_STANDARD for each in failed)
    if of_standard == len(failed):
        return " against a standard."
    if of_standard:
        others = len(failed) - of_standard
        return (
            f": {of_standard} against a standard, {others} against the profile, convention or good practice."
        )
    if all(each.area is Area.COMPAT for each in failed):
        return ", but none against a standard: the devices do not do what the profiles or the scene say."
    return ", but none against a standard: the device breaks its own profile, a convention or good practice."
