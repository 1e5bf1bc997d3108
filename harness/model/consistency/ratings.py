"""Electrical ratings that are impossible."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.consistency.mistake import CheckedProfile, Mistake
from harness.model.problems import Path
from harness.model.ratings import Rating


def mistakes(subject: CheckedProfile) -> Iterator[Mistake]:
    """Mistakes in ratings."""
    ratings = subject.profile.ratings
    for key, listed in (("draws", ratings.draws), ("supplies", ratings.supplies)):
        for index, rating in enumerate(listed):
            yield from _of_rating(rating, ("ratings", key, index))


def _of_rating(rating: Rating, path: Path) -> Iterator[Mistake]:
    for key, span in (("voltage", rating.voltage), ("frequency", rating.frequency)):
        if span is not None and span.minimum > span.maximum:
            found, allowed = f"{span.minimum:g}", f"{span.maximum:g} at most"
            yield Mistake((*path, key, "minimum"), "is above maximum", found, allowed)
    if rating.frequency is None and rating.phases != 1:
        yield Mistake((*path, "phases"), "direct current has no phases; give a frequency", str(rating.phases))
    # The square root of three between two phases is below the factor of two that is tolerated.
    most = rating.voltage.maximum * rating.current * rating.phases
    if rating.power is not None and rating.power > most * 1.01:
        message = "is more than voltage times current"
        yield Mistake((*path, "power"), message, f"{rating.power:g}", f"{most:g} at most")
