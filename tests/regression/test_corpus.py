"""What earlier releases recorded is read and judged as it was then.

A verdict that differs on purpose is an entry of ``fixtures/corpus/changes.yaml``, with the reason; the
recordings themselves are never changed. ``corpus.py`` adds those of a release.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.model.loading.profiles import load_profile, profile_to_json
from harness.session.compat.judging import result_of_group_trace
from harness.session.run.judging import result_of_trace
from harness.trace.events import Judged, TogetherStarted
from harness.trace.lines import read

CORPUS = Path(__file__).parent.parent.parent / "fixtures" / "corpus"
RELEASES = sorted(path for path in CORPUS.iterdir() if path.is_dir())
TRACES = [path for release in RELEASES for path in sorted((release / "traces").glob("*.gz"))]
PROFILES = [path for release in RELEASES for path in sorted((release / "profiles").glob("*.yaml"))]


@dataclass(frozen=True)
class Change:
    """A verdict that differs on purpose: ``trace`` and ``subject`` are patterns as of file names."""

    trace: str
    check: str
    was: str
    now: str
    why: str
    subject: str = "*"

    def explains(self, trace: str, check: str, subject: str, was: str, now: str) -> bool:
        return (
            fnmatchcase(trace, self.trace)
            and fnmatchcase(subject, self.subject)
            and (check, was, now) == (self.check, self.was, self.now)
        )


CHANGES = [Change(**entry) for entry in YAML(typ="safe").load(CORPUS / "changes.yaml") or ()]


def name_of(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.name.split('.')[0]}"


@pytest.mark.parametrize("path", TRACES, ids=name_of)
def test_a_trace_of_an_earlier_release_is_judged_as_it_was(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_bytes(gzip.decompress(path.read_bytes()))
    trace = list(read(file))
    together = isinstance(trace[0].body, TogetherStarted)
    result = (result_of_group_trace if together else result_of_trace)(trace, file)
    now = {judged.result.id: judged.result.outcome.verdict.value for judged in result.judgements}
    then = {}
    for event in trace:
        if isinstance(body := event.body, Judged):
            parts = [part for part in (body.subject, body.transport) if part]
            then[f"{body.check}[{'/'.join(parts)}]" if parts else body.check] = body.verdict
    assert set(now) == set(then)
    for check_id, was in then.items():
        check, _, subject = check_id.removesuffix("]").partition("[")
        verdict = now[check_id]
        assert verdict == was or any(
            change.explains(name_of(path), check, subject, was, verdict) for change in CHANGES
        ), f"{check_id} was {was} and is {verdict}; is that meant? then add it to {CORPUS}/changes.yaml"


@pytest.mark.parametrize("path", PROFILES, ids=name_of)
def test_a_profile_of_an_earlier_release_means_what_it_meant(path: Path) -> None:
    then = json.loads(gzip.decompress((path.parent.parent / "profiles.json.gz").read_bytes()))[path.name]
    missing = list(differences(then, json.loads(profile_to_json(load_profile(path))), path.stem))
    assert not missing


def differences(then: Any, now: Any, where: str) -> list[str]:
    """What the profile said then and does not say now; it may say more."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            found
            for key, value in then.items()
            for found in (
                differences(value, now[key], f"{where}.{key}") if key in now else [f"{where}.{key}: gone"]
            )
        ]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        pairs = enumerate(zip(then, now, strict=True))
        return [found for n, (old, new) in pairs for found in differences(old, new, f"{where}[{n}]")]
    return [] if then == now else [f"{where}: {then!r} became {now!r}"]


def test_every_change_is_one_of_a_trace_that_is_there() -> None:
    for change in CHANGES:
        assert change.why, change
        assert any(fnmatchcase(name_of(path), change.trace) for path in TRACES), change
