"""What one word of the shared vocabulary is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.model.base import Value
from harness.model.schema import DataSchema, DataType


class TermKind(StrEnum):
    """What can be done with a term."""

    ATTRIBUTE = "attribute"  # a state that is told, and perhaps set
    COMMAND = "command"  # something to be done
    EVENT = "event"  # something that happened


@dataclass(frozen=True, slots=True)
class Sets:
    """What a command comes to in attributes: ``OnOff.Off`` sets ``OnOff.OnOff`` to false.

    ``value`` is None where the attribute becomes what the command is given.
    """

    attribute: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Term:
    """An attribute, a command or an event of a cluster.

    ``schema`` says what values it has in the vocabulary: of an attribute its state, of an event what is told
    with it, of a command what it is given; None where there is nothing to tell or to give. ``writable`` is
    whether others may set an attribute, be it by writing it or by a command of its cluster.
    """

    cluster: str
    name: str
    kind: TermKind
    meaning: str
    schema: DataSchema | None = None
    writable: bool = False
    sets: Sets | None = None

    @property
    def path(self) -> str:
        """As profiles name it: ``OnOff.OnOff``."""
        return f"{self.cluster}.{self.name}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Terms that belong together. ``matter`` is the identifier of the cluster in the Matter specification."""

    name: str
    matter: int
    meaning: str
    terms: Mapping[str, Term]


BOOLEAN = DataSchema(type=DataType.BOOLEAN)


def one_of(*names: str) -> DataSchema:
    """A schema of names."""
    return DataSchema(type=DataType.STRING, enum=names)


def number(
    unit: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
) -> DataSchema:
    """A schema of numbers, in a unit by its UCUM code."""
    return DataSchema(type=DataType.NUMBER, unit=unit, minimum=minimum, maximum=maximum, multiple_of=step)


def integer(
    unit: str | None = None, minimum: float | None = None, maximum: float | None = None
) -> DataSchema:
    """A schema of whole numbers."""
    return DataSchema(type=DataType.INTEGER, unit=unit, minimum=minimum, maximum=maximum)


TEXT = DataSchema(type=DataType.STRING)


@dataclass(frozen=True, slots=True)
class Word:
    """A term that does not yet know its cluster."""

    kind: TermKind
    meaning: str
    schema: DataSchema | None
    writable: bool = False
    sets: Sets | None = None


def state(schema: DataSchema, meaning: str, *, writable: bool = False) -> Word:
    """An attribute."""
    return Word(TermKind.ATTRIBUTE, meaning, schema, writable)


def command(meaning: str, given: DataSchema | None = None, sets: Sets | None = None) -> Word:
    """A command, what it is given, and what it sets."""
    return Word(TermKind.COMMAND, meaning, given, sets=sets)


def event(meaning: str, told: DataSchema | None = None) -> Word:
    """An event, and what is told with it."""
    return Word(TermKind.EVENT, meaning, told)


def cluster(name: str, matter: int, meaning: str, **words: Word) -> Cluster:
    """A cluster of words by their names."""
    terms = {
        key: Term(name, key, word.kind, word.meaning, word.schema, word.writable, word.sets)
        for key, word in words.items()
    }
    return Cluster(name, matter, meaning, terms)
