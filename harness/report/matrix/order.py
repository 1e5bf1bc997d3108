"""The order of rows and columns: devices with similar partners become neighbours."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

_MOST = 120  # the time for clustering grows with the cube of this


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Similar names, in order; ``reach`` is the average number of cells that they fill."""

    names: tuple[str, ...]
    reach: float

    def joined(self, other: _Cluster) -> _Cluster:
        """Both clusters, the one with the higher reach first."""
        first, second = sorted((self, other), key=lambda each: (-each.reach, each.names))
        size = len(self.names) + len(other.names)
        reach = (self.reach * len(self.names) + other.reach * len(other.names)) / size
        return _Cluster(first.names + second.names, reach)


def clustered(lines: Mapping[str, Sequence[Hashable]], empty: Hashable) -> tuple[str, ...]:
    """The names of ``lines`` (rows or columns), with similar lines as neighbours.

    Hierarchical clustering with average linkage: the two most similar lines or groups are joined repeatedly.
    Cells that are ``empty`` in both lines do not count. Too many lines are sorted by the number of cells
    that they fill.
    """
    reach = {name: float(sum(cell != empty for cell in line)) for name, line in lines.items()}
    if len(lines) > _MOST:
        return tuple(sorted(lines, key=lambda name: (-reach[name], name)))

    @cache
    def apart(one: str, other: str) -> float:
        cells = [pair for pair in zip(lines[one], lines[other], strict=True) if pair != (empty, empty)]
        return sum(first != second for first, second in cells) / len(cells) if cells else 0.0

    clusters = [_Cluster((name,), reach[name]) for name in sorted(lines)]
    distances = {
        (one, other): apart(one.names[0], other.names[0])
        for at, one in enumerate(clusters)
        for other in clusters[at + 1 :]
    }
    while len(clusters) > 1:
        one, other = min(distances, key=lambda pair: (distances[pair], pair[0].names, pair[1].names))
        clusters = [each for each in clusters if each not in (one, other)]
        new = one.joined(other)
        for each in clusters:
            distances[each, new] = _average(distances, each, one, other)
        distances = {pair: length for pair, length in distances.items() if not {one, other} & set(pair)}
        clusters.append(new)
    return clusters[0].names if clusters else ()


def _average(
    distances: Mapping[tuple[_Cluster, _Cluster], float], each: _Cluster, one: _Cluster, other: _Cluster
) -> float:
    """The distance of a cluster from the union of two others."""

    def apart(part: _Cluster) -> float:
        return distances[each, part] if (each, part) in distances else distances[part, each]

    sizes = len(one.names), len(other.names)
    return (apart(one) * sizes[0] + apart(other) * sizes[1]) / sum(sizes)
