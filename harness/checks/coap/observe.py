"""Observing resources: registration, notification, deregistration (RFC 7641)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AsyncExitStack

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, not_applicable, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.coap.client import (
    Lever,
    cancel,
    fence,
    find_levers,
    observe,
    observing,
    present_and_other,
)
from harness.checks.support.coap.exchanges import (
    Datagram,
    exchanges,
    unrelated,
)
from harness.checks.support.coap.registrations import (
    admitted,
    after,
    lever_for,
    moves,
    registrations,
)
from harness.checks.support.coap.resources import (
    binding_of,
    levers,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import coap

FORMATS = (0, 50, 60)  # text, JSON, CBOR


@requirement(
    "COAP-OBS-01",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.1, 4.2",
    level=Level.MUST,
    purpose="ensure that a registration returns the current state, and that later changes are notified",
    stimulus="GET with Observe 0; change the property by PUT, or what its sensor sees, and back again",
    expect="2.05 with an Observe option; a notification with each new state, within the declared time",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="Only changes that came over CoAP are notified, not those at the panel or over another "
    "protocol; or the state is compared before it is updated.",
)
class Notification(Check):
    """Per observed property that can be moved from outside."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return [Subject(each.name) for each in levers(profile)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = lever_for(bench.profile, subject.name)
        if setting.schema.read_only and not bench.offers(BenchFeature.LOCAL):
            return
        lever = Lever(setting, await present_and_other(bench, setting))
        async with observing(bench, setting.path) as observation:
            for to in (1, 0):
                await lever.show(bench, to, observation)
                await bench.read(setting.name, transport="coap")

    def judge(self, case: Case) -> Outcome:
        setting = lever_for(case.profile, case.subject.name)
        if setting.schema.read_only and not case.offers(BenchFeature.LOCAL):
            return not_applicable("nothing here can make the sensor see something else")
        registration = registrations(case)[0]
        if not admitted(registration):
            return failed(
                f"{setting.path} was not observed: {registration.outcome()} without Observe",
                *registration.evidence,
            )
        shown: list[Datagram] = []
        for move in moves(case, setting.name):
            wanted = json.loads(move.value.value or "null")
            told = [
                seen
                for seen in after(registration.notifications, move.line)
                if setting.schema.agrees(setting.told(seen.value), wanted)
            ]
            if told:
                shown.append(told[0])
                continue
            states = [report for report in case.reports(setting.name, "coap") if report.asked]
            now = next((state for state in states if state.event.line > move.line), None)
            if now is None or not setting.schema.agrees(now.value, wanted):
                return inconclusive(
                    f"{setting.name} did not become {wanted!r}", move, *([now] if now else [])
                )
            return failed(
                f"{setting.name} became {wanted!r}, and the observer was not notified",
                registration.sent[0],
                move,
                now,
            )
        if len(shown) < 2:
            return inconclusive(f"{setting.name} was not changed", *registration.evidence)
        return passed(
            f"{len(shown)} changes of {setting.name} were notified",
            *registration.evidence[:2],
            moves(case),
            shown,
        )


@requirement(
    "COAP-OBS-03",
    area=Area.COAP,
    standard="RFC 7641",
    clause="3.6, 4.1",
    level=Level.MUST,
    purpose="ensure that GET with Observe 1 ends the observation",
    stimulus="Observe; deregister with the same token; change the state, which another observer sees",
    expect="2.05 without Observe; no more notifications",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="Observe is only tested for being there, so that a deregistration registers again.",
)
class Deregistration(Check):
    """Who has had enough is left alone."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        path = lever.setting.path
        # The other observer comes when this one is gone, so that a single free place is enough.
        leaver = await observe(bench, path)
        await lever.show(bench, 1, leaver)
        await cancel(bench, leaver)
        async with observing(bench, path) as witness:
            for to in (0, 1, 0):
                await lever.show(bench, to, witness)
                await fence(bench, leaver.endpoint)

    def judge(self, case: Case) -> Outcome:
        ending = next(each for each in exchanges(case) if each.asked.observe == 1)
        found = registrations(case)
        leaver = next(each for each in found if each.local == ending.local)
        witness = next(each for each in found if each is not leaver)
        if not admitted(leaver) or not leaver.notifications:
            return inconclusive("there was no observation to end", *leaver.evidence)
        if ending.response is None or not ending.answered(coap.Code.CONTENT):
            return failed(f"the deregistration was answered by {ending.outcome()}", *ending.evidence)
        if ending.response.value.observe is not None:
            return failed("the answer to the deregistration has an Observe option", *ending.evidence)
        if ending.notifications:
            return failed(
                "a notification came after the deregistration", *ending.evidence[:2], ending.notifications[0]
            )
        seen = after(witness.notifications, ending.response.line)
        if not seen:
            return inconclusive("no change was notified to the other observer either", *witness.evidence)
        return passed(
            f"{len(seen)} later changes were told to the other observer alone", *ending.evidence, seen
        )


@requirement(
    "COAP-OBS-04",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.2",
    level=Level.MUST,
    purpose="ensure that every notification has the token of its registration",
    stimulus="Two observers of one resource, with tokens of 0 and of 8 bytes; change the state",
    expect="Each gets notifications with its own token, unchanged",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="The token is stored per resource in place of per observer, or in fewer bytes than it may "
    "have.",
)
class NotificationToken(Check):
    """The token is how a client knows what it is told about."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        path = lever.setting.path
        async with (
            observing(bench, path, token=b"") as first,
            observing(bench, path, token=bench.coap.next_token(8)) as second,
        ):
            for to in (1, 0):
                await lever.show(bench, to, first, second)

    def judge(self, case: Case) -> Outcome:
        found = registrations(case)
        for each in found:
            mine = [other for other in exchanges(case) if other.local == each.local]
            stray = [seen for seen in unrelated(case, mine, each.local) if seen.value.is_response]
            if stray:
                told, own = stray[0].value.token.hex() or "(empty)", each.asked.token.hex() or "(empty)"
                return failed(f"a notification has the token {told}, not {own}", each.sent[0], stray[0])
        if any(not each.notifications for each in found):
            return inconclusive("an observer was not notified", *(each.sent[0] for each in found))
        return passed(
            "tokens of 0 and 8 bytes came back in notifications",
            [seen for each in found for seen in (each.sent[0], each.notifications[0])],
        )


@requirement(
    "COAP-OBS-14",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.2",
    level=Level.MUST,
    purpose="ensure that notifications stay in the Content-Format of the first response",
    stimulus="Three observers of one resource, which accept text, JSON and CBOR; change the state",
    expect="Each stream stays in its format; what cannot be served is refused with 4.06",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="Notifications are built by other code than responses, which leaves the option out or knows "
    "one format only.",
)
class NotificationFormat(Check):
    """A client that was told in one format can read no other."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(observing(bench, lever.setting.path, accept=number))
                for number in FORMATS
            ]
            accepted = [each for each in clients if each.response and each.response.observe is not None]
            for to in (1, 0):
                await lever.show(bench, to, *accepted[:1])
                for client in accepted:
                    await fence(bench, client.endpoint)

    def judge(self, case: Case) -> Outcome:
        shown: list[Datagram] = []
        for each in registrations(case):
            if not admitted(each) or each.response is None:
                continue
            first = each.response.value.content_format
            for seen in each.notifications:
                if seen.value.code == coap.Code.CONTENT and seen.value.content_format != first:
                    told = seen.value.content_format
                    message = f"a notification has Content-Format {told}, the first response {first}"
                    return failed(message, *each.evidence[:2], seen)
                shown.append(seen)
        if not shown:
            return inconclusive("nothing was notified", *(each.sent[0] for each in registrations(case)))
        return passed(f"{len(shown)} notifications stayed in their formats", shown)


@requirement(
    "PROFILE-24",
    area=Area.COAP,
    standard="profile",
    clause="bindings.coap.confirmable_notifications",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that notifications are confirmable, or not, as declared",
    stimulus="Observe; change the state, and back",
    expect="CON notifications where they are declared to be confirmable; otherwise NON ones, among which CON "
    "may be",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="A build option was turned to save traffic, and the data sheet not changed.",
)
class NotificationType(Check):
    """Whether a lost notification comes again is part of what the maker promises."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        async with observing(bench, lever.setting.path) as client:
            for to in (1, 0):
                await lever.show(bench, to, client)

    def judge(self, case: Case) -> Outcome:
        confirmable = binding_of(case.profile).confirmable_notifications
        told = registrations(case)[0].notifications
        if not told:
            return inconclusive("nothing was notified", registrations(case)[0].sent[0])
        types = {seen.value.type for seen in told}
        if confirmable and types != {coap.Type.CON}:
            wrong = next(seen for seen in told if seen.value.type is not coap.Type.CON)
            return failed("a notification is not confirmable", wrong)
        if not confirmable and coap.Type.NON not in types:
            return failed("all notifications are confirmable", told)
        return passed(f"{len(told)} notifications of the declared type", told)
