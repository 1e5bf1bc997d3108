"""The bench file: every mistake is told with its line, and what is right is read as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.loading.bench_files import (
    BenchBoard,
    load_boards,
)
from harness.model.problems import ProfileError, ProfileProblem

FAULTS = ("hangs", "floods")


def write(folder: Path, text: str) -> Path:
    (folder / "plug.yaml").touch()
    file = folder / "bench.yaml"
    file.write_text(text)
    return file


def boards(folder: Path, text: str) -> dict[str, BenchBoard]:
    return load_boards(write(folder, text), faults=FAULTS).boards


def mistakes(folder: Path, text: str) -> dict[str, ProfileProblem]:
    with pytest.raises(ProfileError) as caught:
        boards(folder, text)
    lines = [problem.line for problem in caught.value.problems]
    assert lines == sorted(lines)
    return {problem.key: problem for problem in caught.value.problems}


def test_a_bench_names_its_boards_and_how_they_are_reached(tmp_path: Path) -> None:
    found = boards(
        tmp_path,
        """
boards:
  desk: { profile: plug.yaml, simulate: true, faults: [hangs] }
  rack-1: { profile: plug.yaml, unit: a1, listen: "0.0.0.0:1883", coap: "coap://192.0.2.7", mdns: Plug }
""",
    )
    assert list(found) == ["desk", "rack-1"]
    assert (found["desk"].simulate, found["desk"].faults) == (True, ("hangs",))
    assert found["rack-1"].reached_by == ["listen", "coap", "mdns"]
    assert Path(found["rack-1"].profile) == tmp_path / "plug.yaml", "the folder of the bench file counts"


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """boards:
  no-profile: { simulate: true }
  misspelt: { profile: plug.yaml, lisen: "0.0.0.0:1883" }
  nowhere: { profile: plug.yaml }
  lost: { profile: gone.yaml, simulate: true }
  both: { profile: plug.yaml, simulate: true, coap: "coap://192.0.2.7" }
  real: { profile: plug.yaml, mdns: Plug, faults: [hangs] }
  faulty: { profile: plug.yaml, simulate: true, faults: [hang] }
  two/brokers: { profile: plug.yaml, listen: "0.0.0.0:1883", mqtt: "mqtt://192.0.2.1" }
  powered: { profile: plug.yaml, simulate: true, power: operator, serial: /dev/ttyUSB0 }
  unplugged: { profile: plug.yaml, serial: pty }
""",
    )
    assert {key: problem.line for key, problem in found.items()} == {
        "boards.no-profile.profile": 2,
        "boards.misspelt.lisen": 3,
        "boards.nowhere": 4,
        "boards.lost.profile": 5,
        "boards.both.coap": 6,
        "boards.real.faults": 7,
        "boards.faulty.faults[0]": 8,
        "boards.two/brokers.mqtt": 9,
        "boards.two/brokers": 9,
        "boards.powered.power": 10,
        "boards.powered.serial": 10,
        "boards.unplugged.serial": 11,
    }
    assert "listen" in str(found["boards.misspelt.lisen"].allowed)
    assert "hangs" in str(found["boards.faulty.faults[0]"].allowed)


def test_two_boards_cannot_be_at_the_same_place(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """boards:
  left: { profile: plug.yaml, listen: "0.0.0.0:1883", coap: "coap://192.0.2.7" }
  right: { profile: plug.yaml, listen: "0.0.0.0:1883", coap: "coap://192.0.2.7" }
  Left: { profile: plug.yaml, mdns: Plug }
""",
    )
    assert set(found) == {"boards.right.listen", "boards.right.coap", "boards.Left"}
    assert "left" in found["boards.right.listen"].message


def test_places_of_labgrid_are_files_and_targets_one_for_each_board(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").touch()
    found = mistakes(
        tmp_path,
        """boards:
  one: { profile: plug.yaml, labgrid: lab.yaml }
  two: { profile: plug.yaml, labgrid: lab.yaml }
  three: { profile: plug.yaml, labgrid: gone.yaml, target: rack }
  four: { profile: plug.yaml, mdns: Plug, target: rack }
  five: { profile: plug.yaml, simulate: true, labgrid: lab.yaml, target: five }
""",
    )
    assert {key: problem.line for key, problem in found.items()} == {
        "boards.two.labgrid": 3,
        "boards.three.labgrid": 4,
        "boards.four.target": 5,
        "boards.five.labgrid": 6,
    }
    one = boards(tmp_path, "boards: { one: { profile: plug.yaml, labgrid: lab.yaml, target: rack } }")["one"]
    assert (Path(one.labgrid or ""), one.target) == (tmp_path / "lab.yaml", "rack")


@pytest.mark.parametrize("text", ["", "[]", "boards: {}", "boards: []", "boards:", "{ a: ", "other: 1"])
def test_what_is_no_bench_file_is_a_mistake_and_no_crash(tmp_path: Path, text: str) -> None:
    assert mistakes(tmp_path, text)
