"""Messages larger than the device can hold, also when they are retained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.checks.bench import Bench
from harness.checks.case import Case, Decoded, Evidence, failed, first, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.observations import Transport
from harness.checks.support.behaviour.commands import (
    ROUNDING,
    had_time,
)
from harness.checks.support.mqtt.commands import (
    MqttSetting,
    commanded,
    effect_timeout,
    setting_of,
    the_setting,
)
from harness.checks.support.mqtt.deliveries import deliveries
from harness.checks.support.mqtt.disconnects import (
    settled,
    wait_reconnected,
)
from harness.checks.support.mqtt.fences import (
    NO_BASELINE,
    baseline,
    command_with_effect,
    show_baseline,
    takes_effect,
    takes_effect_eventually,
)
from harness.checks.support.mqtt.sessions import (
    is_opened,
    sessions,
    so_far,
    tapped,
)
from harness.checks.support.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.schema import same_value
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act, Connection, Direction, Event, MqttPacket, Point
from harness.trace.trace import backwards
from harness.wire import mqtt

Delivered = Decoded[mqtt.Publish, MqttPacket]


@requirement(
    "MQTT-DEV-017",
    area=Area.MQTT,
    standard="MQTT 3.1.1 + 5.0, EN 303 645",
    clause="3.1.1: 2.2.3; 5.0: [MQTT-3.1.2-24]; EN 303 645: 5.13-1",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device survives a message larger than it can hold",
    stimulus="Publish 4 kB to a command topic, then a retained 64 kB message; send a command after each. "
    "Cut the connection, so that the device receives the retained message when it reconnects; send a "
    "command after that one",
    expect="The device drops the message, or disconnects; later commands take effect. While the message is "
    "retained, a command takes effect on the connection on which the device received it",
    ics="MQTT.SUB",
    needs=(BenchFeature.TAP, BenchFeature.BROKER),
    usual_cause="The packet is copied into a fixed buffer without checking its length; if the message is "
    "retained, the device receives it again after each restart.",
    phase=Phase.PRESSURE,
)
class SurvivesLargeMessages(Check):
    """A valid command after each large message shows that the device still works.

    A device that crashes repeatedly may carry out commands from its session before the retained message
    arrives again: so the last stage needs a command that was delivered after that message.
    """

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return commanded(profile)

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        setting = the_setting(bench)
        if not await show_baseline(bench, setting):
            return
        small, large = _too_large(bench.profile)
        await bench.mqtt.publish(setting.topic, small, qos=setting.qos)
        if not await takes_effect_eventually(bench, setting):
            return
        try:
            await bench.mqtt.publish(setting.topic, large, qos=setting.qos, retain=True)
            if await takes_effect_eventually(bench, setting):
                await settled(bench)
                bench.tap.drop()
                await wait_reconnected(bench)
                await _command_behind(bench, setting, large)
        finally:
            # An empty message deletes the retained one (3.3.1.3).
            await bench.mqtt.publish(setting.topic, b"", qos=setting.qos, retain=True)
            await wait_reconnected(bench)

    def judge(self, case: Case) -> Outcome:
        small, large = _too_large(case.profile)
        ours = case.mqtt(mqtt.Publish, direction=Direction.TO_DUT, point=Point.CLIENT)
        steps = (
            first(seen.line for seen in ours if seen.value.payload == small),
            first(seen.line for seen in ours if seen.value.payload == large),
            first(seen.line for seen in case.stimuli(Act.DROP_LINK)),
            first(seen.line for seen in ours if seen.value.retain and not seen.value.payload),
        )
        met = [seen for seen in deliveries(case) if seen.value.payload in (small, large)]
        stages = (
            (small, f"after a message of {len(small)} bytes"),
            (large, f"after a message of {len(large)} bytes"),
            (large, f"while a message of {len(large)} bytes is retained"),
        )
        setting = setting_of(case.profile)
        assert setting is not None
        within = effect_timeout(case.profile, setting) + ROUNDING
        if steps[0] is None or baseline(case, setting.name, steps[0]) is None:
            return inconclusive(NO_BASELINE, case.stimuli(Act.WRITE))
        shown: list[Evidence] = []
        for index, (payload, when) in enumerate(stages):
            begin = steps[index]
            end = first(line for line in steps[index + 1 :] if line) or case.window[-1].line + 1
            here = [
                seen for seen in met if begin and begin < seen.line < end and seen.value.payload == payload
            ]
            if begin is None or not here:
                if begin is not None and (loss := _gone(case, met)):
                    return failed(f"the device did not reconnect {when}", met, loss)
                return inconclusive("the broker did not deliver every large message", met)
            shown_effect: Sequence[Evidence] | None = command_with_effect(case, begin, end, within=within)
            if index == len(stages) - 1:
                shown_effect = _effect_behind(case, here, end)
                if shown_effect is None and not _is_decided(case, here, end):
                    return inconclusive("no command was delivered after the retained message", met)
            if shown_effect is None:
                return failed(f"commands have no effect any more {when}", met)
            shown += shown_effect
        return passed(f"messages of {len(small)} and {len(large)} bytes did no harm", met, shown)


def _behind(case: Case, met: Sequence[Delivered], end: int) -> list[tuple[Delivered, Delivered]]:
    """Delivered messages, each with a command that followed on the same connection."""
    setting = setting_of(case.profile)
    assert setting is not None
    commands = [
        seen
        for seen in deliveries(case)
        if seen.value.topic == setting.topic and setting.value_of(seen.value.payload) is not None
    ]
    return [
        (seen, behind)
        for seen in met
        for behind in commands
        if seen.line < behind.line < end and seen.body.connection == behind.body.connection
    ]


def _effect_behind(case: Case, met: Sequence[Delivered], end: int) -> Sequence[Evidence] | None:
    """A command delivered after the message on its connection, and its effect there."""
    setting = setting_of(case.profile)
    assert setting is not None
    for seen, behind in _behind(case, met, end):
        value = setting.value_of(behind.value.payload)
        for report in case.reports(setting.name, Transport.MQTT):
            body = report.event.body
            on_it = isinstance(body, MqttPacket) and body.connection == seen.body.connection
            if on_it and behind.line < report.event.line < end and same_value(report.value, value):
                return seen, behind, report
    return None


def _is_decided(case: Case, met: Sequence[Delivered], end: int) -> bool:
    """Whether a command followed the message, or the device closed the connection that delivered it."""
    left = {
        session.number
        for session in sessions(so_far(case))
        if session.ended and session.ended.line < end and session.ended.value.by is Direction.FROM_DUT
    }
    return bool(_behind(case, met, end)) or any(seen.body.connection in left for seen in met)


def _gone(case: Case, met: Sequence[Delivered]) -> Evidence | None:
    """The end of the last connection, closed by the device after such a message without a reconnection."""
    last = first(session for session in reversed(sessions(so_far(case))) if session.accepted)
    if last is None or last.ended is None or last.ended.value.by is not Direction.FROM_DUT:
        return None
    if not any(seen.line < last.ended.line for seen in met):
        return None
    return last.ended if had_time(case, last.ended.time, case.profile.behaviour.reconnect) else None


def _too_large(profile: Profile) -> tuple[bytes, bytes]:
    """Two payloads larger than the profile declares; neither is a valid command."""
    limit = binding_of(profile).maximum_payload
    return b"x" * max(4096, limit + 1), b"x" * max(65536, 2 * limit)


async def _command_behind(bench: Bench, setting: MqttSetting, payload: bytes) -> None:
    """Send a command after a retained message; once more if the connection ended."""

    def meets(event: Event) -> bool:
        packet = tapped(event, Direction.TO_DUT, mqtt.PacketType.PUBLISH)
        return isinstance(packet, mqtt.Publish) and packet.payload == payload

    for _ in range(2):
        opened = _last_opened(bench)
        within = effect_timeout(bench.profile, setting)
        await bench.wait_for(meets, within=within, since=opened, what="the retained message to be delivered")
        if await takes_effect(bench, setting) and _last_opened(bench) == opened:
            return
        await wait_reconnected(bench)


def _last_opened(bench: Bench) -> int:
    """The trace line at which the device's newest connection was opened."""
    opened = (event.line for event, _ in backwards(bench.trace, Connection) if is_opened(event))
    return next(opened, 0)
