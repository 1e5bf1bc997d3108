"""Maps of payload texts to values: whether every value has a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.model.base import Value
from harness.model.consistency.mistake import Mistake, shown, wrong_value
from harness.model.problems import Path
from harness.model.schema import DataSchema, DataType, same_value


def of_map(values: Mapping[str, Value], schema: DataSchema, path: Path) -> Iterator[Mistake]:
    """Mistakes in a map of texts to values: every value of the type needs exactly one text."""
    wanted: tuple[Value, ...] | None = schema.enum
    if wanted is None and schema.type is DataType.BOOLEAN:
        wanted = (True, False)
    if wanted is None:
        yield Mistake(path, "only the values of a boolean or an enum can be mapped", str(schema.type))
        return
    taken: list[tuple[str, Value]] = []
    for text, value in values.items():
        yield from wrong_value((*path, text), value, schema)
        same = next((earlier for earlier, known in taken if same_value(known, value)), None)
        if same is not None:
            yield Mistake((*path, text), f"{same} already stands for the same value", shown(value))
        taken.append((text, value))
    missing = [value for value in wanted if not any(same_value(value, known) for _, known in taken)]
    if missing:
        yield Mistake(path, "no payload is mapped to " + ", ".join(shown(value) for value in missing))
