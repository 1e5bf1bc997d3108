"""The list of observers: how many there are, and who gets notified (RFC 7641, 4.1)."""

from __future__ import annotations

from contextlib import AsyncExitStack

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    ask,
    cancel,
    fence,
    find_levers,
    observe,
    observing,
    present_and_other,
    put,
)
from harness.checks.support.coap.exchanges import (
    Datagram,
    exchanges,
)
from harness.checks.support.coap.registrations import (
    admitted,
    moves,
    observe_many,
    registrations,
)
from harness.checks.support.coap.resources import (
    binding_of,
    settings,
)
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import coap


@requirement(
    "COAP-OBS-02",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.1",
    level=Level.MUST,
    purpose="ensure that the device answers without Observe if it will not notify the client",
    stimulus="Register for settings that are not observable, and two clients more than declared for "
    "an observable one; change the settings",
    expect="2.05 each time; only clients that got an Observe option are notified",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="The option is copied from the request to the response even if the list is full.",
    phase=Phase.PRESSURE,
)
class PromisedNotification(Check):
    """An Observe option in a response announces notifications."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        count = binding_of(bench.profile).observers + 2
        async with AsyncExitStack() as stack:
            clients = await observe_many(bench, stack, lever.setting.path, count)
            accepted = [each for each in clients if each.response and each.response.observe is not None]
            await lever.change(bench, 1, *accepted)
            for each in clients:
                await fence(bench, each.endpoint)
            await lever.change(bench, 0, *accepted[:1])
        for setting in settings(bench.profile):
            if setting.bound.observe:
                continue
            present, other = await present_and_other(bench, setting)
            async with observing(bench, setting.path) as observation:
                await put(bench, await bench.coap.endpoint(), setting, other)
                await fence(bench, observation.endpoint)
                await put(bench, await bench.coap.endpoint(), setting, present)

    def judge(self, case: Case) -> Outcome:
        shown: list[Datagram] = []
        refused = 0
        notified = any(each.notifications for each in registrations(case))
        for registration in registrations(case):
            path = registration.asked.uri_path
            if not registration.answered(coap.Code.CONTENT):
                return failed(
                    f"a registration for {path} was answered with {registration.outcome()}, not with 2.05",
                    *registration.evidence,
                )
            reported = registration.notifications
            if admitted(registration) and not reported and not moves(case) and not notified:
                return inconclusive("no change was seen", *registration.evidence)
            if admitted(registration) and not reported:
                return failed(
                    f"an observation of {path} was confirmed, but a change was not notified",
                    *registration.evidence,
                    moves(case)[:1],
                )
            if not admitted(registration) and reported:
                return failed(
                    f"a client of {path} was notified although its registration was not confirmed",
                    *registration.evidence[:2],
                    reported[0],
                )
            refused += not admitted(registration)
            shown += [*registration.evidence[:2], *reported[:1]]
        if not any(map(admitted, registrations(case))):
            return inconclusive("no registration was accepted, so no notification was due", shown)
        return passed(
            f"{refused} registrations were answered without Observe; all others were notified", shown
        )


@requirement(
    "COAP-OBS-10",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.1",
    level=Level.MUST,
    purpose="ensure that a registration with the same token replaces the previous one",
    stimulus="Register twice with one token; change the state, with a second observer as a witness",
    expect="The second registration is accepted and takes no further place; one notification per change, as "
    "for the second observer",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="Each registration is appended to the list of observers without looking for the same client "
    "and token, until the list is full.",
)
class RepeatedRegistration(Check):
    """A client that registers again must not be notified twice."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        path = lever.setting.path
        async with observing(bench, path) as witness, observing(bench, path) as client:
            await observe(bench, path, endpoint=client.endpoint, token=client.token)
            for to in (1, 0):
                await lever.change(bench, to, witness, client)
                await fence(bench, client.endpoint)

    def judge(self, case: Case) -> Outcome:
        witness, first, second = registrations(case)
        is_refused = second.answered(coap.Code.CONTENT) and not admitted(second)
        if admitted(witness) and admitted(first) and is_refused:
            return failed(
                "a second registration with the same token was refused as if it needed another place",
                first.evidence[:2],
                second.evidence[:2],
            )
        if not all(map(admitted, (witness, first, second))):
            return inconclusive("a registration was not accepted", *second.evidence)
        reported, reference = second.notifications, witness.notifications
        if len(reference) < 2:
            return inconclusive("the second observer was not notified of the changes", *witness.evidence)
        if not reported:
            return failed("no change was notified after the second registration", *second.evidence, reference)
        if len(reported) > len(reference):
            return failed(
                f"{len(reported)} notifications were sent, but {len(reference)} to the second observer",
                first.sent[0],
                second.sent[0],
                reported,
            )
        return passed(
            f"{len(reported)} notifications, as for the second observer",
            first.sent[0],
            second.sent[0],
            reported,
        )


@requirement(
    "COAP-OBS-11",
    area=Area.COAP,
    standard="RFC 7641",
    clause="3.6, 4.1",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that a plain GET, or a deregistration with another token, does not end an observation",
    stimulus="Observe; GET the resource without Observe, and with Observe 1 and another token; change the "
    "state",
    expect="The change is notified",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="Observers are identified by address and path alone; or an early draft is implemented, "
    "in which a GET without Observe ended the observation.",
)
class ContinuedObservation(Check):
    """Only a deregistration with the same token ends an observation."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        path = lever.setting.path
        async with observing(bench, path) as witness, observing(bench, path) as client:
            await ask(bench, client.endpoint, coap.Code.GET, path, what="plain GET")
            await cancel(bench, client, token=bench.coap.next_token())
            for to in (1, 0):
                await lever.change(bench, to, witness, client)

    def judge(self, case: Case) -> Outcome:
        witness, client = registrations(case)
        if not admitted(client):
            return inconclusive("the registration was not accepted", *client.evidence)
        if not witness.notifications:
            return inconclusive("the second observer was not notified of the changes", *witness.evidence)
        others = [
            each
            for each in exchanges(case)
            if each.local == client.local and each.asked.token != client.asked.token
        ]
        asked = [each.sent[0] for each in others]
        if not client.notifications:
            return failed("the observation ended", client.sent[0], asked, witness.notifications[0])
        return passed("the observation continued", client.sent[0], asked, client.notifications)


@requirement(
    "PROFILE-23",
    area=Area.COAP,
    standard="profile",
    clause="bindings.coap.observers",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that as many clients as declared can observe a resource at the same time",
    stimulus="Register the declared number of clients for one resource; change it",
    expect="Each registration is accepted, and each client is notified",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="The list of observers is shorter than declared, is shared by all resources, or is full of "
    "clients that have disappeared.",
    phase=Phase.BOUNDARY,
)
class DeclaredObservers(Check):
    """Several displays observe the same device."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        async with AsyncExitStack() as stack:
            count = binding_of(bench.profile).observers
            clients = await observe_many(bench, stack, lever.setting.path, count)
            for to in (1, 0):
                await lever.change(bench, to, *clients)

    def judge(self, case: Case) -> Outcome:
        found = registrations(case)
        for number, each in enumerate(found, 1):
            if not admitted(each):
                return failed(f"observer {number} of {len(found)} was not accepted", *each.evidence)
        for number, each in enumerate(found, 1):
            if not each.notifications:
                reported = sum(bool(other.notifications) for other in found)
                if not reported:
                    return inconclusive("no observer was notified", each.sent[0])
                return failed(f"observer {number} of {len(found)} was not notified", each.sent[0])
        return passed(f"{len(found)} observers were notified", [each.notifications[0] for each in found])
