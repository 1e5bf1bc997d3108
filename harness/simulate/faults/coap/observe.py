"""Faults in how the CoAP server notifies its observers (RFC 7641)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.coap._rewriting import (
    ACK,
    front,
    kind_of,
    observes,
    observes_confirmably,
    response_code,
    without,
)
from harness.wire import coap

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


@fault(
    name="coap-changes-not-notified",
    title="accepts observations but never notifies",
    breaks=("COAP-OBS-01", "COAP-OBS-02"),
    seen_as="F-COAP-10",
    applies=observes,
)
def changes_not_notified(device: SimulatedDevice) -> None:
    """Displays show old values."""
    front(device).deviate(notify=False)


@fault(
    name="coap-full-list-of-observers-confirms",
    title="confirms observations although its list of observers is full",
    breaks=("COAP-OBS-02",),
    seen_as="F-COAP-30",
    applies=observes,
)
def full_list_of_observers_confirms(device: SimulatedDevice) -> None:
    """The fifth display shows old values."""
    front(device).deviate(admit_when_full=True)


@fault(
    name="coap-deregistration-ignored",
    title="notifies clients that have deregistered",
    breaks=("COAP-OBS-03",),
    seen_as="F-COAP-08",
    applies=observes,
)
def deregistration_ignored(device: SimulatedDevice) -> None:
    """The clients must reject the notifications."""
    front(device).deviate(obey_deregistration=False)


@fault(
    name="coap-notifications-without-token",
    title="sends notifications without the token of the registration",
    breaks=("COAP-OBS-04",),
    seen_as="F-COAP-20",
    applies=observes,
)
def notifications_without_token(device: SimulatedDevice) -> None:
    """Clients cannot match them to their observations."""
    front(device).deviate(echo_token=False)


@fault(
    name="coap-observe-constant",
    title="sends the same Observe value in all notifications",
    breaks=("COAP-OBS-05",),
    seen_as="F-COAP-05",
    applies=observes,
)
def observe_constant(device: SimulatedDevice) -> None:
    """Clients treat every notification as old."""
    front(device).deviate(observe_step=0)


@fault(
    name="coap-observe-repeats-first",
    title="repeats the Observe value of the response in the first notification",
    breaks=("COAP-OBS-05",),
    seen_as="F-COAP-04",
    applies=observes,
)
def observe_repeats_first(device: SimulatedDevice) -> None:
    """Clients drop the first change."""
    front(device).deviate(observe_first_repeats=True)


@fault(
    name="coap-observe-in-one-byte",
    title="counts notifications in one byte",
    breaks=("COAP-OBS-05",),
    seen_as="F-COAP-06",
    applies=observes,
)
def observe_in_one_byte(device: SimulatedDevice) -> None:
    """After 256 changes clients drop all later ones."""
    front(device).deviate(observe_bits=8)


@fault(
    name="coap-reset-of-notification-ignored",
    title="notifies clients that reject its notifications",
    breaks=("COAP-OBS-07",),
    seen_as="F-COAP-09",
    applies=observes,
)
def reset_of_notification_ignored(device: SimulatedDevice) -> None:
    """A client that lost its token cannot stop the notifications."""
    front(device).deviate(obey_reset=False)


@fault(
    name="coap-silent-observers-kept",
    title="keeps observers that acknowledge nothing",
    breaks=("COAP-OBS-08",),
    seen_as="F-COAP-08",
    applies=observes_confirmably,
)
def silent_observers_kept(device: SimulatedDevice) -> None:
    """The list fills up with clients that have disappeared."""
    front(device).deviate(drop_silent_observers=False)


@fault(
    name="coap-registrations-pile-up",
    title="adds a client to the list again with each registration",
    breaks=("COAP-OBS-10",),
    seen_as="F-COAP-08",
    applies=observes,
)
def registrations_pile_up(device: SimulatedDevice) -> None:
    """Every change is notified twice."""
    front(device).deviate(replace_registration=False)


@fault(
    name="coap-plain-get-ends-observation",
    title="ends an observation when its client reads the resource",
    breaks=("COAP-OBS-11",),
    applies=observes,
)
def plain_get_ends_observation(device: SimulatedDevice) -> None:
    """An early draft of the standard required this."""
    front(device).deviate(plain_get_cancels=True)


@fault(
    name="coap-notifications-without-format",
    title="omits the Content-Format in notifications",
    breaks=("COAP-OBS-14",),
    applies=observes,
)
def notifications_without_format(device: SimulatedDevice) -> None:
    """Other code than that of the responses builds them."""

    def strip(datagram: bytes) -> list[bytes]:
        message = coap.decode(datagram)
        if not response_code(datagram) or kind_of(datagram) == ACK or message.observe is None:
            return [datagram]
        return [coap.encode(without(message, coap.OptionNumber.CONTENT_FORMAT))]

    front(device).outgoing.append(strip)


@fault(
    name="coap-notifications-all-at-once",
    title="sends a client several notifications without waiting for its ACK",
    breaks=("COAP-OBS-16",),
    seen_as="F-COAP-31",
    applies=observes_confirmably,
)
def notifications_all_at_once(device: SimulatedDevice) -> None:
    """Slow clients are flooded."""
    front(device).deviate(one_outstanding=False)


@fault(
    name="coap-one-observer-only",
    title="accepts only one observer for each resource",
    breaks=("PROFILE-23",),
    applies=observes,
)
def one_observer_only(device: SimulatedDevice) -> None:
    """It has a single field instead of a list."""
    front(device).deviate(observers=1)


@fault(
    name="coap-notifications-of-other-type",
    title="sends notifications of the other type than declared",
    breaks=("PROFILE-24",),
    applies=observes,
)
def notifications_of_other_type(device: SimulatedDevice) -> None:
    """A build option was changed."""
    binding = device.profile.bindings.coap
    assert binding is not None
    front(device).deviate(confirmable_notifications=not binding.confirmable_notifications)
