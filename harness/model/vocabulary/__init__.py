"""The shared vocabulary: names for functions of devices of any maker, taken from Matter's clusters.

A profile keeps its own names and maps them to terms of the vocabulary. ``docs/vocabulary.md`` explains the
terms, their units, and the choice of this vocabulary.
"""

from __future__ import annotations

from types import MappingProxyType

from harness.model.vocabulary import climate, controls, sensing
from harness.model.vocabulary.term import Cluster, Sets, Term, TermKind

__all__ = ["CLUSTERS", "Cluster", "Sets", "Term", "TermKind", "term_named"]

CLUSTERS = MappingProxyType(
    {cluster.name: cluster for part in (controls, climate, sensing) for cluster in part.CLUSTERS}
)


def term_named(path: str) -> Term | None:
    """The term of a path such as ``OnOff.OnOff``; None where the vocabulary has no such term."""
    cluster, _, name = path.partition(".")
    return CLUSTERS[cluster].terms.get(name) if cluster in CLUSTERS else None
