"""Collects the table check × fault, and prints it at the end of the tests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from harness.session.result import Judgement


@dataclass
class Matrix:
    """Which checks were seen to pass, and what each said under each fault."""

    passed: set[str] = field(default_factory=set)
    broken: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(dict))

    def note(self, fault: str, profile: str, judgement: Judgement) -> None:
        seen = self.broken[judgement.result.check].setdefault(f"{fault} on {profile}", set())
        seen.add(judgement.result.outcome.verdict.value)


MATRIX = Matrix()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not MATRIX.broken:
        return
    terminalreporter.section("check × fault")
    for check, faults in sorted(MATRIX.broken.items()):
        conforming = "pass" if check in MATRIX.passed else "–"
        told = "; ".join(
            f"{fault}: {'/'.join(sorted(verdicts & {'fail', 'warn'}) or sorted(verdicts))}"
            for fault, verdicts in sorted(faults.items())
        )
        terminalreporter.write_line(f"{check:<14} conforming: {conforming:<5} {told}")
