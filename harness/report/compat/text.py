"""Predictions on a terminal: each need, each finding with its places, and the conclusion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from harness.prediction.findings import (
    Finding,
    PairLink,
    PairOutcome,
    Prediction,
    Replacement,
    Severity,
    Via,
)
from harness.prediction.pair import Pair
from harness.report.text import one_line, plural

OUTCOME_STYLES = {
    PairOutcome.WORKS: "green",
    PairOutcome.DEGRADED: "yellow",
    PairOutcome.BLOCKED: "bold red",
    PairOutcome.UNRELATED: "dim",
}
SEVERITY_STYLES = {Severity.BLOCKS: "bold red", Severity.DEGRADES: "yellow", Severity.NOTE: "cyan"}
SIGNS = {Severity.BLOCKS: "✗", Severity.DEGRADES: "!", Severity.NOTE: "·"}

_VIA = {
    Via.DIRECT: "values unchanged",
    Via.TRANSLATED: "values converted",
    Via.BRIDGE: "over a bridge",
}


def print_pair(console: Console, pair: Pair) -> None:
    """Print both directions of a pair."""
    for prediction in pair.directions:
        for line in _prediction(prediction):
            console.print(line, soft_wrap=True)
    style = OUTCOME_STYLES[pair.outcome]
    console.print(Text(f"{pair.first} and {pair.second}: {conclusion(pair)}", style=style), soft_wrap=True)


def conclusion(pair: Pair) -> str:
    """A pair in one line."""
    if pair.outcome is PairOutcome.UNRELATED:
        return "unrelated (neither device needs what the other one offers)"
    findings = [finding for each in pair.directions for finding in each.findings]
    return f"{pair.outcome} ({counted(findings)})"


def counted(findings: Sequence[Finding]) -> str:
    """Such as ``1 finding blocks, 2 degrade``."""
    number = {each: sum(finding.severity is each for finding in findings) for each in Severity}
    parts = []
    if count := number[Severity.BLOCKS]:
        parts.append(f"{plural(count, 'finding')} {'blocks' if count == 1 else 'block'}")
    if count := number[Severity.DEGRADES]:
        parts.append(f"{plural(count, 'finding')} {'degrades' if count == 1 else 'degrade'}")
    if count := number[Severity.NOTE]:
        parts.append(plural(count, "note"))
    return ", ".join(parts) or "no findings"


def _prediction(prediction: Prediction) -> Iterator[Text]:
    title = Text(f"{prediction.needer} uses {prediction.offerer}: ")
    title.append(prediction.outcome.value, style=OUTCOME_STYLES[prediction.outcome])
    yield title
    for need in prediction.needs:
        optional = " (optional)" if need.optional else ""
        text = Text(f"  {need.need}: {need.term}{optional}: ")
        yield text.append(need.outcome.value, style=OUTCOME_STYLES[need.outcome])
        links = [link for link in prediction.links if link.need == need.need]
        yield from map(_link, links)
    if prediction.plugs is not None:
        text = Text("  plugged in: ")
        yield text.append(prediction.plugs.value, style=OUTCOME_STYLES[prediction.plugs])
    for finding in prediction.findings:
        yield from finding_lines(finding)
    yield Text()


def _link(link: PairLink) -> Text:
    source = link.source.name
    if link.when is not None:
        source += f" {_value(link.when)}"
    target = link.target.name or "internal state"
    if link.conversion.constant is not None:
        target += f" {_value(link.conversion.constant)}"
    how = f"{link.source.transport}, {_VIA[link.via]}"
    if link.via is Via.BRIDGE:
        how = f"{link.source.transport} to {link.target.transport}, {_VIA[link.via]}"
    ends = f"    {link.source.device} {source} → {link.target.device} {target}"
    return Text(one_line(f"{ends}  ({how}, within {link.within:g} s)"), style="dim")


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def finding_lines(finding: Finding) -> Iterator[Text]:
    """A finding: its text, its place in both profiles, and a proposal."""
    text = Text(f"  {SIGNS[finding.severity]} ")
    text.append(f"{finding.severity} ({finding.kind})", style=SEVERITY_STYLES[finding.severity])
    yield text.append(one_line(f": {finding.what}"))
    places = dict.fromkeys(str(place) for place in (finding.left, finding.right) if place is not None)
    yield from (Text(f"      {one_line(place)}", style="dim") for place in places)
    yield Text(one_line(f"      → {finding.proposal}"), style="dim")


def print_replacement(console: Console, found: Replacement, *, versions: str) -> None:
    """Print what is lost when one device replaces another."""
    for finding in found.findings:
        for line in finding_lines(finding):
            console.print(line, soft_wrap=True)
    text = f"{versions}: {replacement_conclusion(found)}"
    console.print(Text(text, style=OUTCOME_STYLES[found.outcome]), soft_wrap=True)


def replacement_conclusion(found: Replacement) -> str:
    """A replacement in one line."""
    words = {
        PairOutcome.WORKS: "compatible",
        PairOutcome.DEGRADED: "compatible with losses",
        PairOutcome.BLOCKED: "incompatible",
        PairOutcome.UNRELATED: "unrelated",
    }
    return f"{words[found.outcome]} ({counted(found.findings)})"
