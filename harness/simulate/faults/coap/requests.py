"""Faults in how the CoAP server handles requests: options, methods, formats, errors (RFC 7252, section 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.model.bindings.coap import CoapBinding
from harness.model.profile import Profile
from harness.simulate.faults import Applies, fault
from harness.simulate.faults.coap._rewriting import (
    front,
    has_coap,
    observes,
    responses,
    without,
)
from harness.wire import coap

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice

INTERNAL_SERVER_ERROR = 0xA0


def writes(*formats: str) -> Applies:
    """A device with a CoAP setting in one of these formats, or in any if none is given."""

    def found(profile: Profile) -> bool:
        bound = (profile.bindings.coap or CoapBinding()).properties
        return any(
            profile.properties[name].writable and (not formats or each.format in formats)
            for name, each in bound.items()
        )

    return found


def has_json_switch(profile: Profile) -> bool:
    """A device with a JSON switch over CoAP that no rule changes."""
    bound = (profile.bindings.coap or CoapBinding()).properties
    ruled = {name for rule in profile.behaviour.rules for condition in rule.then for name in condition.names}
    return any(
        profile.properties[name].writable
        and profile.properties[name].type == "boolean"
        and each.format == "json"
        and name not in ruled
        for name, each in bound.items()
    )


@fault(
    name="coap-elective-options-refused",
    title="refuses requests with an unknown elective option",
    breaks=("COAP-CORE-20",),
    applies=has_coap,
)
def elective_options_refused(device: SimulatedDevice) -> None:
    """Newer clients cannot use it."""
    front(device).deviate(ignore_elective_options=False)


@fault(
    name="coap-critical-options-ignored",
    title="carries out requests with an unknown critical option",
    breaks=("COAP-CORE-21", "COAP-CORE-22"),
    applies=has_coap,
)
def critical_options_ignored(device: SimulatedDevice) -> None:
    """It does something else than the client requested."""
    front(device).deviate(refuse_critical_options=False)


@fault(
    name="coap-repeated-options-accepted",
    title="uses the last of several options where only one is allowed",
    breaks=("COAP-CORE-23",),
    applies=has_coap,
)
def repeated_options_accepted(device: SimulatedDevice) -> None:
    """The parser writes each into the same field."""
    front(device).deviate(check_option_lengths=False)


@fault(
    name="coap-leading-zeros-misread",
    title="does not understand numbers with leading zeros in options",
    breaks=("COAP-CORE-25",),
    seen_as="F-COAP-44",
    applies=has_coap,
)
def leading_zeros_misread(device: SimulatedDevice) -> None:
    """It compares bytes instead of numbers."""
    front(device).deviate(accept_leading_zeros=False)


@fault(
    name="coap-observe-outgrows-option",
    title="counts notifications in four bytes",
    breaks=("COAP-CORE-26",),
    seen_as="F-COAP-07",
    applies=observes,
)
def observe_outgrows_option(device: SimulatedDevice) -> None:
    """The sequence number is the number of seconds since 1970."""
    front(device).deviate(observe_start=0x5F000000, observe_bits=None)


@fault(
    name="coap-host-name-refused",
    title="refuses requests with a host name",
    breaks=("COAP-CORE-27",),
    seen_as="F-COAP-18",
    applies=has_coap,
)
def host_name_refused(device: SimulatedDevice) -> None:
    """It can be used by address, but not by name."""
    front(device).deviate(understand_uri_host=False)


@fault(
    name="coap-proxying-not-refused",
    title="ignores Proxy-Uri",
    breaks=("COAP-CORE-28",),
    applies=has_coap,
)
def proxying_not_refused(device: SimulatedDevice) -> None:
    """A request for another server is answered as if it were for this one."""
    front(device).deviate(refuse_proxying=False)


@fault(
    name="coap-errors-all-alike",
    title="answers every wrong request with 5.00",
    breaks=("COAP-CORE-30", "COAP-CORE-31", "COAP-CORE-36"),
    seen_as="F-COAP-27",
    applies=has_coap,
)
def errors_all_alike(device: SimulatedDevice) -> None:
    """The client cannot tell its own mistakes from those of the server."""
    front(device).deviate(errors_as=INTERNAL_SERVER_ERROR)


@fault(
    name="coap-get-switches",
    title="toggles a switch when it is read",
    breaks=("COAP-CORE-32",),
    seen_as="F-COAP-29",
    applies=has_json_switch,
)
def get_switches(device: SimulatedDevice) -> None:
    """One handler serves all methods."""
    front(device).deviate(get_has_side_effect=True)


@fault(
    name="coap-put-toggles",
    title="toggles a switch when it is written, whatever the value",
    breaks=("COAP-CORE-33",),
    seen_as="F-COAP-29",
    applies=has_json_switch,
)
def put_toggles(device: SimulatedDevice) -> None:
    """The handler was written for a push button."""
    front(device).deviate(put_toggles=True)


@fault(
    name="coap-accept-ignored",
    title="answers in its own format, whatever the client accepts",
    breaks=("COAP-CORE-36",),
    seen_as="F-COAP-36",
    applies=has_coap,
)
def accept_ignored(device: SimulatedDevice) -> None:
    """Clients that read only JSON get CBOR."""
    front(device).deviate(obey_accept=False)


@fault(
    name="coap-content-format-ignored",
    title="reads every payload in its own format, whatever its Content-Format",
    breaks=("COAP-CORE-37",),
    seen_as="F-COAP-36",
    applies=writes(),
)
def content_format_ignored(device: SimulatedDevice) -> None:
    """CBOR is read as text."""
    front(device).deviate(check_content_format=False)


@fault(
    name="coap-content-format-missing",
    title="omits the Content-Format of its representations",
    breaks=("PROFILE-22",),
    applies=has_coap,
)
def content_format_missing(device: SimulatedDevice) -> None:
    """The maker's app does not need it."""

    front(device).outgoing.append(
        responses(lambda response: without(response, coap.OptionNumber.CONTENT_FORMAT))
    )


@fault(
    name="coap-diagnostics-in-latin-1",
    title="writes its error texts in another character set than UTF-8",
    breaks=("COAP-CORE-41",),
    applies=has_coap,
)
def diagnostics_in_latin_1(device: SimulatedDevice) -> None:
    """The texts contain umlauts in Latin-1."""

    def translate(response: coap.Message) -> coap.Message:
        refused = response.code >= coap.Code.BAD_REQUEST and response.payload
        return replace(response, payload="nicht möglich".encode("latin-1")) if refused else response

    front(device).outgoing.append(responses(translate))
