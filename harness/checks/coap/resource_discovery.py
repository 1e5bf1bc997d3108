"""The list of resources at /.well-known/core (RFC 6690), and whether it is true."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    Get,
    ask,
    cancel,
    get_all,
    observe,
)
from harness.checks.support.coap.exchanges import (
    Datagram,
    Exchange,
    exchanges,
    whole_run,
)
from harness.checks.support.coap.resources import (
    LINKS,
    all_paths,
    binding_of,
    formats,
)
from harness.checks.support.coap.transfers import (
    Transfer,
    read_all,
    transfers,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import coap

LINK_FORMAT = 40
ONCE = ("rt", "if", "sz", "obs")
LISTS = ("rt", "if", "ct", "rel", "rev")  # attributes whose value is a list separated by spaces
ACTUATING = ("oic.if.a", "oic.if.rw", "core.a", "core.p")
"""Interfaces of writable resources (OCF core specification; interfaces for constrained resources)."""


@dataclass(frozen=True)
class Listing:
    """The list of links that was read; ``problem`` says why it is unusable, None if it is usable."""

    links: tuple[coap.Link, ...]
    evidence: list[Datagram]
    problem: str | None = None


async def read_links(bench: Bench) -> None:
    """GET the list, block by block if it is large."""
    await read_all(bench, await bench.coap.endpoint(), LINKS)


def listing(case: Case) -> Listing:
    """The first list that was read in this check."""
    found = [each for each in exchanges(case) if each.asked.uri_path == LINKS and not each.asked.uri_query]
    if not found:
        return Listing((), [], "the list of resources was not read")
    whole = transfers(found)[0]
    if whole.problem:
        return Listing((), whole.evidence, whole.problem)
    try:
        return Listing(coap.parse_link_format(whole.body.decode("utf-8")), whole.evidence)
    except UnicodeDecodeError:
        return Listing((), whole.evidence, "the list is not UTF-8")
    except coap.LinkFormatError as problem:
        return Listing((), whole.evidence, f"the list breaks the link format {problem}")


def read_in_trace(bench: Bench, since: int) -> tuple[coap.Link, ...]:
    """The list, for a stimulus that needs it; empty if it cannot be read."""
    case = Case(bench.profile, Subject(), bench.trace, bench.trace[since:])
    return listing(case).links


NO_ATTRIBUTE = "nonexist="


def filters_for(links: Sequence[coap.Link]) -> list[str]:
    """Query filters that select some of these links, or none."""
    found = []
    for name in ("rt", "if"):
        values = [part for link in links for part in (link.attribute(name) or "").split() if plain(part)]
        if values:
            found += [f"{name}={values[0]}", f"{name}={values[0][:-2]}*"]
    targets = [link.target for link in links if is_resource(link) and plain(link.target)]
    if targets:
        found += [f"href={targets[-1]}", f"href={targets[0][:2]}*"]
    return [*found, f"{NO_ATTRIBUTE}*"]


def matches(link: coap.Link, query: str) -> bool:
    """Whether a filter selects a link (RFC 6690, 4.1); a * at the end stands for any text."""
    name, _, wanted = query.partition("=")
    texts = [link.target] if name == "href" else [text or "" for key, text in link.attributes if key == name]
    values = [part for text in texts for part in (text.split() if name in LISTS else [text])]
    if wanted.endswith("*"):
        return any(value.startswith(wanted[:-1]) for value in values)
    return wanted in values


def plain(text: str) -> bool:
    """Whether a text needs no escaping in a query."""
    return bool(re.fullmatch(r"[A-Za-z0-9._~:/-]+", text))


def is_resource(link: coap.Link) -> bool:
    """Whether a link points to a resource of this server other than the list itself."""
    return link.target.startswith("/") and not link.target.startswith("//") and link.target != LINKS


def claimed_formats(link: coap.Link) -> list[int | None]:
    """The Content-Formats that a link declares; None if it declares none."""
    numbers = [int(part) for part in (link.attribute("ct") or "").split() if part.isdecimal()]
    return [*numbers] or [None]


def link_problem(link: coap.Link, each: Exchange) -> str | None:
    """What an exchange shows to be wrong about a link; None if nothing is."""
    if each.response is None:
        return f"{link.target} is listed, but GET returned {each.outcome()}"
    answer, accept = each.response.value, each.asked.uint(coap.OptionNumber.ACCEPT)
    if answer.code == coap.Code.NOT_FOUND:
        return f"{link.target} is listed, but does not exist"
    if answer.code == coap.Code.NOT_ACCEPTABLE and accept is not None:
        return f"{link.target} is listed with ct={accept}, but refuses it"
    # Without Content-Format the list tells the client how to read the payload (RFC 7252, 5.5.1).
    claimed = [None, *(claimed_formats(link) if accept is None else [accept])]
    if (
        answer.code == coap.Code.CONTENT
        and answer.content_format not in claimed
        and claimed_formats(link) != [None]
    ):
        return f"{link.target} is listed with ct={claimed[1]}, but has {answer.content_format}"
    if each.asked.observe == 0 and answer.code == coap.Code.CONTENT and answer.observe is None:
        return f"{link.target} is listed with obs, but does not accept an observation"
    return None


def observed_paths(profile: Profile) -> set[str]:
    """The paths that the profile declares to be observable."""
    binding = binding_of(profile)
    found = {bound.path for bound in binding.properties.values() if bound.observe}
    return found | {bound.path for bound in binding.events.values()}


@requirement(
    "COAP-LINK-01",
    area=Area.COAP,
    standard="RFC 6690",
    clause="2, 4",
    level=Level.MUST,
    purpose="ensure that /.well-known/core exists and is valid link format",
    stimulus="GET /.well-known/core, block by block if it is large",
    expect="2.05 with Content-Format 40; the document follows the grammar",
    ics="COAP.LINK",
    needs=(BenchFeature.COAP,),
    usual_cause="The list is assembled by hand, with spaces or line breaks between the links, or the "
    "Content-Format is that of plain text.",
    phase=Phase.WATCH,
)
class LinkFormat(Check):
    """Clients that look for resources must be able to read the list."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await read_links(bench)

    def judge(self, case: Case) -> Outcome:
        found = listing(case)
        if found.problem:
            return failed(found.problem, found.evidence)
        actual = found.evidence[1].value.content_format
        if actual != LINK_FORMAT:
            shown = "no Content-Format" if actual is None else f"Content-Format {actual}"
            return failed(f"the list has {shown}, not 40", found.evidence)
        return passed(f"{len(found.links)} links in link format", found.evidence)


@requirement(
    "COAP-LINK-02",
    area=Area.COAP,
    standard="RFC 6690",
    clause="4.1",
    level=Level.MUST,
    purpose="ensure that query filters work, or are ignored",
    stimulus="GET the list with ?rt=, ?if= and ?href= of listed links, with a * at the end, and with "
    "an attribute that no link has",
    expect="For each attribute, the matching links each time or the full list each time",
    ics="COAP.LINK",
    needs=(BenchFeature.COAP,),
    usual_cause="Filters are compared literally, so that * matches nothing, or an attribute with "
    "several values is compared as a whole.",
    phase=Phase.WATCH,
)
class LinkFilters(Check):
    """A filter that is applied must be applied correctly."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        since = bench.mark()
        await read_links(bench)
        endpoint = await bench.coap.endpoint()
        for query in filters_for(read_in_trace(bench, since)):
            await read_all(bench, endpoint, f"{LINKS}?{query}", what=f"GET with ?{query}")

    def judge(self, case: Case) -> Outcome:
        full = listing(case)
        if full.problem:
            return inconclusive(full.problem, full.evidence)
        queried = transfers([each for each in exchanges(case) if each.asked.uri_query])
        if not queried:
            return inconclusive("no filter was tried", full.evidence)
        everything = sorted(link.target for link in full.links)
        applied: list[Transfer] = []
        ignored: list[Transfer] = []
        for each in queried:
            query = each.exchanges[0].asked.uri_query
            wanted = sorted(link.target for link in full.links if matches(link, query))
            if not wanted and each.exchanges[0].answered(coap.Code.NOT_FOUND):
                continue  # a legal answer if nothing matches
            if each.problem:
                return failed(f"?{query}: {each.problem}", each.evidence)
            try:
                actual = sorted(link.target for link in coap.parse_link_format(each.body.decode("utf-8")))
            except (UnicodeDecodeError, coap.LinkFormatError) as problem:
                return failed(f"the answer to ?{query} breaks the link format: {problem}", each.evidence)
            if actual not in (wanted, everything):
                shown = ", ".join(actual) or "nothing"
                return failed(f"?{query} returned {shown}", full.evidence[:1], each.evidence)
            if wanted != everything and not query.startswith(NO_ATTRIBUTE):
                (applied if actual == wanted else ignored).append(each)
        for each in ignored:
            if half := next((other for other in applied if _filter_name(other) == _filter_name(each)), None):
                message = f"?{_query(each)} is ignored although ?{_query(half)} is applied"
                return failed(message, each.evidence, half.evidence)
        evidence = [seen for each in queried for seen in each.evidence]
        if not applied:
            return passed(f"{len(queried)} filters are ignored", evidence)
        # A server may know some attributes only: the whole list is the answer to an unknown filter (4.1).
        unknown = ", ".join(dict.fromkeys(map(_filter_name, ignored)))
        how = f"applied, except those for {unknown}, which are ignored" if unknown else "applied"
        return passed(f"{len(queried)} filters are {how}", evidence)


def _query(transfer: Transfer) -> str:
    return transfer.exchanges[0].asked.uri_query


def _filter_name(transfer: Transfer) -> str:
    return _query(transfer).partition("=")[0]


@requirement(
    "COAP-LINK-04",
    area=Area.COAP,
    standard="RFC 6690 + RFC 7252",
    clause="6690: 2, 4; 7252: 7.2.1",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that each listed link exists, and that its ct and obs are true",
    stimulus="GET every listed resource in each listed Content-Format; observe each that is listed as "
    "observable",
    expect="No 4.04; the listed Content-Formats are served; the observations are accepted",
    ics="COAP.LINK",
    needs=(BenchFeature.COAP,),
    usual_cause="The list is a constant text that was not updated with the resources.",
)
class TrueLinks(Check):
    """A listed resource exists and behaves as listed."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        since = bench.mark()
        await read_links(bench)
        links = [link for link in read_in_trace(bench, since) if is_resource(link)]
        gets: list[Get] = []
        for link in links:
            gets += [
                (link.target, {"accept": number} if number is not None else {})
                for number in claimed_formats(link)
            ]
        await get_all(bench, gets)
        for link in links:
            if link.has("obs"):
                await cancel(bench, await observe(bench, link.target))

    def judge(self, case: Case) -> Outcome:
        full = listing(case)
        if full.problem:
            return inconclusive(full.problem, full.evidence)
        shown: list[Datagram] = []
        slow = {resource.path for resource in binding_of(case.profile).resources if resource.takes}
        for link in filter(is_resource, full.links):
            # A slow resource is not read again in each check.
            asked = exchanges(whole_run(case) if link.target in slow else case)
            for each in [each for each in asked if each.asked.uri_path == link.target]:
                if problem := link_problem(link, each):
                    return failed(problem, full.evidence[:2], *each.evidence)
                shown += each.evidence
        if not shown:
            return inconclusive("the list has no resource that could be read", full.evidence)
        return passed(f"{len(full.links)} links are true", full.evidence, shown)


@requirement(
    "COAP-LINK-05",
    area=Area.COAP,
    standard="RFC 7641 + RFC 6690",
    clause="7641: 6; 6690: 3.1, 3.2, 3.3",
    level=Level.MUST,
    purpose="ensure that obs has no value, and that obs, rt, if and sz occur at most once in a link",
    stimulus="GET /.well-known/core",
    expect="No link has obs with a value, or one of these attributes twice",
    ics="COAP.LINK",
    needs=(BenchFeature.COAP,),
    usual_cause="All attributes are written as name=value, or several resource types as several rt.",
    phase=Phase.WATCH,
)
class LinkAttributes(Check):
    """The attributes follow their definitions."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await read_links(bench)

    def judge(self, case: Case) -> Outcome:
        full = listing(case)
        if full.problem:
            return inconclusive(full.problem, full.evidence)
        for link in full.links:
            names = [name for name, _ in link.attributes]
            twice = next((name for name in ONCE if names.count(name) > 1), None)
            if twice:
                return failed(
                    f"the link to {link.target} has {twice} {names.count(twice)} times", full.evidence
                )
            if link.attribute("obs") is not None:
                return failed(f"the link to {link.target} has obs with a value", full.evidence)
        return passed(f"the attributes of {len(full.links)} links follow the rules", full.evidence)


@requirement(
    "PROFILE-20",
    area=Area.COAP,
    standard="profile",
    clause="bindings.coap",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that /.well-known/core agrees with the profile",
    stimulus="GET the list; GET listed resources that are not in the profile",
    expect="Every resource of the profile is listed, with obs exactly if it is observable and, if there "
    "is a ct, with its format; no other resource can be operated",
    ics="COAP.LINK",
    needs=(BenchFeature.COAP,),
    usual_cause="The list is a constant text; or a resource for factory tests was left in.",
    phase=Phase.WATCH,
)
class ListedAsDeclared(Check):
    """No resource is missing from the list, and no undeclared resource can be operated."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        since = bench.mark()
        await read_links(bench)
        endpoint, declared = await bench.coap.endpoint(), all_paths(bench.profile)
        for link in read_in_trace(bench, since):
            if is_resource(link) and link.target not in declared:
                await ask(bench, endpoint, coap.Code.GET, link.target)

    def judge(self, case: Case) -> Outcome:
        full = listing(case)
        if full.problem:
            return inconclusive(full.problem, full.evidence)
        listed = {link.target: link for link in full.links}
        observed, declared = observed_paths(case.profile), formats(case.profile)
        # A profile cannot declare whether a fixed resource is observable.
        silent = {resource.path for resource in binding_of(case.profile).resources}
        for path in sorted(all_paths(case.profile)):
            link = listed.get(path)
            if link is None:
                return failed(f"{path} is not listed", full.evidence)
            if link.has("obs") != (path in observed) and path not in silent:
                claim = "is listed as observable" if link.has("obs") else "is listed without obs"
                return failed(f"{path} {claim}, but the profile declares otherwise", full.evidence)
            numbers = [number for number in claimed_formats(link) if number is not None]
            if path in declared and numbers and declared[path].number not in numbers:
                found = link.attribute("ct")
                return failed(f"{path} is listed with ct={found}, not {declared[path].number}", full.evidence)
        for each in exchanges(case):
            link = listed.get(each.asked.uri_path)
            if link is None or link.target in all_paths(case.profile):
                continue
            interfaces = (link.attribute("if") or "").split()
            if each.answered(coap.Code.METHOD_NOT_ALLOWED) or set(interfaces) & set(ACTUATING):
                return failed(f"{link.target} can be operated, but is not in the profile", *each.evidence)
        return passed(f"{len(listed)} links, as the profile declares them", full.evidence)
