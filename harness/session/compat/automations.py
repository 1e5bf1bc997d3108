"""Automations of the hub: the interactions of a pair, and the automations of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.checks.observations import Report
from harness.checks.support.compat.device_group import DeviceGroup
from harness.checks.support.compat.home_state import (
    ConditionEvaluator,
    Interpreter,
    StateReport,
    happened,
)
from harness.checks.support.compat.interactions import (
    AVAILABILITY,
    Interaction,
    command_for,
)
from harness.model.base import Value
from harness.model.rule import Condition, Rule
from harness.model.scene import conditions_of, split_term, terms_of
from harness.model.semantics.casting import term_path
from harness.model.semantics.mapping import (
    UntranslatableError,
    split_use,
)
from harness.model.semantics.translator import (
    ProfileTranslator,
    UnofferedError,
)
from harness.prediction.findings import AffordanceKind
from harness.session.compat.hub import (
    Automation,
    HubCommand,
)
from harness.trace.events import Event


class InteractionAutomation:
    """Passes on, converted, the reports of one device to another that it does not reach directly."""

    def __init__(self, group: DeviceGroup) -> None:
        self._group = group
        self._interactions = [
            interaction
            for interaction in group.interactions
            if interaction.is_passed_on and _is_wanted(group, interaction)
        ]

    def watched(self) -> frozenset[tuple[str, str]]:
        """The sources of all interactions."""
        return frozenset(
            (interaction.source, name)
            for interaction in self._interactions
            for name in interaction.source_names
            if name
        )

    def heard(self, role: str, report: Report, changed: bool) -> Iterator[HubCommand]:
        """The commands of an interaction that follow from a report."""
        for interaction in self._interactions:
            if changed and interaction.source == role:
                yield from self._passed_on(interaction, report.name, report.value)

    def availability(self, role: str, there: bool, event: Event) -> Iterator[HubCommand]:
        """The commands of an interaction that follow when a device comes or goes."""
        for interaction in self._interactions:
            if interaction.source == role:
                yield from self._passed_on(interaction, AVAILABILITY, there)

    def due(self, now: float) -> Iterator[HubCommand]:
        """Always empty: interactions have no timers."""
        return iter(())

    def next_due(self) -> float | None:
        """Always None: interactions have no timers."""
        return None

    def _passed_on(self, interaction: Interaction, name: str, value: Value) -> Iterator[HubCommand]:
        for effect in interaction.effects_of(name, value):
            order = command_for(interaction.target_profile, effect)
            if order is not None:
                is_action = order.kind is AffordanceKind.ACTION
                yield HubCommand(interaction.name, interaction.target, order.name, order.value, is_action)


def _is_wanted(group: DeviceGroup, interaction: Interaction) -> bool:
    """Whether the interaction is set up; in a scene, only what it pairs is."""
    if group.scene is None:
        return True
    term = split_use(interaction.need.uses)[0]
    return any(
        (pairing.controller, pairing.controls) == (interaction.source, interaction.target)
        and term_path(pairing.term) == term
        for pairing in group.scene.pairings
    )


class AutomationSet:
    """Several automations as one."""

    def __init__(self, *automations: Automation) -> None:
        self._automations = automations

    def watched(self) -> frozenset[tuple[str, str]]:
        """What any of them depends on."""
        return frozenset(each for automation in self._automations for each in automation.watched())

    def heard(self, role: str, report: Report, changed: bool) -> Iterator[HubCommand]:
        """The commands of all of them that follow from a report."""
        for automation in self._automations:
            yield from automation.heard(role, report, changed)

    def availability(self, role: str, there: bool, event: Event) -> Iterator[HubCommand]:
        """The commands of all of them that follow when a device comes or goes."""
        for automation in self._automations:
            yield from automation.availability(role, there, event)

    def due(self, now: float) -> Iterator[HubCommand]:
        """The commands of all of them that follow because time has passed."""
        for automation in self._automations:
            yield from automation.due(now)

    def next_due(self) -> float | None:
        """The earliest time at which one of them is due."""
        return min((due for each in self._automations if (due := each.next_due()) is not None), default=None)


@dataclass(slots=True)
class _RuleState:
    """One automation: whether its states were true at the last look, and when it is due."""

    rule: Rule
    was_true: bool = False
    due: float | None = None


class SceneAutomation:
    """Carries out the automations of a scene."""

    def __init__(self, group: DeviceGroup) -> None:
        assert group.scene is not None, "only for a group with a scene"
        self._group = group
        self._meaning = ConditionEvaluator(group.profiles)
        self._interpreters = {role: Interpreter(role, profile) for role, profile in group.profiles.items()}
        self._state: dict[str, Value] = {}
        self._automations = [
            _RuleState(rule) for rule in group.scene.automations if not self._is_done_by_devices(rule)
        ]

    def watched(self) -> frozenset[tuple[str, str]]:
        """The affordances that automations depend on."""
        found = set()
        for automation in self._automations:
            for condition in automation.rule.when:
                for name in terms_of(condition):
                    role, path = split_term(name)
                    offered = self._interpreters[role].translator.find(path)
                    if offered is not None and offered.affordance:
                        found.add((role, offered.affordance))
        return frozenset(found)

    def heard(self, role: str, report: Report, changed: bool) -> Iterator[HubCommand]:
        """The commands of automations that follow from a report."""
        for state in self._interpreters[role].translate(report):
            yield from self._noticed(state)

    def availability(self, role: str, there: bool, event: Event) -> Iterator[HubCommand]:
        """The commands of automations that follow when a device comes or goes."""
        yield from self._noticed(self._interpreters[role].availability(event, there))

    def due(self, now: float) -> Iterator[HubCommand]:
        """The commands of automations whose states have been true for long enough."""
        for automation in self._automations:
            if automation.due is not None and automation.due <= now + 1e-6:
                automation.due = None
                yield from self._done(automation.rule)

    def next_due(self) -> float | None:
        """When the next automation is due."""
        return min((each.due for each in self._automations if each.due is not None), default=None)

    def _noticed(self, state: StateReport) -> Iterator[HubCommand]:
        if not state.is_event:
            self._state[state.name] = state.value
        for automation in self._automations:
            rule = automation.rule
            events = [condition for condition in rule.when if condition.is_happening]
            is_true = self._meaning.all_hold(rule.when, self._state)
            if events:
                if is_true and all(happened(condition, state) for condition in events):
                    yield from self._begun(automation, state.time)
                continue
            if is_true and not automation.was_true:
                yield from self._begun(automation, state.time)
            elif not is_true:
                automation.due = None
            automation.was_true = is_true

    def _begun(self, automation: _RuleState, time: float) -> Iterator[HubCommand]:
        if automation.rule.for_:
            automation.due = time + automation.rule.for_
        else:
            yield from self._done(automation.rule)

    def _done(self, rule: Rule) -> Iterator[HubCommand]:
        for condition in rule.then:
            command = self._command(rule, condition)
            if command is not None:
                yield command

    def _command(self, rule: Rule, condition: Condition) -> HubCommand | None:
        name = condition.property_ or condition.action or ""
        value = condition.equals if condition.property_ is not None else condition.data
        role, path = split_term(name)
        translator: ProfileTranslator = self._interpreters[role].translator
        present = self._state.get(f"{role}.OnOff.OnOff")
        try:
            order = translator.order(path, value, present)
        except (UnofferedError, UntranslatableError):
            return None  # the casting has checked the rest; this depends on the state
        return HubCommand(rule.id, role, order.name, order.value, order.is_action)

    def _is_done_by_devices(self, rule: Rule) -> bool:
        """Whether the devices reach each other directly for what the automation would do."""
        asking = {split_term(name)[0] for condition in rule.when for name in terms_of(condition)}
        addressed = {
            split_term(name)[0] for condition in conditions_of(rule) for name in terms_of(condition)
        } - asking
        return bool(addressed) and all(
            any(
                interaction.source in asking and interaction.target == role and not interaction.is_passed_on
                for interaction in self._group.interactions
            )
            for role in addressed
        )
