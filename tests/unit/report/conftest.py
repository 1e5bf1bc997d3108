from __future__ import annotations

from dataclasses import replace

import pytest
from sample_run import RUN

from harness.session.result import RunResult


@pytest.fixture
def run() -> RunResult:
    """A complete run with a verdict of every kind."""
    return RUN


@pytest.fixture
def passed_run(run: RunResult) -> RunResult:
    """A run in which the only check passed."""
    return replace(run, judgements=run.judgements[:1])
