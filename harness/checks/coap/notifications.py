"""The order of notifications, and how observations end (RFC 7641, 3.4, 4.4 and 4.5)."""

from __future__ import annotations

from itertools import pairwise

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, inconclusive, passed, warned
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import (
    arrives,
    cancel,
    fence,
    find_levers,
    observe,
    observing,
)
from harness.checks.support.coap.registrations import (
    admitted,
    after,
    registrations,
)
from harness.checks.support.coap.resources import binding_of
from harness.checks.support.coap.silence import (
    RETRANSMISSION,
    answers_of_ours,
    deregister,
    deregister_in_silence,
    fall_silent,
    first_timeout,
    message_of,
    series_in,
    silent_observers,
)
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Event
from harness.wire import coap

FEW, MANY = 5, 300  # least and largest number of notifications
SOONEST = 0.7  # seconds: the shortest ACK_TIMEOUT that is allowed (RFC 7252, 4.8.1), on a slow link
LONGEST = 40.0  # seconds to spend on a device that notifies slowly


def observe_of(event: Event | None) -> int | None:
    """The value of Observe in the notification of an event."""
    return message_of(event).observe if event is not None else None


def room(value: int) -> int:
    """The distance from an Observe value to the end of its one, two, three or four bytes."""
    return min((1 << bits) - value for bits in (8, 16, 24, 32) if value < 1 << bits)


async def use_up(bench: Bench, path: str, last: int) -> int:
    """Register another client until few values are left; returns the last value used.

    Many devices use one counter for responses to registrations and for notifications; with others this
    does nothing.
    """
    endpoint, deadline = await bench.coap.endpoint(), bench.now + LONGEST
    while room(last) > FEW and bench.now < deadline:
        other = await observe(bench, path, endpoint=endpoint)
        if other.response is None or (given := other.response.observe) is None:
            break
        await cancel(bench, other)
        if given <= last:
            break
        last = given
    return last


@requirement(
    "COAP-OBS-05",
    area=Area.COAP,
    standard="RFC 7641",
    clause="3.4, 4.4",
    level=Level.MUST,
    purpose="ensure that the values of Observe strictly increase, including that of the first response",
    stimulus="Observe; change the state 5 times, and up to 300 times if the value is near the end of one, "
    "two or three bytes; if the device notifies too slowly, another client registers to use up values",
    expect="Each value is newer than the previous one (RFC 7641, 3.4); at most three bytes",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="The counter is incremented after sending, so that the first notification repeats the value "
    "of the response; or the counter has eight bits.",
    phase=Phase.BOUNDARY,
)
class IncreasingObserve(Check):
    """A client drops notifications that seem older than the last one."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        begin = bench.now
        async with observing(bench, lever.setting.path) as client:
            last = client.response.observe if client.response else None
            turn = 0
            while last is not None and turn < MANY:
                turn += 1
                event = await lever.wait_notified(bench, client, turn % 2, await lever.move(bench, turn % 2))
                value = observe_of(event)
                if value is None or value == last:
                    break
                last = value
                late = bench.now - begin > LONGEST
                if turn >= FEW and (late or room(last) > MANY - turn):
                    break
                if turn == FEW and room(last) * (bench.now - begin) / turn > LONGEST:
                    last = await use_up(bench, lever.setting.path, last)
            if turn % 2:
                await lever.change(bench, 0, client)

    def judge(self, case: Case) -> Outcome:
        registration = registrations(case)[0]
        if not admitted(registration) or registration.response is None:
            return inconclusive("the registration was not accepted", *registration.evidence)
        reported = [seen for seen in registration.notifications if seen.value.observe is not None]
        for earlier, later in pairwise([registration.response, *reported]):
            first, second = earlier.value.observe or 0, later.value.observe or 0
            if len(later.value.option(coap.OptionNumber.OBSERVE) or b"") > 3:
                return failed("Observe has more than three bytes", later)
            if not coap.is_newer(first, second, later.time - earlier.time):
                return failed(f"Observe {second} came after {first} but is not newer", earlier, later)
        if len(reported) < FEW:
            return inconclusive(
                f"only {len(reported)} of {FEW} notifications were received", *registration.evidence
            )
        span = f"{registration.response.value.observe} to {reported[-1].value.observe}"
        return passed(
            f"Observe increased in {len(reported)} notifications, {span}",
            registration.response,
            reported[:3],
            reported[-1],
        )


@requirement(
    "COAP-OBS-07",
    area=Area.COAP,
    standard="RFC 7641",
    clause="3.6, 4.5",
    level=Level.MUST,
    purpose="ensure that an RST to a notification ends the observation",
    stimulus="Observe; answer a notification with RST; change the state, with a second observer as a witness",
    expect="No more notifications (SHOULD if they are non-confirmable)",
    ics="COAP.OBSERVE",
    needs=(BenchFeature.COAP,),
    usual_cause="The Message IDs of notifications are not stored, so that an RST cannot be matched to its "
    "observation.",
)
class ResetObservation(Check):
    """A client rejects notifications that it no longer knows."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        path = lever.setting.path
        async with observing(bench, path) as witness:
            leaver = await observe(bench, path)
            leaver.endpoint.acknowledges = False
            since = await lever.move(bench, 1)
            event = await lever.wait_notified(bench, leaver, 1, since)
            if event is not None:
                leaver.endpoint.reset(message_of(event))
            leaver.endpoint.acknowledges = True
            await lever.wait_notified(bench, witness, 1, since)
            for to in (0, 1, 0):
                await lever.change(bench, to, witness)
                await fence(bench, leaver.endpoint)
            await cancel(bench, leaver)  # in case it is still registered: later checks need the place

    def judge(self, case: Case) -> Outcome:
        witness, leaver = registrations(case)[:2]
        resets = [seen for seen in answers_of_ours(case, leaver.local) if seen.value.type is coap.Type.RST]
        if not admitted(leaver) or not resets:
            return inconclusive("there was no notification to reject", *leaver.evidence)
        line = resets[0].line
        if not after(witness.notifications, line):
            return inconclusive(
                "later changes were not notified to the other observer either", *witness.evidence
            )
        later = after(leaver.notifications, line)
        if later and any(seen.value.type is coap.Type.CON for seen in leaver.notifications):
            return failed(
                "a notification came after an RST to an earlier one", leaver.sent[0], resets[0], later[0]
            )
        if later:
            message = "non-confirmable notifications continued after the RST"
            return warned(message, leaver.sent[0], resets[0], later[0])
        return passed(
            "the RST ended the observation", leaver.sent[0], resets[0], after(witness.notifications, line)
        )


@requirement(
    "COAP-OBS-08",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.5",
    level=Level.MUST,
    purpose="ensure that an observer that stops acknowledging is removed",
    stimulus="Register as many observers as declared; most acknowledge nothing; change the state and wait "
    "until the retransmissions are over; then register as many new observers and change the state again",
    expect="No more notifications to the silent observers; all new observers are accepted",
    ics="COAP.OBSERVE_CON",
    needs=(BenchFeature.COAP,),
    usual_cause="The last retransmission times out without removing the observer, so that clients that "
    "disappeared fill the list.",
    phase=Phase.PRESSURE,
)
class SilentObserver(Check):
    """Displays are unplugged without deregistering."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        silent = await fall_silent(bench, lever)
        newcomers = [
            await observe(bench, lever.setting.path) for _ in range(binding_of(bench.profile).observers)
        ]
        accepted = [each for each in newcomers if each.response and each.response.observe is not None]
        await lever.change(bench, 0, *accepted)
        await deregister(bench, accepted)
        await deregister_in_silence(bench, silent)

    def judge(self, case: Case) -> Outcome:
        count = binding_of(case.profile).observers
        found = registrations(case)
        silent, newcomers = silent_observers(case), found[count:]
        if not silent or not newcomers:
            return inconclusive(
                "no observer that stayed silent was notified", [each.sent[0] for each in found]
            )
        # By the time of the first new registration the device has given up on the silent ones.
        registered = newcomers[0].sent[0]
        for each in silent:
            later = after(each.notifications, registered.line)
            if later:
                return failed(
                    "a client that acknowledges nothing is still notified", each.sent[0], registered, later[0]
                )
        if not any(each.replies for each in newcomers):
            return inconclusive("the server did not answer any new registration", registered)
        for number, each in enumerate(newcomers, 1):
            if not admitted(each):
                message = (
                    f"new observer {number} of {count} was refused, although {len(silent)} have disappeared"
                )
                return failed(message, [each.sent[0] for each in silent], *each.evidence)
        if not any(each.notifications for each in newcomers):
            return inconclusive("no observer was notified of the last change", registered)
        return passed(
            f"{len(silent)} silent observers were removed, {len(newcomers)} new ones accepted",
            [each.notifications[0] for each in silent],
            [each.response for each in newcomers if each.response],
        )


@requirement(
    "COAP-OBS-16",
    area=Area.COAP,
    standard="RFC 7641",
    clause="4.5.1",
    level=Level.MUST,
    purpose="ensure that the device has only one unacknowledged confirmable notification per client",
    stimulus="One client observes a resource twice and acknowledges nothing; change the state twice; "
    "acknowledge after the first retransmission",
    expect="No second notification before the ACK, except a newer state in place of the "
    "retransmission (4.5.2)",
    ics="COAP.OBSERVE_CON",
    needs=(BenchFeature.COAP,),
    usual_cause="Each observation has its own retransmission, and they are not limited per client.",
    phase=Phase.OUTAGE,
)
class OneOutstanding(Check):
    """NSTART is 1, so that a slow client is not flooded."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        (lever,) = await find_levers(bench)
        path, endpoint = lever.setting.path, await bench.coap.endpoint()
        clients = [await observe(bench, path, endpoint=endpoint) for _ in range(2)]
        endpoint.acknowledges = False
        since = await lever.move(bench, 1)
        first = await bench.wait_for(
            arrives(endpoint, lambda message: message.is_response and message.observe is not None),
            within=lever.within(bench),
            what=f"a notification of {lever.setting.name}",
            since=since,
        )
        since = await lever.move(bench, 0)
        if first is not None:
            message = message_of(first)
            # A newer state may replace the one that is repeated (RFC 7641, 4.5.2).
            again = await bench.wait_for(
                arrives(endpoint, lambda again: again.mid == message.mid or _replaces(again, message)),
                within=first_timeout(bench.profile),
                imposed_by=RETRANSMISSION,
                what="the notification to be repeated",
                since=first.line,
            )
            endpoint.acknowledges = True
            endpoint.acknowledge(message_of(again) if again else message)
        for client in clients:
            await lever.wait_notified(bench, client, 0, since)
        await deregister(bench, clients)

    def judge(self, case: Case) -> Outcome:
        found = registrations(case)
        if len(found) < 2 or not all(map(admitted, found)):
            return inconclusive("the registrations were not accepted", [each.sent[0] for each in found])
        series = [each for each in series_in(case.window) if each.transmissions[0].value.observe is not None]
        token = series[0].transmissions[0].value.token if series else b""
        own = [each for each in series if each.transmissions[0].value.token == token]
        others = [each for each in series if each not in own]
        answered = [answer for each in own for answer in each.answers][:1]
        sent = [seen for each in own for seen in each.transmissions]
        before = [seen for seen in sent if not answered or seen.line < answered[0].line]
        if len(before) < 2:
            return inconclusive("no notification was repeated", [each.sent[0] for each in found])
        if not answered:
            return inconclusive("the notification was not acknowledged", before)
        early = [each.transmissions[0] for each in others if each.transmissions[0].line < answered[0].line]
        # Of one observation, only a newer state in the place of a retransmission may come before the ACK.
        early += [later for first, later in pairwise(before) if later.time - first.time < SOONEST]
        if early:
            return failed(
                "a second notification came before the first was acknowledged",
                [each.sent[0] for each in found],
                before[0],
                early[0],
            )
        # A server may keep one observation per client and resource, or replace the state that it repeats.
        further = [each.transmissions[0] for each in series if each.transmissions[0].line > answered[0].line]
        further = further or [seen for seen in before if seen.value.mid != before[0].value.mid]
        if not further:
            return inconclusive("only one notification came", before)
        return passed(
            "the second notification came only after the ACK to the first",
            before,
            answered[0],
            further[0],
        )


def _replaces(later: coap.Message, earlier: coap.Message) -> bool:
    return later.is_response and later.token == earlier.token and later.observe is not None
