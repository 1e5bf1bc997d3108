"""Whether a device can replace another one: after trade-in, repair, or with new firmware.

Everything that the home may have used of the old device must exist in the new one. Between two versions of
one profile, this includes the device's own names and not only the terms of the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.model.affordance import Property
from harness.model.problems import Path
from harness.model.schema import DataSchema
from harness.model.semantics.mapping import (
    Needed,
    Offered,
)
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.findings import (
    Finding,
    FindingKind,
    PairOutcome,
    Replacement,
    Severity,
    outcome_of,
)
from harness.prediction.replacement.counterpart import (
    counterpart,
    other_way,
    set_otherwise,
)
from harness.prediction.replacement.delivery import (
    Use,
    delivery_losses,
    device_losses,
)
from harness.prediction.replacement.ratings import rating_losses
from harness.prediction.replacement.rules import rule_losses
from harness.prediction.values.containment import (
    ValueAspect,
    ValueGap,
)
from harness.prediction.values.conversion import (
    Side,
    fit,
)

_ORDER = (Severity.BLOCKS, Severity.DEGRADES, Severity.NOTE)
_KINDS = {
    ValueAspect.TYPE: FindingKind.TYPE,
    ValueAspect.RANGE: FindingKind.RANGE,
    ValueAspect.STEP: FindingKind.STEP,
    ValueAspect.VALUES: FindingKind.VALUES,
    ValueAspect.LENGTH: FindingKind.LENGTH,
    ValueAspect.PATTERN: FindingKind.PATTERN,
    ValueAspect.MEMBERS: FindingKind.MEMBERS,
}


def replaces(old: Device, new: Device) -> Replacement:
    """Predict what is lost when ``new`` replaces ``old``."""
    if same_kind(old, new):
        old, new = _by_version(old), _by_version(new)
    findings = [
        conflict.between(old, new, term=term)
        for term, conflict in (*_used(old, new), *_controlled(old, new), *_whole(old, new))
    ]
    if same_kind(old, new):
        findings += [conflict.between(old, new) for conflict in rule_losses(old, new)]
        findings += _release(old, new, findings)
    findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    outcome = outcome_of([finding.severity for finding in findings], related=True)
    return Replacement(old.profile.profile, new.profile.profile, outcome, tuple(findings))


def _by_version(device: Device) -> Device:
    return replace(device, called=f"{device.profile.profile} {device.profile.version}")


def same_kind(old: Device, new: Device) -> bool:
    """Whether these are two versions of one profile."""
    return old.profile.profile == new.profile.profile


@dataclass(frozen=True, slots=True)
class _Pair:
    """Something that the home used of the old device, and its counterpart in the new one."""

    use: Use
    old: Side
    new: Side
    writable: tuple[bool, bool]
    readable: tuple[bool, bool]
    before: Offered | None = None
    after: Offered | None = None


def _used(old: Device, new: Device) -> Iterator[tuple[str, Conflict]]:
    """What is lost of the old device's capabilities, and between versions of its own affordances."""
    named: set[Path] = set()
    for offers in old.offers.values():
        for offered in offers:
            named.add(_section(offered))
            found = counterpart(offered, offers, new)
            if found is not None:
                yield from ((offered.term.path, each) for each in _losses(_pair_of(old, offered, new, found)))
            else:
                yield offered.term.path, other_way(offered, new) or _gone(offered.term.path, offered.key, new)
    if same_kind(old, new):
        for section in ("properties", "actions", "events"):
            for name in getattr(old.profile, section):
                if (section, name) not in named:
                    yield from (("", conflict) for conflict in _own(old, new, section, name))


def _section(offered: Offered) -> Path:
    offer = offered.offer
    section = "properties" if offer.property_ is not None else "actions" if offer.action else "events"
    return section, offered.affordance


def _gone(what: str, key: str, new: Device) -> Conflict:
    cluster = key.split(".")[1]
    return Conflict(
        FindingKind.ABSENT,
        Severity.BLOCKS,
        f"{new.name} has no {what}",
        tuple(key.split(".")),
        ("capabilities", cluster),
        f"offer {what} at {new.name}; its users find nothing",
    )


def _pair_of(old: Device, before: Offered, new: Device, after: Offered) -> _Pair:
    def side(each: Offered) -> Side:
        return Side(each.schema, each.term.schema, each.offer.values, each.offer.data)

    paths = tuple(before.key.split(".")), tuple(after.key.split("."))
    use = Use(old, new, before.term.path, before.affordance, after.affordance, *paths)
    return _Pair(
        use,
        side(before),
        side(after),
        (
            before.writable or before.offer.action is not None,
            after.writable or after.offer.action is not None,
        ),
        (before.readable or before.offer.event is not None, after.readable or after.offer.event is not None),
        before,
        after,
    )


def _own(old: Device, new: Device, section: str, name: str) -> Iterator[Conflict]:
    path: Path = (section, name)
    before, after = getattr(old.profile, section)[name], getattr(new.profile, section).get(name)
    if after is None:
        proposal = f"keep {name}, or release a new major version"
        what = f"{new.name} has no {name}"
        yield Conflict(FindingKind.ABSENT, Severity.BLOCKS, what, path, (section,), proposal)
        return
    pair = _Pair(
        Use(old, new, name, name, name, path, path),
        Side(_schema(before), _schema(before)),
        Side(_schema(after), _schema(before)),
        (_writable(before), _writable(after)),
        (_readable(before), _readable(after)),
    )
    yield from _losses(pair)


def _schema(affordance: object) -> DataSchema | None:
    if isinstance(affordance, Property):
        return affordance
    return getattr(affordance, "input", None) or getattr(affordance, "data", None)


def _writable(affordance: object) -> bool:
    return affordance.writable if isinstance(affordance, Property) else hasattr(affordance, "input")


def _readable(affordance: object) -> bool:
    return not affordance.write_only if isinstance(affordance, Property) else hasattr(affordance, "data")


def _losses(pair: _Pair) -> Iterator[Conflict]:
    use = pair.use
    if pair.before is not None and pair.after is not None and pair.before.label != pair.after.label:
        labels = [each.label or "no label" for each in (pair.before, pair.after)]
        what = (
            f"{use.what} has {labels[1]} instead of {labels[0]}: users of that part have to be reconfigured"
        )
        yield use.conflict(FindingKind.NAMES, Severity.DEGRADES, what)
    if pair.writable[0] and not pair.writable[1] and pair.before and set_otherwise(pair.before, use.new):
        what = f"{use.what} is set by commands of its cluster at {use.new.name}"
        yield use.conflict(FindingKind.NAMES, Severity.DEGRADES, what, "readOnly")
    elif pair.writable[0] and not pair.writable[1]:
        what = f"{use.what} is read-only at {use.new.name}"
        yield use.conflict(FindingKind.READ_ONLY, Severity.BLOCKS, what, "readOnly")
    elif pair.writable[0]:
        yield from _accepts_less(pair)
    if pair.readable[0] and not pair.readable[1]:
        what = f"{use.what} is not reported by {use.new.name}"
        yield use.conflict(FindingKind.WRITE_ONLY, Severity.BLOCKS, what, "writeOnly")
    elif pair.readable[0]:
        yield from _reports_differently(pair)
        yield from _reports_less(pair)
    yield from delivery_losses(use, commands=pair.writable[0], tells=pair.readable[0])


def _accepts_less(pair: _Pair) -> Iterator[Conflict]:
    """Values that the old device accepted and the new one does not."""
    use, found = pair.use, fit(pair.old, pair.new)
    if found.no_conversion is not None:
        what = f"{use.what} is in {found.no_conversion[1]} instead of {found.no_conversion[0]}"
        yield use.conflict(FindingKind.UNIT, Severity.BLOCKS, what, "unit")
    for gap in found.gaps:
        what = f"{use.new.name} accepts fewer values than {use.old.name}: {use.what} {gap.text}"
        yield use.conflict(_kind(gap), _certain(gap, Severity.BLOCKS), what, _key(gap))
    conversion = found.conversion
    if conversion.source_unit != conversion.target_unit:
        what = f"{use.what} is in {conversion.target_unit} instead of {conversion.source_unit}"
        yield use.conflict(FindingKind.CONVERSION, Severity.DEGRADES, what, "unit")


def _reports_differently(pair: _Pair) -> Iterator[Conflict]:
    """Reports of the new device that users of the old one may not understand."""
    use, found = pair.use, fit(pair.new, pair.old)
    if found.no_conversion is not None and not pair.writable[0]:
        what = f"{use.what} is reported in {found.no_conversion[0]} instead of {found.no_conversion[1]}"
        yield use.conflict(FindingKind.UNIT, Severity.BLOCKS, what, "unit")
    for gap in found.gaps:
        # A writable value leaves the old limits only if somebody sets it so.
        mild = gap.aspect is ValueAspect.STEP or pair.writable[0]
        milder = Severity.NOTE if mild else Severity.DEGRADES
        what = f"{use.new.name} reports values that {use.old.name} did not: {use.what} {gap.text}"
        yield use.conflict(_kind(gap), Severity.BLOCKS if gap.total else milder, what, _key(gap))
    conversion = found.conversion
    if conversion.source_unit != conversion.target_unit and not pair.writable[0]:
        what = f"{use.what} is reported in {conversion.source_unit} instead of {conversion.target_unit}"
        yield use.conflict(FindingKind.CONVERSION, Severity.DEGRADES, what, "unit")
    before, after = pair.old.own, pair.new.own
    if not isinstance(before, Property) or not isinstance(after, Property) or before.unit != after.unit:
        return
    if after.tolerance > before.tolerance:
        what = f"{use.what} has a tolerance of {after.tolerance:g} instead of {before.tolerance:g}"
        yield use.conflict(FindingKind.ACCURACY, Severity.DEGRADES, what, "tolerance")


def _reports_less(pair: _Pair) -> Iterator[Conflict]:
    """Values that the old device reported and the new one does not, such as a smaller sensor range."""
    if pair.writable[0]:
        return  # compared as a command already
    use = pair.use
    for gap in fit(pair.old, pair.new).gaps:
        if gap.total:
            continue  # reported by the opposite comparison already
        what = f"{use.new.name} reports fewer values than {use.old.name}: {use.what} {_left(gap)}"
        severity = Severity.NOTE if gap.aspect is ValueAspect.STEP else Severity.DEGRADES
        yield use.conflict(_kind(gap), severity, what, _key(gap))


def _left(gap: ValueGap) -> str:
    """The text of a gap, reworded: the second set is not what is accepted, but what remains."""
    return gap.text.replace("; accepted:", "; remaining:").replace("; known:", "; remaining:")


def _kind(gap: ValueGap) -> FindingKind:
    return _KINDS[gap.aspect] if gap.certain else FindingKind.UNDECIDED


def _certain(gap: ValueGap, severity: Severity) -> Severity:
    return severity if gap.certain else Severity.DEGRADES


def _key(gap: ValueGap) -> str:
    return gap.key or {
        ValueAspect.STEP: "multipleOf",
        ValueAspect.VALUES: "enum",
        ValueAspect.PATTERN: "pattern",
        ValueAspect.TYPE: "type",
    }.get(gap.aspect, "")


def _controlled(old: Device, new: Device) -> Iterator[tuple[str, Conflict]]:
    """What the old device did with others, such as a remote control, and the new one does not."""
    for needed in old.needs:
        same = [each for each in new.needs if each.term.path == needed.term.path]
        found = next((each for each in same if each.need.access is needed.need.access), None)
        if found is None:
            severity = Severity.DEGRADES if needed.need.optional else Severity.BLOCKS
            does = {"command": "commands", "follow": "follows", "read": "reads"}[needed.need.access]
            what = f"{old.name} {does} {needed.term.path} of other devices, {new.name} does not"
            path: Path = ("needs", needed.name)
            proposal = f"a need for {needed.term.path} at {new.name}"
            yield needed.term.path, Conflict(FindingKind.ABSENT, severity, what, path, ("needs",), proposal)
        elif needed.commands:
            yield from ((needed.term.path, conflict) for conflict in _sends_less(needed, found, new))
    before = {each.term.path for each in old.needs}
    for needed in new.needs:
        if needed.term.path not in before and not needed.need.optional:
            what = f"{new.name} needs {needed.term.path} from another device, {old.name} did not"
            proposal = f"a device that offers {needed.term.path}"
            conflict = Conflict(
                FindingKind.NEEDS, Severity.DEGRADES, what, None, ("needs", needed.name), proposal
            )
            yield needed.term.path, conflict


def _sends_less(before: Needed, after: Needed, new: Device) -> Iterator[Conflict]:
    """Values that only the old device can send, if all can be listed."""

    def sent(needed: Needed) -> set[str] | None:
        values: set[str] = set()
        for sending in needed.sendings:
            if sending.cause.sends is not None:
                values.add(str(sending.cause.sends))
                continue
            side = Side(sending.schema, needed.term.schema, needed.need.values, sending.cause.data)
            if side.pairs is None:
                return None
            values |= {str(common) for _, common in side.pairs}
        return values

    old_values, new_values = sent(before), sent(after)
    if old_values is None or new_values is None or old_values <= new_values:
        return
    lost = ", ".join(sorted(old_values - new_values))
    what = f"{new.name} never sends {before.term.path} {lost}"
    paths: tuple[Path, Path] = ("needs", before.name, "by"), ("needs", after.name, "by")
    yield Conflict(FindingKind.VALUES, Severity.BLOCKS, what, *paths, "a key or cause for each of them")


def _whole(old: Device, new: Device) -> Iterator[tuple[str, Conflict]]:
    yield from (("", conflict) for conflict in device_losses(old, new))
    yield from (("", conflict) for conflict in rating_losses(old, new))


def _release(old: Device, new: Device, findings: list[Finding]) -> Iterator[Finding]:
    """A note if an incompatible profile has no new major version (Semantic Versioning)."""
    before, after = _version(old), _version(new)
    if before is None or after is None or before >= after:
        return
    breaks = outcome_of([each.severity for each in findings], related=True) is PairOutcome.BLOCKED
    if breaks and before[0] == after[0] and before[0] > 0:
        what = f"version {new.profile.version} breaks users of {old.profile.version}, but is no major version"
        path: Path = ("version",)
        proposal = f"{after[0] + 1}.0.0"
        yield Conflict(FindingKind.RELEASE, Severity.NOTE, what, path, path, proposal).between(old, new)


def _version(device: Device) -> tuple[int, ...] | None:
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", device.profile.version)
    return None if found is None else tuple(map(int, found.groups()))
