"""Terms and clusters of the shared vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.model.base import Value
from harness.model.schema import DataSchema, DataType


class TermKind(StrEnum):
    """The kind of a term."""

    ATTRIBUTE = "attribute"  # a state that is reported, and may be writable
    COMMAND = "command"  # an action to carry out
    EVENT = "event"  # something that happened


@dataclass(frozen=True, slots=True)
class Sets:
    """The effect of a command on an attribute: ``OnOff.Off`` sets ``OnOff.OnOff`` to false.

    ``value`` is None where the attribute is set to the input of the command.
    """

    attribute: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Term:
    """An attribute, a command or an event of a cluster.

    ``schema`` describes the values in the vocabulary: the state of an attribute, the data of an event, the
    input of a command; None where there are none. ``writable`` is
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
    """A schema with a list of names."""
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
    """A term without its cluster, which is set later."""

    kind: TermKind
    meaning: str
    schema: DataSchema | None
    writable: bool = False
    sets: Sets | None = None


def state(schema: DataSchema, meaning: str, *, writable: bool = False) -> Word:
    """An attribute."""
    return Word(TermKind.ATTRIBUTE, meaning, schema, writable)


def command(meaning: str, given: DataSchema | None = None, sets: Sets | None = None) -> Word:
    """A command, its input, and the attribute that it sets."""
    return Word(TermKind.COMMAND, meaning, given, sets=sets)


def event(meaning: str, data: DataSchema | None = None) -> Word:
    """An event and its data."""
    return Word(TermKind.EVENT, meaning, data)


def cluster(name: str, matter: int, meaning: str, **words: Word) -> Cluster:
    """A cluster with its terms by their names."""
    terms = {
        key: Term(name, key, word.kind, word.meaning, word.schema, word.writable, word.sets)
        for key, word in words.items()
    }
    return Cluster(name, matter, meaning, terms)
