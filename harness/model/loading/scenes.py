"""Reading scenes: from YAML with all mistakes at once, and from and to the JSON of traces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path as FilePath

from pydantic import ValidationError

from harness.model.base import Value
from harness.model.consistency.capabilities import unknown_cluster, unknown_term
from harness.model.consistency.mistake import Mistake
from harness.model.loading.json_schema import (
    Schema,
    schema_for_people,
)
from harness.model.loading.validation import (
    explain,
    problem_at,
)
from harness.model.loading.yaml_tree import read_tree
from harness.model.problems import Path, ProfileError, ProfileProblem
from harness.model.rule import Condition, Rule
from harness.model.scene import Scene, SceneAction, played_terms, split_term, terms_of
from harness.model.semantics.translator import term_of
from harness.model.vocabulary import CLUSTERS, Term, TermKind
from harness.registry import near_names

__all__ = ["load_scene", "scene_from_json", "scene_schema_text", "scene_to_json"]

SCHEMA_FILE = FilePath(__file__).parent.with_name("scene.schema.json")


def load_scene(path: FilePath) -> Scene:
    """The scene in a YAML file. Raises :class:`ProfileError` with every mistake, sorted by line."""
    tree, problems = read_tree(path, "scene")
    try:
        scene = _validated(tree.plain)
    except ValidationError as error:
        problems += [found.problem for found in explain(error, tree, Scene)]
    else:
        for mistake in _mistakes(scene):
            node = tree.nearest(mistake.path)
            key = (*node.path, *mistake.path[len(node.path) :])
            problems.append(
                problem_at(node, key, mistake.message, found=mistake.found, allowed=mistake.allowed)
            )
    if problems:
        raise ProfileError(tuple(sorted(problems, key=lambda problem: problem.line)))
    return scene


def scene_to_json(scene: Scene) -> str:
    """The whole scene, defaults included, as JSON on one line; equal scenes give equal text."""
    data = scene.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def scene_from_json(text: str) -> Scene:
    """The scene that :func:`scene_to_json` wrote. Raises :class:`ProfileError`."""
    try:
        return _validated(json.loads(text))
    except ValueError as error:  # ValidationError is one
        raise ProfileError((ProfileProblem(FilePath("<scene>"), 0, "", f"not a scene: {error}"),)) from None


def scene_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of scene files."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:appliance-harness:scene",
    }
    return head | schema_for_people(Scene)


def scene_schema_text() -> str:
    """The schema as it stands in :data:`SCHEMA_FILE`."""
    return json.dumps(scene_schema(), indent=2, ensure_ascii=False) + "\n"


def _validated(data: Value) -> Scene:
    # Through JSON, because pydantic in strict mode accepts lists for tuples only there.
    return Scene.model_validate_json(json.dumps(data), strict=True, by_alias=True, by_name=False)


def _mistakes(scene: Scene) -> Iterator[Mistake]:
    """Mistakes that a schema cannot find: unknown names, values that a term does not have."""
    yield from _of_roles(scene)
    yield from _of_wiring(scene)
    yield from _of_pairings(scene)
    for index, action in enumerate(scene.start):
        yield from _of_action(scene, action, ("start", index))
    for key, rules in (("automations", scene.automations), ("rules", scene.rules)):
        yield from _doubled([rule.id for rule in rules], key)
        for index, rule in enumerate(rules):
            yield from _of_rule(scene, rule, (key, index))
    for index, rule in enumerate(scene.automations):
        yield from _of_automation(rule, ("automations", index))
    yield from _doubled([step.id for step in scene.steps], "steps")
    for index, step in enumerate(scene.steps):
        path: Path = ("steps", index)
        if not index and not step.actions:
            yield Mistake(path, "is the first step and needs an action to start the scene", None, "do")
        for place, action in enumerate(step.actions):
            yield from _of_action(scene, action, (*path, "do", place))
        for place, condition in enumerate(step.then):
            yield from _of_condition(scene, condition, (*path, "then", place))
        for place, name in enumerate(step.agree):
            yield from _of_name(scene, name, TermKind.ATTRIBUTE, (*path, "agree", place))


def _of_roles(scene: Scene) -> Iterator[Mistake]:
    for role, wanted in scene.roles.items():
        if "." in role:
            yield Mistake(("roles", role), "has a dot, which separates a role from a term", role)
        for key, paths in (("offers", wanted.offers), ("commands", wanted.commands)):
            for index, path in enumerate(paths):
                yield from _of_term(path, ("roles", role, key, index))
        if not played_terms(wanted):
            yield Mistake(("roles", role), "offers and commands nothing", None, "offers or commands")


def _of_wiring(scene: Scene) -> Iterator[Mistake]:
    for index, wire in enumerate(scene.wiring):
        if wire.feeds not in scene.roles:
            yield Mistake(
                ("wiring", index, "feeds"), "is not a role of the scene", wire.feeds, ", ".join(scene.roles)
            )
        yield from _of_name(scene, wire.through, TermKind.ATTRIBUTE, ("wiring", index, "through"))


def _of_pairings(scene: Scene) -> Iterator[Mistake]:
    for index, pairing in enumerate(scene.pairings):
        path: Path = ("pairings", index)
        for key, role in (("controller", pairing.controller), ("controls", pairing.controls)):
            if role not in scene.roles:
                yield Mistake((*path, key), "is not a role of the scene", role, ", ".join(scene.roles))
        yield from _of_term(pairing.term, (*path, "term"))
        known = scene.roles.get(pairing.controller)
        if known is not None and pairing.term not in known.commands:
            message = f"is not listed under `commands` of the role {pairing.controller}"
            yield Mistake((*path, "term"), message, pairing.term, ", ".join(known.commands) or "nothing")


def _of_term(path: str, where: Path) -> Iterator[Mistake]:
    key, _, name = path.rpartition(".")
    cluster = key.partition("/")[0]
    mistake = unknown_cluster(where, cluster)
    if mistake is not None:
        yield mistake
    elif name not in CLUSTERS[cluster].terms:
        yield unknown_term(where, cluster, name)


def _of_name(scene: Scene, name: str, kind: TermKind, where: Path) -> Iterator[Mistake]:
    """Mistakes in a ``role.Cluster.Term``."""
    role, path = split_term(name)
    if role not in scene.roles:
        near = near_names(role, scene.roles) or list(scene.roles)
        yield Mistake(where, "does not begin with a role of the scene", name, ", ".join(near))
        return
    wrong = list(_of_term(path, where))
    yield from wrong
    term = term_of(path)
    if wrong or term is None:
        return
    if term.kind is not kind:
        yield Mistake(where, f"is {_a(term.kind)}, but {_a(kind)} is needed here", name)
    offers = scene.roles[role].offers
    if path not in offers:
        message = f"is not listed under `offers` of the role {role}; add it there"
        yield Mistake(where, message, path, ", ".join(offers))


def _of_condition(scene: Scene, condition: Condition, path: Path) -> Iterator[Mistake]:
    if condition.event is not None:
        yield from _of_name(scene, condition.event, TermKind.EVENT, (*path, "event"))
        yield from _of_value(condition.event, condition.data, (*path, "data"))
    elif condition.action is not None:
        yield from _of_name(scene, condition.action, TermKind.COMMAND, (*path, "action"))
        yield from _of_value(condition.action, condition.data, (*path, "data"))
    for name in terms_of(condition) if condition.property_ is not None else ():
        key = {condition.property_: "property", condition.above: "above", condition.below: "below"}[name]
        yield from _of_name(scene, name, TermKind.ATTRIBUTE, (*path, key))
    if condition.property_ is not None:
        yield from _of_value(condition.property_, condition.equals, (*path, "equals"))
        for index, value in enumerate(condition.one_of or ()):
            yield from _of_value(condition.property_, value, (*path, "one_of", index))


def _of_rule(scene: Scene, rule: Rule, path: Path) -> Iterator[Mistake]:
    if rule.refuse:
        yield Mistake((*path, "refuse"), "only a device can refuse commands, not a scene")
    for key, conditions in (("when", rule.when), ("while", rule.while_), ("then", rule.then)):
        for index, condition in enumerate(conditions):
            yield from _of_condition(scene, condition, (*path, key, index))


def _of_automation(rule: Rule, path: Path) -> Iterator[Mistake]:
    if rule.while_:
        yield Mistake((*path, "while"), "an automation acts when something becomes true", None, "when")
    for index, condition in enumerate(rule.then):
        if condition.event is not None:
            yield Mistake((*path, "then", index, "event"), "the hub cannot make a device report an event")
        elif condition.property_ is not None and condition.equals is None:
            yield Mistake((*path, "then", index), "does not declare which value the hub sets", None, "equals")


def _of_action(scene: Scene, action: SceneAction, path: Path) -> Iterator[Mistake]:
    if action.set is not None:
        yield from _of_name(scene, action.set, TermKind.ATTRIBUTE, (*path, "set"))
        yield from _of_value(action.set, action.to, (*path, "to"))
    elif action.happen is not None:
        yield from _of_name(scene, action.happen, TermKind.EVENT, (*path, "happen"))
        yield from _of_value(action.happen, action.data, (*path, "data"))
    elif action.command is not None:
        yield from _of_command(scene, action.command, (*path, "command"))
        yield from _of_value(action.command, action.to, (*path, "to"))
    elif action.invoke is not None:
        yield from _of_name(scene, action.invoke, TermKind.COMMAND, (*path, "invoke"))
        yield from _of_value(action.invoke, action.given, (*path, "given"))


def _of_command(scene: Scene, name: str, where: Path) -> Iterator[Mistake]:
    """Mistakes in the commands that are triggered on a controller."""
    role, path = split_term(name)
    if role not in scene.roles:
        yield Mistake(where, "does not begin with a role of the scene", name, ", ".join(scene.roles))
        return
    wrong = list(_of_term(path, where))
    yield from wrong
    if not wrong and path not in scene.roles[role].commands:
        message = f"is not listed under `commands` of the role {role}; add it there"
        yield Mistake(where, message, path, ", ".join(scene.roles[role].commands) or "nothing")


def _of_value(name: str, value: Value, path: Path) -> Iterator[Mistake]:
    term: Term | None = term_of(split_term(name)[1])
    if value is None or term is None:
        return
    if term.schema is None:
        yield Mistake(path, f"{term.path} has no value", str(value))
        return
    for text in term.schema.violations(value):
        yield Mistake(path, f"is not a value of {term.path}: {text}", str(value))


def _doubled(ids: list[str], key: str) -> Iterator[Mistake]:
    for index, name in enumerate(ids):
        if name in ids[:index]:
            yield Mistake((key, index, "id"), f"{key}[{ids.index(name)}] has this id already", name)


def _a(kind: TermKind) -> str:
    return f"an {kind}" if kind[0] in "ae" else f"a {kind}"
