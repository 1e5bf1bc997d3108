"""``import harness``: cheap, complete, typed, and documented."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import harness

ROOT = Path(__file__).parent.parent.parent


def test_every_public_name_can_be_imported() -> None:
    for name in harness.__all__:
        assert getattr(harness, name) is not None
    assert set(harness.__all__) == {"__version__"} | {n for names in harness.PUBLIC.values() for n in names}


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse((ROOT / "harness" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: module for names in harness.PUBLIC.values() for name, module in names.items()}


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, harness; print([name for name in sys.modules if name.startswith('harness.')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_name_that_is_not_public_is_an_ordinary_error() -> None:
    try:
        harness.no_such_name  # noqa: B018
    except AttributeError as problem:
        assert str(problem) == "module 'harness' has no attribute 'no_such_name'"
    else:
        raise AssertionError


def test_a_device_is_checked_and_its_trace_judged_alike(tmp_path: Path) -> None:
    options = harness.Options(
        profile=[str(ROOT / "profiles" / "smart-plug.yaml")],
        simulate=True,
        select=["DEV-01"],
        report=str(tmp_path),
    )
    (result,) = harness.run(options)
    assert harness.run_status(result.judgements) == harness.ExitStatus.OK
    again = harness.judge_trace(tmp_path / "trace.jsonl")
    assert [judged.result for judged in again.judgements] == [judged.result for judged in result.judgements]
    assert result.judgements
    assert list(harness.read_trace(tmp_path / "trace.jsonl")) == list(result.events)


def test_the_reference_is_that_of_the_docstrings() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None and spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == reference.page(), "write it anew: python tools/reference.py"
