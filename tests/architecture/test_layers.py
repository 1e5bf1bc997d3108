"""The grid of docs/architecture.md holds: rows, columns, areas of checks, and no circles."""

from __future__ import annotations

import re
from functools import cache

import import_graph as source
import pytest

COLUMNS = {"mqtt", "coap", "mdns", "serial"}
DOCS = (source.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
KNOWN = source.modules()
ARROWS = source.arrows(KNOWN)
# The public face names everything, and imports it when it is used.
FACE = source.PACKAGE


@cache
def rows() -> dict[str, set[str]]:
    """The rows of the table with the header ``row``, each with those that it may import."""
    table = DOCS.split("| row | holds | imports |")[1].split("\n\n")[0]
    found: dict[str, set[str]] = {}
    ground: set[str] = set()
    for line in table.strip().splitlines()[1:]:
        names, _, imported = (cell.strip() for cell in line.strip("|").split("|"))
        group = re.findall(r"`(\w+)`", names)
        allowed = {name.strip() for name in imported.split(",") if name.strip()}
        ground = ground or set(group)
        found |= {name: allowed | ground | set(group) for name in group}
    return found


def row_of(module: str) -> str:
    return module.split(".")[1]


def columns_of(module: str) -> set[str]:
    """The column that a module is in, by the names of its folders; a module may have a column's name, too."""
    return COLUMNS & set(module.split("."))


def test_every_row_is_in_the_table() -> None:
    there = {row_of(module) for module in KNOWN if module != FACE}
    assert there <= set(rows()), f"docs/architecture.md does not name {sorted(there - set(rows()))}"
    assert set(rows()) - there <= {"errors"}, "the table names what is not there"


def test_the_table_lets_a_row_import_only_rows_above_it() -> None:
    above: set[str] = set()
    for row, allowed in rows().items():
        above.add(row)
        group = {name for name, others in rows().items() if others == allowed}
        assert allowed <= above | group, row


@pytest.mark.parametrize("row", sorted(rows()))
def test_a_row_imports_only_what_the_table_allows(row: str) -> None:
    wrong = [
        str(arrow)
        for arrow in ARROWS
        if FACE not in (arrow.source, arrow.target)
        and row_of(arrow.source) == row
        and row_of(arrow.target) not in rows()[row]
    ]
    assert not wrong


def test_no_column_imports_another() -> None:
    wrong = [
        str(arrow)
        for arrow in ARROWS
        if (mine := columns_of(arrow.source)) and (others := columns_of(arrow.target)) and mine != others
    ]
    assert not wrong


def area_of(module: str) -> str | None:
    """The area folder of a check's module; None for what is no check."""
    parts = module.split(".")
    return parts[2] if parts[:2] == [FACE, "checks"] and len(parts) == 4 else None


def test_no_area_of_checks_imports_another() -> None:
    wrong = [
        str(arrow)
        for arrow in ARROWS
        if (mine := area_of(arrow.source))
        and (other := area_of(arrow.target))
        and mine not in (other, "support")
        and other != "support"
    ]
    assert not wrong
    of_support = [
        str(arrow)
        for arrow in ARROWS
        if arrow.source.startswith(f"{FACE}.checks.support.")
        and (other := area_of(arrow.target))
        and other != "support"
    ]
    assert not of_support


def test_a_file_in_an_area_folder_holds_checks_and_no_other_file_does() -> None:
    decorated = re.compile(r"^@(requirement|group_requirement)\($", re.MULTILINE)
    for module, path in KNOWN.items():
        if not module.startswith(f"{FACE}.checks.") or path.name == "__init__.py":
            continue
        holds = bool(decorated.search(path.read_text(encoding="utf-8")))
        in_area = area_of(module) not in (None, "support")
        assert holds is in_area, module


def test_no_imports_go_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in KNOWN}
    for arrow in ARROWS:
        if not arrow.is_for_types and FACE not in (arrow.source, arrow.target):
            graph[arrow.source].add(arrow.target)
    assert source.circles(graph) == []


def test_every_room_has_its_line() -> None:
    rooms = {
        "/".join(module.split(".")[1:3])
        for module, path in KNOWN.items()
        if path.name != "__init__.py" and len(module.split(".")) > 3
    }
    unnamed = {room for room in rooms if room.split("/")[1] not in COLUMNS and f"`{room}" not in DOCS}
    assert unnamed <= {"simulate/faults"}, f"docs/architecture.md does not name {sorted(unnamed)}"


def test_a_circle_and_a_wrong_arrow_are_found(tmp_path: source.Path) -> None:
    package = tmp_path / FACE
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("def f():\n    from harness import b\n")
    (package / "b.py").write_text("import harness.a\n")
    known = source.modules(tmp_path)
    found = {str(arrow) for arrow in source.arrows(known)}
    assert found == {"harness.a imports harness.b", "harness.b imports harness.a"}
    graph = {"harness.a": {"harness.b"}, "harness.b": {"harness.a"}, "harness": set[str]()}
    assert source.circles(graph) == [["harness.a", "harness.b"]]
