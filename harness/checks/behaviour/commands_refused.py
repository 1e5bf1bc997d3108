"""Commands that the device must refuse: values outside the schema, and malformed payloads."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Transport
from harness.checks.payloads import json_text
from harness.checks.support.behaviour.arrange import (
    StateArranger,
    precondition,
)
from harness.checks.support.behaviour.boundary_values import (
    outside,
    resting,
    simplicity,
    step_of,
)
from harness.checks.support.behaviour.commands import (
    SETTLE,
    Command,
    command_and_wait,
    commands,
    passed_on,
    point_of,
    require_reader,
    send_payload,
)
from harness.checks.support.behaviour.forecast import obstacles
from harness.checks.support.behaviour.hypothesis_values import (
    illegal_values,
    search,
)
from harness.checks.support.behaviour.malformed_payloads import (
    encoded,
    malformed,
    outside_texts,
)
from harness.checks.support.behaviour.refusals import refusal_failure
from harness.checks.support.behaviour.transports import (
    command_transports,
    name_of,
    transport_of,
    writable_subjects,
)
from harness.checks.support.mqtt.sessions import is_loss
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.profile import InvalidValuePolicy, Profile
from harness.model.requirement import Area, Level
from harness.model.schema import is_number, same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Connection, ConnectionChange

MOST_OUTSIDE = 9  # values that are always tried
MOST_TRUSTED = 5  # legal values between the bad ones


class BadCommands:
    """Sends commands that must be refused, so that the trace shows the result of each.

    Over CoAP the response shows that a command was processed. Over MQTT a fence does: a legal command on
    the same topic, for a value that the bad command cannot have meant. A property with only two values has
    no such value; there the settle time passes once for all payloads, for each value.
    """

    def __init__(self, bench: Bench, arranger: StateArranger, name: str, transport: Transport) -> None:
        self._bench = bench
        self._arranger = arranger
        self._name = name
        self._transport = transport
        self._schema = bench.profile.properties[name]
        self.crashed = False  # the device went away after a bad command
        self._trusted: list[Value] = []  # legal values that the device was seen to execute

    @property
    def fenced(self) -> bool:
        """Whether each bad command is followed by a legal one."""
        return self._transport is Transport.MQTT and len(resting(self._schema)) > 2

    async def begin(self) -> None:
        """Establish the baseline: legal commands in quick succession must work.

        Raises StimulusError when the device does not follow them.
        """
        for value in resting(self._schema):
            if len(self._trusted) == MOST_TRUSTED:
                break
            if not await self._is_free(value):
                continue
            if not await self._put(value):
                break
            self._trusted.append(value)
        if len(self._trusted) < (3 if self.fenced else 2):
            raise StimulusError(f"{self._name} does not follow legal commands, so refusals cannot be judged")

    async def send(self, payload: bytes, what: str, *spared: Value) -> bool:
        """Send one bad command and its fence. True if the device did something wrong.

        ``spared`` are legal values that a careless parser might read instead.
        """
        bench, name, transport = self._bench, self._name, self._transport
        before = self._arranger.state.get(name)
        if any(same_value(before, value) for value in spared):
            before = self._other_than(*spared)
            await self._put(before)
        since = bench.mark()
        if not await send_payload(bench, name, payload, what, transport):
            self.crashed = True  # a request that is not answered is given 93 s: no further ones
            return True
        limited = spared if bench.profile.behaviour.invalid_value is InvalidValuePolicy.CLAMP else ()
        if transport is Transport.COAP:
            try:
                after = await self._read_settled(before, *limited)
            except StimulusError:
                self.crashed = True
                return True  # its reports are unreadable now: the trace shows since when
            self._arranger.state[name] = after
            return not any(same_value(after, value) for value in (before, *limited))
        if not self.fenced:
            return False
        fence = self._other_than(*spared, before)
        if not await self._put(fence):
            self.crashed = any(is_loss(event) for event in bench.trace[since:])
            return True
        return await self._strayed(since, before, fence, *limited)

    async def _read_settled(self, before: Value, *limited: Value) -> Value:
        """The state after a bad command; one that is limited may take the settle time to get there."""
        bench, name, transport = self._bench, self._name, self._transport.value
        ends = (before, *limited)
        after = await bench.read(name, transport=transport)
        if not limited or any(same_value(after, value) for value in ends) or not _is_between(after, *ends):
            return after
        await bench.wait_for_report(
            name,
            lambda value: any(self._schema.agrees(value, each) for each in limited),
            transport=transport,
            within=bench.profile.settle(name),
            since=bench.mark(),
        )
        return await bench.read(name, transport=transport)

    async def send_all(self, payloads: Sequence[tuple[bytes, str]]) -> None:
        """Send all bad commands once for each value of the property."""
        for value in self._trusted:
            if not same_value(self._arranger.state.get(self._name), value) and not await self._put(value):
                return  # it worked before: the trace shows what happened
            since = self._bench.mark()
            for payload, what in payloads:
                if await self.send(payload, what):
                    return
            if self._transport is Transport.MQTT:
                # In order: when the last one has arrived, all have.
                await passed_on(self._bench, self._name, payloads[-1][0], since)
                await self._bench.watch_silence(
                    self._bench.profile.settle(self._name),
                    imposed_by=SETTLE,
                    what=f"{self._name} to stay unchanged",
                )

    async def _is_free(self, value: Value) -> bool:
        """Whether no rule of the profile forbids a value now, if need be after making room for it."""
        if not obstacles(self._bench.profile, self._arranger.state, self._name, value):
            return True
        if len(self._trusted) > 2:
            return False
        try:
            await self._arranger.make_room_for(self._name, value)
        except StimulusError:
            return False
        return not obstacles(self._bench.profile, self._arranger.state, self._name, value)

    async def _put(self, value: Value) -> bool:
        self._arranger.state[self._name] = value
        return await command_and_wait(self._bench, self._name, value, self._transport)

    def _other_than(self, *spared: Value) -> Value:
        *others, before = spared
        found = [value for value in self._trusted if not any(same_value(value, each) for each in spared)]
        # A value that the bad command might set must not look like a step to the one that is chosen.
        found.sort(key=lambda value: any(_is_between(each, before, value) for each in others))
        if found:
            return found[0]
        raise StimulusError(f"{self._name} has too few legal values to show a refusal")

    async def _strayed(self, since: int, before: Value, fence: Value, *limited: Value) -> bool:
        """Whether anything else was reported than the state, the fence's value, or a step between them."""

        def is_wrong(value: Value) -> bool:
            if _is_between(value, before, fence, *limited):
                return False  # on the way
            return not any(self._schema.agrees(value, other) for other in (before, fence, *limited))

        event = await self._bench.wait_for_report(
            self._name, is_wrong, transport=self._transport.value, within=0, since=since
        )
        return event is not None


def _is_between(value: Value, *ends: Value) -> bool:
    return all(is_number(each) for each in (value, *ends)) and bool(min(ends) <= value <= max(ends))


def judge_bad_commands(case: Case, subject: Subject) -> Outcome:
    """Pass if no illegal command of the window had an effect and the device kept working."""
    name = name_of(subject)
    transport = transport_of(command_transports(case.profile, name), subject)
    schema = case.profile.properties[name]
    sent = commands(case, name, transport)
    bad = [at for at, one in enumerate(sent) if one.problem is not None or not schema.accepts(one.value)]
    if not bad:
        return inconclusive(f"no command for {name} that must be refused reached the device")
    outcomes = [(sent[at], refusal_failure(case, name, sent, at)) for at in bad]
    wrong = [(command, outcome) for command, outcome in outcomes if outcome is not None]
    if wrong:
        definite = [item for item in wrong if item[1].verdict == "fail"] or wrong
        return min(definite, key=lambda item: (item[0].problem is None, simplicity(item[0].value)))[1]
    dropped = _dropped_connection(case, sent[bad[0]])
    if dropped is not None:
        return failed("the device closed its connection after commands that it must ignore", dropped)
    evidence: list[Evidence] = []
    for at in bad:
        answer = sent[at].answer
        evidence.append(sent[at].sent)
        evidence += [answer] if answer else sent[at].reports[:1]
    evidence += [
        command.sent for command in sent if command.problem is None and schema.accepts(command.value)
    ]
    return passed(f"{len(bad)} commands changed nothing", evidence)


def _dropped_connection(case: Case, first_bad: Command) -> Evidence | None:
    for event in case.window:
        body = event.body
        if (
            isinstance(body, Connection)
            and body.point is point_of(case)
            and body.point == "tap"
            and body.change is not ConnectionChange.OPENED
            and event.line > first_bad.sent.line
        ):
            return event
    return None


@requirement(
    "DEV-03",
    area=Area.BEHAVIOUR,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.13-1, TC 5.13-1-2; profile: behaviour.invalid_value",
    level=Level.MUST,
    purpose="ensure that the device refuses a value outside the declared set, or limits it where the profile "
    "says so, and never stores or hides it",
    stimulus="Write values just outside and far outside the range, off the step, misspelt members, NaN, "
    "1e400 "
    "and random values; then search for the simplest that is executed",
    expect="The state stays as it was (over CoAP: an error 4.xx); with invalid_value: clamp, the nearest "
    "legal value becomes the state and is reported",
    ics="DEV.ACTUATOR",
    usual_cause="The limits are in the description and in the app, but the firmware does not check them.",
    phase=Phase.REFUSAL,
)
class OutsideValues(Check):
    """Values drawn by hypothesis, shrunk to the simplest that is executed."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return writable_subjects(profile, lambda schema: bool(outside(schema)))

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        require_reader(bench, name)
        transport = transport_of(command_transports(bench.profile, name), subject)
        schema = bench.profile.properties[name]
        async with precondition(bench, transport) as arranger:
            trials = BadCommands(bench, arranger, name, transport)
            await trials.begin()
            # A misspelt member may be the correct word in a payload: COTTON for cotton.
            legal = {encoded(bench.profile, name, member, transport) for member in schema.enum or ()}

            def is_wrong(value: Value) -> bool:
                return encoded(bench.profile, name, value, transport) not in legal

            known = _spread([value for value in outside(schema) if is_wrong(value)])

            async def try_value(value: Value) -> bool:
                payload = encoded(bench.profile, name, value, transport)
                return await trials.send(payload, json_text(value), *_mistaken_for(schema, value))

            if trials.fenced or transport is Transport.COAP:
                for text in outside_texts(bench.profile, name, transport):
                    await trials.send(text, text.decode())
                seed = bench.random.getrandbits(32)
                await search(
                    known,
                    lambda: illegal_values(schema, known).filter(is_wrong),
                    try_value,
                    seed,
                    may_simplify=lambda: not trials.crashed,
                )
            else:
                payloads = [
                    (encoded(bench.profile, name, each, transport), json_text(each)) for each in known
                ]
                await trials.send_all(payloads)

    def judge(self, case: Case) -> Outcome:
        return judge_bad_commands(case, case.subject)


def _spread(values: list[Value]) -> list[Value]:
    """A sample over the whole list, so that each member of an enumeration is misspelt."""
    if len(values) <= MOST_OUTSIDE:
        return values
    return [values[round(at * (len(values) - 1) / (MOST_OUTSIDE - 1))] for at in range(MOST_OUTSIDE)]


def _mistaken_for(schema: Property, value: Value) -> list[Value]:
    """Legal values that a careless parser might read instead of an illegal one."""
    if isinstance(value, str):
        members = [member for member in schema.enum or () if isinstance(member, str)]
        alike = [member for member in members if member.casefold() in value.casefold()]
        return alike[:1] if len(members) > 2 else []
    ends = [end for end in (schema.minimum, schema.maximum) if end is not None]
    step = step_of(schema)
    if step is not None and ends and min(ends) < value < max(ends):
        low = value // float(step) * float(step)
        return [low, low + float(step), *ends]
    return list(ends)


@requirement(
    "DEV-04",
    area=Area.BEHAVIOUR,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.13-1, TC 5.13-1-2",
    level=Level.MUST,
    purpose="ensure that the device ignores malformed command payloads and keeps working",
    stimulus="Send values of wrong types, an empty payload, broken JSON, deep nesting, a duplicate member, a "
    "legal value followed by more text, and bytes that are not UTF-8",
    expect="State and connection do not change; the next legal command is executed",
    ics="DEV.ACTUATOR",
    usual_cause="The payload goes to atoi(), or to a JSON parser whose errors are not checked: nonsense is "
    "read "
    "as zero or false, or crashes the firmware.",
    phase=Phase.MALFORMED,
)
class MalformedCommands(Check):
    """Payloads without a legal value."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return writable_subjects(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        name = name_of(subject)
        require_reader(bench, name)
        transport = transport_of(command_transports(bench.profile, name), subject)
        payloads = malformed(bench.profile, name, transport)
        async with precondition(bench, transport) as arranger:
            trials = BadCommands(bench, arranger, name, transport)
            await trials.begin()
            if len(resting(bench.profile.properties[name])) <= 2:
                await trials.send_all(payloads)
                return
            for payload, what in payloads:
                if await trials.send(payload, what):
                    break

    def judge(self, case: Case) -> Outcome:
        return judge_bad_commands(case, case.subject)
