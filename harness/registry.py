"""Registries: things that are found by name, in our own modules and in installed packages.

Checks, checks of several devices, faults and actuators each have one. A package of somebody else adds to them
by an entry point in its metadata, without a change in this tree (see ``docs/extending.md``).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Generic, TypeVar

from harness.errors import HarnessError

T = TypeVar("T")

CHECKS = "harness.checks"
"""Entry point group of modules that hold checks, of one device or of several."""

FAULTS = "harness.faults"
"""Entry point group of modules that hold faults."""

ACTUATORS = "harness.actuators"
"""Entry point group of actuators: the name is the word that users write, the object makes the actuator."""


class ExtensionError(HarnessError):
    """An installed package cannot be loaded, or uses a name twice; the message names it and what to do."""


class UnknownNameError(HarnessError, LookupError):
    """Nothing has that name; the message suggests similar names."""


def near_names(name: str, names: Iterable[str], *, cutoff: float = 0.5) -> list[str]:
    """Up to three of ``names`` that are similar to ``name``, the most similar first; case does not count.

    ``cutoff``: from 0, everything is similar, to 1, only the same name is.
    """
    spelled = {each.casefold(): each for each in names}
    return [spelled[each] for each in get_close_matches(name.casefold(), spelled, n=3, cutoff=cutoff)]


def modules_below(package: str) -> None:
    """Import all modules of a package, in alphabetical order, and those of the packages in it."""
    path = importlib.import_module(package).__path__
    for name in sorted(module.name for module in pkgutil.walk_packages(path, f"{package}.")):
        importlib.import_module(name)


class Registry(Generic[T]):
    """Named things of one kind.

    ``kind``: what one of them is called in messages, such as ``check``. ``packages``: our own packages whose
    modules register them. ``group``: the entry point group whose modules do, None for no group.
    ``listed_by``: the command that lists them all.
    """

    def __init__(
        self, kind: str, *, packages: Collection[str], listed_by: str, group: str | None = None
    ) -> None:
        self._kind = kind
        self._packages = packages
        self._listed_by = listed_by
        self._group = group
        self._items: dict[str, T] = {}
        self._sources: dict[str, str] = {}
        self._loaded = False

    def add(self, name: str, item: T, source: str) -> None:
        """Register a thing. ``source``: the class or function it comes from; the same one may do so again.

        Raises ExtensionError when the name is taken by another one.
        """
        taken_by = self._sources.get(name)
        if taken_by is not None and taken_by != source:
            raise ExtensionError(f"two {self._kind}s have the name {name}: {taken_by} and {source}")
        self._items[name], self._sources[name] = item, source

    def all(self) -> Mapping[str, T]:
        """Everything of the kind by its name. Raises ExtensionError where a package cannot be loaded."""
        if not self._loaded:
            for package in self._packages:
                modules_below(package)
            if self._group is not None:
                load_extensions(self._group)
            self._loaded = True
        return MappingProxyType(self._items)

    def named(self, name: str) -> T:
        """The one of that name. Raises UnknownNameError, with similar names in the message."""
        items = self.all()
        if name in items:
            return items[name]
        near = near_names(name, items)
        hint = f"did you mean {' or '.join(near)}?" if near else f"`{self._listed_by}` lists all"
        raise UnknownNameError(f"there is no {self._kind} {name!r}; {hint}")


def load_extensions(group: str) -> None:
    """Import what installed packages have in an entry point group. Raises ExtensionError."""
    for entry in extensions(group):
        load_extension(entry)


def extensions(group: str) -> Iterator[EntryPoint]:
    """The entry points of a group, in alphabetical order of their names; nothing is imported."""
    yield from sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value))


def load_extension(entry: EntryPoint) -> object:
    """What an entry point names. Raises ExtensionError, which says which package to mend or remove."""
    try:
        return entry.load()
    except ExtensionError:
        raise
    except Exception as problem:  # whatever somebody else's module does when it is imported
        package = f"the package {entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
        raise ExtensionError(
            f"{package} cannot be loaded: its entry point {entry.name} = {entry.value} ({entry.group}) "
            f"fails with {type(problem).__name__}: {problem}; mend the package or uninstall it"
        ) from problem
