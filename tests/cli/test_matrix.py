from __future__ import annotations

import json
from pathlib import Path

from tests.cli.running import ROOT, harness

PLUG, REMOTE = ROOT / "profiles" / "smart-plug.yaml", ROOT / "profiles" / "remote-control.yaml"


def test_the_matrix_of_two_profiles_is_predicted_and_reported(tmp_path: Path) -> None:
    done = harness("matrix", PLUG, REMOTE, "--report", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "4 ordered pairs" in done.stdout
    assert f"report: {tmp_path / 'out' / 'matrix.html'}" in done.stdout
    data = json.loads((tmp_path / "out" / "matrix.json").read_text(encoding="utf-8"))
    predicted = {(pair["offerer"], pair["needer"]): pair["predicted"] for pair in data["pairs"]}
    assert predicted["smart-plug", "remote-control"] == "works"
    assert predicted["remote-control", "remote-control"] == "unrelated"


def test_what_is_wrong_is_said_in_one_message(tmp_path: Path) -> None:
    none = harness("matrix")
    assert (none.returncode, "name profiles" in none.stderr) == (2, True)
    missing = harness("matrix", tmp_path / "none.yaml")
    assert (missing.returncode, "none.yaml" in missing.stderr) == (2, True)
