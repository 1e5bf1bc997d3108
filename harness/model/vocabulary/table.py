"""The vocabulary as a table for people."""

from __future__ import annotations

import json
from collections.abc import Iterator

from harness.model.schema import DataSchema, DataType
from harness.model.vocabulary import CLUSTERS, Cluster, Term


def vocabulary_table() -> str:
    """Every cluster and term as Markdown, without a last newline."""
    return "\n\n".join("\n".join(_of_cluster(cluster)) for cluster in CLUSTERS.values())


def _of_cluster(cluster: Cluster) -> Iterator[str]:
    yield f"### {cluster.name}"
    yield ""
    yield f"0x{cluster.matter:04X}: {cluster.meaning}."
    yield ""
    yield "| term | kind | values | meaning |"
    yield "| --- | --- | --- | --- |"
    for term in cluster.terms.values():
        yield f"| `{term.name}` | {_kind(term)} | {_values(term.schema)} | {term.meaning}{_sets(term)} |"


def _kind(term: Term) -> str:
    return f"{term.kind}, writable" if term.writable else str(term.kind)


def _values(schema: DataSchema | None) -> str:
    if schema is None:
        return "none"
    if schema.enum is not None:
        return ", ".join(f"`{value}`" for value in schema.enum)
    if schema.type not in (DataType.INTEGER, DataType.NUMBER):
        return str(schema.type)
    text = str(schema.type)
    if schema.minimum is not None:
        text += f" from {schema.minimum:g}"
    if schema.maximum is not None:
        text += f" to {schema.maximum:g}"
    return text + (f", `{schema.unit}`" if schema.unit is not None else "")


def _sets(term: Term) -> str:
    if term.sets is None:
        return ""
    value = term.sets.value
    shown = "its input" if value is None else json.dumps(value)
    return f"; sets `{term.sets.attribute}` to {shown}"
