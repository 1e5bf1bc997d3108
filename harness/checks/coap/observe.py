"""Observing resources: registration, notification, deregistration (RFC 7641)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AsyncExitStack

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, not_applicable, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.coap.client import (
    PROBE,
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
    purpose="ensure that the device answers a registration with the current state and notifies later changes",
    stimulus="GET with Observe 0; change the property by PUT or at its sensor, and back again",
    expect="2.05 with an Observe option; a notification of each new state within the declared time",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="Only changes made over CoAP are notified, not those at the control panel or over another "
    "protocol; or the state is compared before it is updated.",
)
class Notification(Check):
    """One subject per observed property that can be changed from outside."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return [Subject(each.name) for each in levers(profile)]

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = lever_for(bench.profile, subject.name)
        if setting.schema.read_only and not bench.offers(BenchFeature.LOCAL):
            return
        lever = Lever(setting, await present_and_other(bench, setting))
        async with observing(bench, setting.path) as observation:
            for to in (1, 0):
                await lever.change(bench, to, observation)
                await bench.read(setting.name, transport="coap")

    def judge(self, case: Case) -> Outcome:
        setting = lever_for(case.profile, case.subject.name)
        if setting.schema.read_only and not case.offers(BenchFeature.LOCAL):
            return not_applicable("no local control can change what the sensor measures")
        registration = registrations(case)[0]
        if not admitted(registration):
            return failed(
                f"{setting.path} cannot be observed: {registration.outcome()} without Observe",
                *registration.evidence,
            )
        shown: list[Datagram] = []
        for move in moves(case, setting.name):
            wanted = json.loads(move.value.value or "null")
            reported = [
                seen
                for seen in after(registration.notifications, move.line)
                if setting.schema.agrees(setting.decode(seen.value), wanted)
            ]
            if reported:
                shown.append(reported[0])
                continue
            states = [report for report in case.reports(setting.name, "coap") if report.asked]
            now = next((state for state in states if state.event.line > move.line), None)
            if now is None or not setting.schema.agrees(now.value, wanted):
                return inconclusive(
                    f"{setting.name} did not become {wanted!r}", move, *([now] if now else [])
                )
            return failed(
                f"{setting.name} became {wanted!r}, but the observer was not notified",
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
    stimulus="Observe; deregister with the same token; change the state, with a second observer as a witness",
    expect="2.05 without Observe; no more notifications",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="Only the presence of Observe is checked, so that a deregistration registers again.",
)
class Deregistration(Check):
    """A client that deregistered is not notified any more."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        path = lever.setting.path
        # The second observer registers after the first one has left, so that one free place is enough.
        leaver = await observe(bench, path)
        await lever.change(bench, 1, leaver)
        await cancel(bench, leaver)
        async with observing(bench, path) as witness:
            for to in (0, 1, 0):
                await lever.change(bench, to, witness)
                await fence(bench, leaver.endpoint)

    def judge(self, case: Case) -> Outcome:
        ending = next(each for each in exchanges(case) if each.asked.observe == 1 and each.what != PROBE)
        found = registrations(case)
        leaver = next(each for each in found if each.local == ending.local)
        witness = next(each for each in found if each is not leaver)
        if not admitted(leaver) or not leaver.notifications:
            return inconclusive("there was no observation to end", *leaver.evidence)
        if ending.response is None or not ending.answered(coap.Code.CONTENT):
            return failed(f"the deregistration was answered with {ending.outcome()}", *ending.evidence)
        if ending.response.value.observe is not None:
            return failed("the answer to the deregistration has an Observe option", *ending.evidence)
        if ending.notifications:
            return failed(
                "a notification came after the deregistration", *ending.evidence[:2], ending.notifications[0]
            )
        seen = after(witness.notifications, ending.response.line)
        if not seen:
            return inconclusive("no change was notified to the second observer either", *witness.evidence)
        return passed(
            f"{len(seen)} later changes were notified only to the second observer", *ending.evidence, seen
        )


@requirement(
    "COAP-OBS-04",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.2",
    level=Level.MUST,
    purpose="ensure that every notification has the token of its registration",
    stimulus="Two observers of one resource, with tokens of 0 and 8 bytes; change the state",
    expect="Each observer gets notifications with its own token, unchanged",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="The token is stored per resource instead of per observer, or is truncated.",
)
class NotificationToken(Check):
    """A client finds the observation by the token."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        path = lever.setting.path
        async with (
            observing(bench, path, token=b"") as first,
            observing(bench, path, token=bench.coap.next_token(8)) as second,
        ):
            for to in (1, 0):
                await lever.change(bench, to, first, second)

    def judge(self, case: Case) -> Outcome:
        found = registrations(case)
        for each in found:
            mine = [other for other in exchanges(case) if other.local == each.local]
            stray = [seen for seen in unrelated(case, mine, each.local) if seen.value.is_response]
            if stray:
                actual, own = stray[0].value.token.hex() or "(empty)", each.asked.token.hex() or "(empty)"
                return failed(f"a notification has the token {actual}, not {own}", each.sent[0], stray[0])
        if any(not each.notifications for each in found):
            return inconclusive("an observer was not notified", *(each.sent[0] for each in found))
        return passed(
            "notifications had the tokens of 0 and 8 bytes",
            [seen for each in found for seen in (each.sent[0], each.notifications[0])],
        )


@requirement(
    "COAP-OBS-14",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.2",
    level=Level.MUST,
    purpose="ensure that notifications stay in the Content-Format of the first response",
    stimulus="Three observers of one resource accept text, JSON and CBOR; change the state",
    expect="Each observer gets one format only; an unsupported format is refused with 4.06",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="Notifications are built by other code than responses, which omits the option or knows "
    "one format only.",
)
class NotificationFormat(Check):
    """A client may not be able to read another format than the first."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(observing(bench, lever.setting.path, accept=number))
                for number in FORMATS
            ]
            accepted = [each for each in clients if each.response and each.response.observe is not None]
            for to in (1, 0):
                await lever.change(bench, to, *accepted[:1])
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
                    actual = seen.value.content_format
                    message = (
                        f"a notification has Content-Format {actual}, but the first response has {first}"
                    )
                    return failed(message, *each.evidence[:2], seen)
                shown.append(seen)
        if not shown:
            return inconclusive(
                "no notification was received", *(each.sent[0] for each in registrations(case))
            )
        return passed(f"{len(shown)} notifications kept the format of the first response", shown)


@requirement(
    "PROFILE-24",
    area=Area.COAP,
    standard="profile",
    clause="bindings.coap.confirmable_notifications",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device sends confirmable or non-confirmable notifications as declared",
    stimulus="Observe; change the state, and back",
    expect="CON notifications if they are declared as confirmable; otherwise NON, with some CON allowed",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="A build option was changed to save traffic, but the data sheet was not.",
)
class NotificationType(Check):
    """A lost notification is repeated only if it is confirmable."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        async with observing(bench, lever.setting.path) as client:
            for to in (1, 0):
                await lever.change(bench, to, client)

    def judge(self, case: Case) -> Outcome:
        confirmable = binding_of(case.profile).confirmable_notifications
        reported = registrations(case)[0].notifications
        if not reported:
            return inconclusive("no notification was received", registrations(case)[0].sent[0])
        types = {seen.value.type for seen in reported}
        if confirmable and types != {coap.Type.CON}:
            wrong = next(seen for seen in reported if seen.value.type is not coap.Type.CON)
            return failed("a notification is not confirmable, but they are declared so", wrong)
        if not confirmable and coap.Type.NON not in types:
            return failed("all notifications are confirmable, but are declared not to be", reported)
        return passed(f"{len(reported)} notifications of the declared type", reported)
