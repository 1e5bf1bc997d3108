"""Whether a device can take the place of another one: by trade-in, repair, another maker, or a new firmware.

Everything that the home may have used of the old one has to be there in the new one. Between two versions of
one profile that is more than the vocabulary names: its own names count too.
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
    Outcome,
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
    habit_losses,
)
from harness.prediction.replacement.ratings import rating_losses
from harness.prediction.replacement.rules import rule_losses
from harness.prediction.values.containment import (
    Aspect,
    Gap,
)
from harness.prediction.values.conversion import (
    Side,
    fit,
)

_ORDER = (Severity.BLOCKS, Severity.DEGRADES, Severity.NOTE)
_KINDS = {
    Aspect.TYPE: FindingKind.TYPE,
    Aspect.RANGE: FindingKind.RANGE,
    Aspect.STEP: FindingKind.STEP,
    Aspect.VALUES: FindingKind.VALUES,
    Aspect.LENGTH: FindingKind.LENGTH,
    Aspect.PATTERN: FindingKind.PATTERN,
    Aspect.MEMBERS: FindingKind.MEMBERS,
}


def replaces(old: Device, new: Device) -> Replacement:
    """What is lost when ``new`` takes the place of ``old``."""
    if same_kind(old, new):
        old, new = _by_version(old), _by_version(new)
    findings = [
        clash.between(old, new, term=term)
        for term, clash in (*_used(old, new), *_controlled(old, new), *_whole(old, new))
    ]
    if same_kind(old, new):
        findings += [clash.between(old, new) for clash in rule_losses(old, new)]
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
    """Something that the home used of the old device, and what there is of it in the new one."""

    use: Use
    old: Side
    new: Side
    writable: tuple[bool, bool]
    readable: tuple[bool, bool]
    before: Offered | None = None
    after: Offered | None = None


def _used(old: Device, new: Device) -> Iterator[tuple[str, Conflict]]:
    """What is lost of the old one's capabilities, and of its own affordances where those count."""
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
                    yield from (("", clash) for clash in _own(old, new, section, name))


def _section(offered: Offered) -> Path:
    offer = offered.offer
    section = "properties" if offer.property_ is not None else "actions" if offer.action else "events"
    return section, offered.affordance


def _gone(what: str, key: str, new: Device) -> Conflict:
    cluster = key.split(".")[1]
    return Conflict(
        FindingKind.ABSENT,
        Severity.BLOCKS,
        f"{what} is not there in {new.name}",
        tuple(key.split(".")),
        ("capabilities", cluster),
        f"offer {what} at {new.name}; who used it finds nothing",
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
        proposal = f"keep {name}, or tell its users with a new major version"
        what = f"{name} is not there in {new.name}"
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
        what = f"{use.what} has {labels[1]} instead of {labels[0]}: who asks for that part has to be told"
        yield use.clash(FindingKind.NAMES, Severity.DEGRADES, what)
    if pair.writable[0] and not pair.writable[1] and pair.before and set_otherwise(pair.before, use.new):
        what = f"{use.what} is set by commands of its cluster at {use.new.name}"
        yield use.clash(FindingKind.NAMES, Severity.DEGRADES, what, "readOnly")
    elif pair.writable[0] and not pair.writable[1]:
        what = f"{use.what} could be set, at {use.new.name} it cannot"
        yield use.clash(FindingKind.READ_ONLY, Severity.BLOCKS, what, "readOnly")
    elif pair.writable[0]:
        yield from _obeys_less(pair)
    if pair.readable[0] and not pair.readable[1]:
        what = f"{use.what} was told, {use.new.name} does not tell it"
        yield use.clash(FindingKind.WRITE_ONLY, Severity.BLOCKS, what, "writeOnly")
    elif pair.readable[0]:
        yield from _tells_otherwise(pair)
        yield from _tells_less(pair)
    yield from delivery_losses(use, commands=pair.writable[0], tells=pair.readable[0])


def _obeys_less(pair: _Pair) -> Iterator[Conflict]:
    """Everything that the old one obeyed, the new one has to obey."""
    use, found = pair.use, fit(pair.old, pair.new)
    if found.no_conversion is not None:
        what = f"{use.what} is in {found.no_conversion[1]} instead of {found.no_conversion[0]}"
        yield use.clash(FindingKind.UNIT, Severity.BLOCKS, what, "unit")
    for gap in found.gaps:
        what = f"{use.old.name} obeys what {use.new.name} does not: {use.what} {gap.text}"
        yield use.clash(_kind(gap), _certain(gap, Severity.BLOCKS), what, _key(gap))
    conversion = found.conversion
    if conversion.source_unit != conversion.target_unit:
        what = f"{use.what} is in {conversion.target_unit} instead of {conversion.source_unit}"
        yield use.clash(FindingKind.CONVERSION, Severity.DEGRADES, what, "unit")


def _tells_otherwise(pair: _Pair) -> Iterator[Conflict]:
    """What the new one tells, those have to understand who listened to the old one."""
    use, found = pair.use, fit(pair.new, pair.old)
    if found.no_conversion is not None and not pair.writable[0]:
        what = f"{use.what} is told in {found.no_conversion[0]} instead of {found.no_conversion[1]}"
        yield use.clash(FindingKind.UNIT, Severity.BLOCKS, what, "unit")
    for gap in found.gaps:
        # What can be set is told beyond the old limits only when somebody sets it so.
        mild = gap.aspect is Aspect.STEP or pair.writable[0]
        milder = Severity.NOTE if mild else Severity.DEGRADES
        what = f"{use.new.name} tells what {use.old.name} did not: {use.what} {gap.text}"
        yield use.clash(_kind(gap), Severity.BLOCKS if gap.total else milder, what, _key(gap))
    conversion = found.conversion
    if conversion.source_unit != conversion.target_unit and not pair.writable[0]:
        what = f"{use.what} is told in {conversion.source_unit} instead of {conversion.target_unit}"
        yield use.clash(FindingKind.CONVERSION, Severity.DEGRADES, what, "unit")
    before, after = pair.old.own, pair.new.own
    if not isinstance(before, Property) or not isinstance(after, Property) or before.unit != after.unit:
        return
    if after.tolerance > before.tolerance:
        what = f"{use.what} is told to within {after.tolerance:g}, it was {before.tolerance:g}"
        yield use.clash(FindingKind.ACCURACY, Severity.DEGRADES, what, "tolerance")


def _tells_less(pair: _Pair) -> Iterator[Conflict]:
    """What was told once and is not any more: a sensor that sees less, an event that is not told."""
    if pair.writable[0]:
        return  # which has been looked at with what it obeys
    use = pair.use
    for gap in fit(pair.old, pair.new).gaps:
        if gap.total:
            continue  # told the other way round already
        what = f"{use.new.name} does not tell all that {use.old.name} did: {use.what} {_left(gap)}"
        severity = Severity.NOTE if gap.aspect is Aspect.STEP else Severity.DEGRADES
        yield use.clash(_kind(gap), severity, what, _key(gap))


def _left(gap: Gap) -> str:
    """The text of a gap where nobody accepts anything, but less is told than before."""
    return gap.text.replace("accepted", "left").replace("known", "left")


def _kind(gap: Gap) -> FindingKind:
    return _KINDS[gap.aspect] if gap.certain else FindingKind.UNDECIDED


def _certain(gap: Gap, severity: Severity) -> Severity:
    return severity if gap.certain else Severity.DEGRADES


def _key(gap: Gap) -> str:
    return gap.key or {
        Aspect.STEP: "multipleOf",
        Aspect.VALUES: "enum",
        Aspect.PATTERN: "pattern",
        Aspect.TYPE: "type",
    }.get(gap.aspect, "")


def _controlled(old: Device, new: Device) -> Iterator[tuple[str, Conflict]]:
    """What the old one did with others, as a remote control does, the new one has to do as well."""
    for needed in old.needs:
        same = [each for each in new.needs if each.term.path == needed.term.path]
        found = next((each for each in same if each.need.access is needed.need.access), None)
        if found is None:
            severity = Severity.DEGRADES if needed.need.optional else Severity.BLOCKS
            does = {"command": "commands", "follow": "follows", "read": "reads"}[needed.need.access]
            what = f"{old.name} {does} {needed.term.path} of others, {new.name} does not"
            path: Path = ("needs", needed.name)
            proposal = f"a need for {needed.term.path} at {new.name}"
            yield needed.term.path, Conflict(FindingKind.ABSENT, severity, what, path, ("needs",), proposal)
        elif needed.commands:
            yield from ((needed.term.path, clash) for clash in _sends_less(needed, found, new))
    before = {each.term.path for each in old.needs}
    for needed in new.needs:
        if needed.term.path not in before and not needed.need.optional:
            what = f"{new.name} needs {needed.term.path} of another device, {old.name} did not"
            proposal = f"a device that offers {needed.term.path}"
            clash = Conflict(
                FindingKind.NEEDS, Severity.DEGRADES, what, None, ("needs", needed.name), proposal
            )
            yield needed.term.path, clash


def _sends_less(before: Needed, after: Needed, new: Device) -> Iterator[Conflict]:
    """Values that only the old one can send, where all can be listed."""

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
    yield from (("", clash) for clash in habit_losses(old, new))
    yield from (("", clash) for clash in rating_losses(old, new))


def _release(old: Device, new: Device, findings: list[Finding]) -> Iterator[Finding]:
    """Whether the version number of a profile says what its users have to expect (Semantic Versioning)."""
    before, after = _version(old), _version(new)
    if before is None or after is None or before >= after:
        return
    breaks = outcome_of([each.severity for each in findings], related=True) is Outcome.BLOCKED
    if breaks and before[0] == after[0] and before[0] > 0:
        what = (
            f"version {new.profile.version} breaks users of {old.profile.version}, its number does not say so"
        )
        path: Path = ("version",)
        proposal = f"{after[0] + 1}.0.0"
        yield Conflict(FindingKind.RELEASE, Severity.NOTE, what, path, path, proposal).between(old, new)


def _version(device: Device) -> tuple[int, ...] | None:
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", device.profile.version)
    return None if found is None else tuple(map(int, found.groups()))
