"""Values drawn by hypothesis: the same ones for the same seed, in every process."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.model.base import Value

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

DRAWN = 6  # values drawn for one property, besides its limits


def prepare() -> None:
    """Import hypothesis now: it takes a second in which no device is served."""
    from hypothesis import strategies

    drawn(strategies.booleans(), seed=1, count=1)


def drawn(strategy: SearchStrategy[Value], seed: int, count: int = DRAWN) -> list[Value]:
    """The first values that a search with this seed draws."""
    found: list[Value] = []

    def note(value: Value) -> bool:
        found.append(value)
        return False

    run_search(strategy, note, seed, count)
    return found[:count]


def run_search(
    strategy: SearchStrategy[Value], predicate: Callable[[Value], bool], seed: int, examples: int
) -> None:
    """Have hypothesis look for a value that ``predicate`` accepts, and simplify it."""
    import hypothesis
    from hypothesis.errors import NoSuchExample

    settings = hypothesis.settings(
        database=None,
        deadline=None,
        max_examples=examples,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with _random_state_kept(), _only_the_seed_counts():
        try:
            hypothesis.find(strategy, predicate, settings=settings, random=random.Random(seed))
        except NoSuchExample:
            return


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Restore the state of the random module, which hypothesis seeds."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _only_the_seed_counts() -> Iterator[None]:
    """Turn off constants from loaded modules, which differ between processes."""
    from hypothesis.internal.conjecture import providers

    own = getattr(providers, "_get_local_constants", None)
    if own is None:  # this version has no such constants
        yield
        return
    nothing = type(own())()
    providers._get_local_constants = lambda: nothing
    providers.CONSTANTS_CACHE.cache.clear()
    try:
        yield
    finally:
        providers._get_local_constants = own
        providers.CONSTANTS_CACHE.cache.clear()
