"""What the device publishes and subscribes to: topics, quality of service, what is retained."""

from __future__ import annotations

import re

from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.mqtt.sessions import connects
from harness.checks.support.mqtt.topics import (
    binding_of,
    commands,
    readings,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome
from harness.wire import mqtt

# Where Home Assistant looks for devices and announces its start.
HA_DISCOVERY = re.compile(r"homeassistant/(?:\w+/(?:[\w-]+/){1,2}config|status)")


@requirement(
    "PROFILE-07",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt: base, shared_topics",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device publishes and subscribes only below its own base topic",
    stimulus="Every PUBLISH and SUBSCRIBE of the run counts, and the topic of each will",
    expect="All topics and filters lie below the base, except topics that the profile declares: those of its "
    "bindings, `shared_topics`, and Home Assistant's discovery",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="A subscription to # left over from development, which exposes everybody's messages to the "
    "device, or a log topic that all units share.",
)
class BelowItsBase(Check):
    """Passive: compares each topic with the base."""

    def judge(self, case: Case) -> Outcome:
        published = case.mqtt(mqtt.Publish)
        for seen in published:
            if not _is_own(case.profile, seen.value.topic):
                return failed(f"the device published to {seen.value.topic}, outside its base topic", seen)
        subscribed = case.mqtt(mqtt.Subscribe)
        for subscription in subscribed:
            for wanted in subscription.value.filters:
                if not _is_own(case.profile, wanted.filter):
                    return failed(
                        f"the device subscribed to {wanted.filter}, outside its base topic", subscription
                    )
        for connect in connects(case):
            if connect.value.will and not _is_own(case.profile, connect.value.will.topic):
                return failed(
                    f"the device set a will for {connect.value.will.topic}, outside its base topic", connect
                )
        if not published and not subscribed:
            return inconclusive("the device neither published nor subscribed")
        base = binding_of(case.profile).base
        found = f"{len(published)} publications and {len(subscribed)} subscriptions lie below {base}"
        return passed(found, published[:5], subscribed)


def _is_own(profile: Profile, topic: str) -> bool:
    """Whether a topic, or all that a filter covers, belongs to the device."""
    binding = binding_of(profile)
    if "HA.DISCOVERY" in profile.ics and HA_DISCOVERY.fullmatch(topic):
        return True
    declared = {reading.topic for reading in readings(profile)} | commands(profile).keys()
    if topic in declared or topic in binding.shared_topics:
        return True
    if any(mqtt.topic_matches(shared, topic) for shared in binding.shared_topics):
        return True
    # The base itself counts as below it: base/# covers it.
    return topic == binding.base or topic.startswith(f"{binding.base}/")


@requirement(
    "MQTT-DEV-050",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt: qos, command_qos (MQTT 3.1.1 + 5.0: 4.3)",
    level=Level.SHOULD,
    basis=Basis.DERIVED,
    purpose="ensure that the device publishes and subscribes with the QoS that its profile declares",
    stimulus="Every PUBLISH and SUBSCRIBE of the run counts",
    expect="The QoS of each topic equals the profile's; a lower one is a downgrade",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="The client library can publish only with QoS 0, whatever the settings say.",
)
class QosAsDeclared(Check):
    """Passive: compares the QoS of each publication and subscription with the profile."""

    def judge(self, case: Case) -> Outcome:
        declared: dict[str, set[int]] = {}
        for reading in readings(case.profile):
            declared.setdefault(reading.topic, set()).add(reading.qos)
        published = [seen for seen in case.mqtt(mqtt.Publish) if seen.value.topic in declared]
        for seen in published:
            if seen.value.qos not in declared[seen.value.topic]:
                wanted = max(declared[seen.value.topic])
                kind = "a downgrade" if seen.value.qos < wanted else "not what the profile declares"
                return failed(
                    f"{seen.value.topic} is published with QoS {seen.value.qos}, {kind}: QoS {wanted}", seen
                )
        subscribed = case.mqtt(mqtt.Subscribe)
        for subscription in subscribed:
            for asked in subscription.value.filters:
                covered = {
                    qos
                    for topic, qos in commands(case.profile).items()
                    if mqtt.topic_matches(asked.filter, topic)
                }
                if covered and asked.qos != max(covered):
                    return failed(
                        f"{asked.filter} is subscribed with QoS {asked.qos}; the profile declares "
                        f"{max(covered)}",
                        subscription,
                    )
        if not published:
            return inconclusive("the device published on none of its topics")
        topics = {seen.value.topic: seen for seen in published}
        return passed(f"{len(topics)} topics have their declared QoS", topics.values(), subscribed)
