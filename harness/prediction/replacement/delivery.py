"""What delivery loses when one device replaces another: transports, names, timing, security."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.model.bindings.coap import CoapProperty
from harness.model.bindings.mqtt import (
    Availability,
    MqttProperty,
)
from harness.model.capability import SecurityLevel
from harness.model.problems import Path
from harness.model.profile import Profile
from harness.prediction.device import (
    Conflict,
    Device,
)
from harness.prediction.findings import (
    FindingKind,
    Severity,
)


@dataclass(frozen=True, slots=True)
class Use:
    """An affordance that the home used, in both devices. ``what`` is its name for users."""

    old: Device
    new: Device
    what: str
    before: str
    after: str
    left: Path
    right: Path

    def conflict(
        self, kind: FindingKind, severity: Severity, what: str, key: str = "", proposal: str = ""
    ) -> Conflict:
        """A finding about the two compared affordances."""
        left, right = self._path(self.old.profile, self.before), self._path(self.new.profile, self.after)
        tail: Path = (key,) if key else ()
        proposal = proposal or f"the same as {self.old.name} at {self.new.name}"
        return Conflict(
            kind, severity, what, (*(left or self.left), *tail), (*(right or self.right), *tail), proposal
        )

    @staticmethod
    def _path(profile: Profile, name: str) -> Path:
        for section in ("properties", "actions", "events"):
            if name in getattr(profile, section):
                return (section, name)
        return ()


def delivery_losses(use: Use, *, commands: bool, tells: bool) -> Iterator[Conflict]:
    """What delivery loses for one affordance."""
    before, after = _carriers(use.old.profile, use.before), _carriers(use.new.profile, use.after)
    lost = sorted(before - after)
    if lost:
        names = " and ".join(lost)
        only = not before & after
        yield use.conflict(
            FindingKind.TRANSPORT,
            Severity.BLOCKS if only else Severity.DEGRADES,
            f"{use.what} is no longer available over {names.upper().replace('COAP', 'CoAP')}",
            "",
            f"a binding over {names} at {use.new.name}, or a bridge",
        )
    if "mqtt" in before & after:
        yield from _mqtt_losses(use, commands=commands, tells=tells)
    if "coap" in before & after:
        yield from _coap_losses(use, "mqtt" in before & after)


def _carriers(profile: Profile, name: str) -> set[str]:
    bindings = profile.bindings
    return {
        transport
        for transport, bound in (("mqtt", bindings.mqtt), ("coap", bindings.coap))
        if bound is not None and name in {**bound.properties, **bound.actions, **bound.events}
    }


def _mqtt_losses(use: Use, *, commands: bool, tells: bool) -> Iterator[Conflict]:
    old, new = use.old.profile.bindings.mqtt, use.new.profile.bindings.mqtt
    assert old is not None and new is not None, "both are bound to MQTT"
    if use.before in old.properties and use.after in new.properties:
        before, after = old.properties[use.before], new.properties[use.after]
        if tells:
            yield from _reported_worse(use, (before.qos, after.qos), (before.retain, after.retain))
        if commands and after.command_qos < before.command_qos:
            what = f"commands for {use.what} have QoS {after.command_qos} instead of {before.command_qos}"
            yield use.conflict(FindingKind.QOS, Severity.DEGRADES, what)
        if _form(before, use.old.profile) != _form(after, use.new.profile):
            yield _renamed(use, before.state, after.state)
    elif use.before in old.events and use.after in new.events:
        reported, now_reported = old.events[use.before], new.events[use.after]
        yield from _reported_worse(
            use, (reported.qos, now_reported.qos), (reported.retain, now_reported.retain), event=True
        )
        forms = [
            (_without_unit(each.topic, device.profile), each.member, each.values)
            for each, device in ((reported, use.old), (now_reported, use.new))
        ]
        if forms[0] != forms[1]:
            yield _renamed(use, reported.topic, now_reported.topic)
    elif use.before in old.actions and use.after in new.actions:
        obeyed, obeys = old.actions[use.before], new.actions[use.after]
        if _without_unit(obeyed.command, use.old.profile) != _without_unit(obeys.command, use.new.profile):
            yield _renamed(use, obeyed.command, obeys.command)


def _reported_worse(
    use: Use, qos: tuple[int, int], retain: tuple[bool, bool], *, event: bool = False
) -> Iterator[Conflict]:
    if qos[1] < qos[0]:
        what = f"{use.what} is reported with QoS {qos[1]} instead of {qos[0]}: reports can be lost"
        yield use.conflict(FindingKind.QOS, Severity.DEGRADES, what)
    if retain[0] and not retain[1] and not event:
        what = f"{use.what} is no longer retained: clients that subscribe later do not receive it"
        yield use.conflict(FindingKind.RETAIN, Severity.DEGRADES, what)
    if retain[1] and not retain[0] and event:
        what = f"the event {use.what} is now retained: clients that subscribe later receive it as well"
        yield use.conflict(FindingKind.RETAIN, Severity.DEGRADES, what)


def _renamed(use: Use, before: str, after: str) -> Conflict:
    """A change of the device's own names. It breaks users only between versions of one device."""
    same = use.old.profile.profile == use.new.profile.profile
    moved = f"{after} instead of {before}" if before != after else f"{after} in another format"
    return use.conflict(
        FindingKind.NAMES,
        Severity.BLOCKS if same else Severity.DEGRADES,
        f"{use.what} is at {moved}: direct users have to be reconfigured",
        "",
        f"the names of {use.old.name}, or a hub that knows the new device",
    )


def _form(bound: MqttProperty, profile: Profile) -> tuple[object, ...]:
    """The topics and payload format of a property, independent of the unit."""
    command = None if bound.command is None else _without_unit(bound.command, profile)
    return _without_unit(bound.state, profile), bound.member, command, bound.command_member, bound.values


def _without_unit(text: str, profile: Profile) -> str:
    return text.replace(profile.unit, "{unit}")


def _coap_losses(use: Use, otherwise: bool) -> Iterator[Conflict]:
    old, new = use.old.profile.bindings.coap, use.new.profile.bindings.coap
    assert old is not None and new is not None, "both are bound to CoAP"
    bound = [
        coap.properties.get(name) or coap.events.get(name) or coap.actions.get(name)
        for coap, name in ((old, use.before), (new, use.after))
    ]
    before, after = bound
    assert before is not None and after is not None, "both carry it"
    if _observed(before) and not _observed(after):
        severity = Severity.DEGRADES if otherwise else Severity.BLOCKS
        what = f"{use.what} can no longer be observed: it only answers requests"
        yield use.conflict(FindingKind.NOT_TOLD, severity, what)
    if before.format is not after.format:
        what = f"{use.what} has the format {after.format} instead of {before.format}"
        yield use.conflict(FindingKind.FORMAT, Severity.DEGRADES, what)
    if before.path != after.path:
        yield _renamed(use, before.path, after.path)


def _observed(bound: object) -> bool:
    return isinstance(bound, CoapProperty) and bound.observe


def device_losses(old: Device, new: Device) -> Iterator[Conflict]:
    """What the device as a whole loses: deadlines, heartbeat, security, services, and new sleep."""
    yield from _slower_deadlines(old, new)
    yield from _rarer_reports(old, new)
    before, after = old.profile.bindings.mqtt, new.profile.bindings.mqtt
    if before is not None and after is not None:
        if after.sleep is not None and before.sleep is None:
            what = f"{new.name} sleeps most of the time, {old.name} did not: commands are lost or late"
            path: Path = ("bindings", "mqtt", "sleep")
            yield Conflict(
                FindingKind.SLEEP, Severity.BLOCKS, what, ("bindings", "mqtt"), path, "mains power"
            )
        yield from _mqtt_losses_of_device(old, new)
    yield from _less_secure(old, new)
    yield from _services(old, new)


def _slower_deadlines(old: Device, new: Device) -> Iterator[Conflict]:
    for key, what, severity in (
        ("settle", "executes commands", Severity.DEGRADES),
        ("report_local", "reports changes", Severity.DEGRADES),
        ("boot", "is ready after power-on", Severity.NOTE),
        ("reconnect", "reconnects after a broker outage", Severity.NOTE),
    ):
        before, after = getattr(old.profile.behaviour, key), getattr(new.profile.behaviour, key)
        if after > before:
            text = f"{new.name} {what} within {after:g} s, {old.name} within {before:g} s"
            path: Path = ("behaviour", key)
            yield Conflict(
                FindingKind.DEADLINE, severity, text, path, path, f"{before:g} s, or longer timeouts"
            )
    if old.profile.behaviour.invalid_value is not new.profile.behaviour.invalid_value:
        text = f"{new.name} will {new.profile.behaviour.invalid_value} a value out of range, "
        text += f"{old.name} did {old.profile.behaviour.invalid_value} it"
        path = ("behaviour", "invalid_value")
        yield Conflict(FindingKind.POLICY, Severity.NOTE, text, path, path, "the same policy")


def _rarer_reports(old: Device, new: Device) -> Iterator[Conflict]:
    before, after = old.reports_every, new.reports_every
    if before is None or (after is not None and after <= before):
        return
    reports = "only when it changes" if after is None else f"every {after:g} s"
    what = (
        f"{new.name} reports its state {reports}, {old.name} every {before:g} s: others may consider it lost"
    )
    path: Path = ("behaviour", "heartbeat")
    yield Conflict(FindingKind.DEADLINE, Severity.DEGRADES, what, path, path, f"a heartbeat of {before:g} s")


def _mqtt_losses_of_device(old: Device, new: Device) -> Iterator[Conflict]:
    before, after = old.profile.bindings.mqtt, new.profile.bindings.mqtt
    assert before is not None and after is not None, "asked by the caller"
    base: Path = ("bindings", "mqtt")
    if before.availability is not None and after.availability is None:
        what = f"{new.name} no longer reports when it is gone"
        path: Path = (*base, "availability")
        yield Conflict(FindingKind.AVAILABILITY, Severity.DEGRADES, what, path, path, "an availability topic")
    elif before.availability is not None and after.availability is not None:
        yield from _availability_changes(old, new, before.availability, after.availability)
    if after.maximum_payload < before.maximum_payload:
        what = f"{new.name} accepts {after.maximum_payload} bytes, {old.name} {before.maximum_payload}"
        path = (*base, "maximum_payload")
        yield Conflict(
            FindingKind.PAYLOAD_SIZE, Severity.DEGRADES, what, path, path, "the same maximum payload"
        )
    if after.version != before.version:
        what = f"{new.name} uses MQTT {after.version}, {old.name} {before.version}"
        path = (*base, "version")
        yield Conflict(
            FindingKind.MQTT_VERSION, Severity.NOTE, what, path, path, "a broker that supports both"
        )


def _availability_changes(
    old: Device, new: Device, before: Availability, after: Availability
) -> Iterator[Conflict]:
    path: Path = ("bindings", "mqtt", "availability")
    if after.qos < before.qos or (before.retain and not after.retain):
        what = f"{new.name} reports its availability with QoS {after.qos}"
        what += "" if after.retain else ", without retain"
        yield Conflict(FindingKind.AVAILABILITY, Severity.DEGRADES, what, path, path, "the same as before")
    forms = [
        (_without_unit(each.topic, device.profile), each.online, each.offline)
        for each, device in ((before, old), (after, new))
    ]
    if forms[0] != forms[1]:
        severity = Severity.BLOCKS if old.profile.profile == new.profile.profile else Severity.DEGRADES
        what = f"availability is reported by {after.online} and {after.offline} on {after.topic}"
        proposal = f"{before.online} and {before.offline} on {before.topic}, as before"
        yield Conflict(FindingKind.NAMES, severity, what, path, path, proposal)


def _less_secure(old: Device, new: Device) -> Iterator[Conflict]:
    before, after = old.security, new.security
    if before is after:
        return
    path: Path = ("ics",) if SecurityLevel.TLS in (before, after) else ("bindings", "mqtt", "login")
    if after.rank < before.rank:
        what = f"{new.name} has the protection {after}, {old.name} had {before}"
        yield Conflict(FindingKind.SECURITY, Severity.DEGRADES, what, path, path, f"{before} at {new.name}")
    else:
        what = f"{new.name} requires the protection {after}, {old.name} had {before}: it has to be set up"
        yield Conflict(
            FindingKind.SECURITY, Severity.NOTE, what, path, path, "credentials for the new device"
        )


def _services(old: Device, new: Device) -> Iterator[Conflict]:
    before = (
        {service.type for service in old.profile.bindings.mdns.services}
        if old.profile.bindings.mdns
        else set()
    )
    after = (
        {service.type for service in new.profile.bindings.mdns.services}
        if new.profile.bindings.mdns
        else set()
    )
    if before - after:
        lost = ", ".join(sorted(before - after))
        what = f"{new.name} does not announce {lost}: clients that search for it do not find the device"
        path: Path = ("bindings", "mdns", "services")
        yield Conflict(FindingKind.DISCOVERY, Severity.DEGRADES, what, path, path, "the same services")
