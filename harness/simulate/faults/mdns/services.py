"""Faults in how the device advertises its services (RFC 6763)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.simulate.faults import fault
from harness.simulate.faults.mdns._rewriting import (
    declared_txt,
    named_with_dot,
    offers_services,
    offers_subtypes,
    responder,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


@fault(
    name="dnssd-txt-stale",
    title="has another firmware version in its TXT record than it runs",
    breaks=("PROFILE-40",),
    seen_as="F-DNSSD-08",
    applies=lambda profile: offers_services(profile) and any(declared_txt(profile)),
)
def dnssd_txt_stale(device: SimulatedDevice) -> None:
    """The update did not change the record."""
    first, *rest = declared_txt(device.profile)
    key = first.partition(b"=")[0]
    responder(device).deviate(txt=(*rest, key + b"=0.9.0"))


@fault(
    name="dnssd-pointer-to-old-name",
    title="points to a name that has no service",
    breaks=("DNSSD-01",),
    seen_as="F-DNSSD-09",
    applies=offers_services,
)
def dnssd_pointer_to_old_name(device: SimulatedDevice) -> None:
    """The name was changed in one of three places."""
    responder(device).deviate(pointer_name="ESP_0042")


@fault(
    name="dnssd-wrong-port",
    title="advertises a port without a listener",
    breaks=("DNSSD-07",),
    seen_as="F-DNSSD-04",
    applies=offers_services,
)
def dnssd_wrong_port(device: SimulatedDevice) -> None:
    """The service was moved, but its record was not."""
    responder(device).deviate(srv_port_offset=1)


@fault(
    name="dnssd-enumerates-instances",
    title="lists instance names in the enumeration of service types",
    breaks=("DNSSD-09",),
    seen_as="F-DNSSD-05",
    applies=offers_services,
)
def dnssd_enumerates_instances(device: SimulatedDevice) -> None:
    """The meta-query is treated as browsing."""
    responder(device).deviate(enumerates_instances=True)


@fault(
    name="dnssd-not-enumerated",
    title="does not answer the enumeration of service types",
    breaks=("DNSSD-09",),
    seen_as="F-DNSSD-05",
    applies=offers_services,
)
def dnssd_not_enumerated(device: SimulatedDevice) -> None:
    """Only clients that know its type find it."""
    responder(device).deviate(enumerates=False)


@fault(
    name="dnssd-subtypes-missing",
    title="is not found under its declared subtypes",
    breaks=("DNSSD-10",),
    seen_as="F-DNSSD-10",
    applies=offers_subtypes,
)
def dnssd_subtypes_missing(device: SimulatedDevice) -> None:
    """They are only in the data sheet."""
    responder(device).deviate(subtypes=False)


@fault(
    name="dnssd-no-additional-records",
    title="answers each question with the requested record only",
    breaks=("DNSSD-11",),
    applies=offers_services,
)
def dnssd_no_additional_records(device: SimulatedDevice) -> None:
    """Finding it takes three round trips."""
    responder(device).deviate(additional_records=False)


@fault(
    name="dnssd-txt-empty",
    title="sends an empty TXT record instead of one empty string",
    breaks=("DNSSD-02",),
    applies=offers_services,
)
def dnssd_txt_empty(device: SimulatedDevice) -> None:
    """A record without keys still needs one empty string."""
    responder(device).deviate(txt=())


@fault(
    name="dnssd-txt-without-key",
    title="has a TXT string that begins with the equals sign",
    breaks=("DNSSD-02",),
    applies=offers_services,
)
def dnssd_txt_without_key(device: SimulatedDevice) -> None:
    """The key was empty in the configuration."""
    responder(device).deviate(txt=(*declared_txt(device.profile), b"=1"))


@fault(
    name="dnssd-txt-long-keys",
    title="has long TXT keys",
    breaks=("DNSSD-03", "PROFILE-40"),
    applies=offers_services,
)
def dnssd_txt_long_keys(device: SimulatedDevice) -> None:
    """Every byte of them is multicast again and again."""
    responder(device).deviate(txt=(*declared_txt(device.profile), b"configurationurl=/setup"))


@fault(
    name="dnssd-port-in-txt",
    title="repeats the port in the TXT record",
    breaks=("DNSSD-04", "PROFILE-40"),
    applies=offers_services,
)
def dnssd_port_in_txt(device: SimulatedDevice) -> None:
    """The two may differ one day."""
    front, profile = responder(device), device.profile
    assert profile.bindings.mdns is not None
    port = profile.bindings.mdns.services[0].port
    front.deviate(txt=(*declared_txt(profile), f"port={port}".encode()))


@fault(
    name="dnssd-illegal-type",
    title="announces a service type that is too long and has underscores inside",
    breaks=("DNSSD-05", "PROFILE-40"),
    seen_as="F-DNSSD-07",
    applies=offers_services,
)
def dnssd_illegal_type(device: SimulatedDevice) -> None:
    """The maker invented the type."""
    mdns = device.profile.bindings.mdns
    assert mdns is not None
    protocol = mdns.services[0].type.rpartition(".")[2]
    responder(device).deviate(service_type=f"_my_smart_appliance_v2.{protocol}")


@fault(
    name="dnssd-dot-splits-name",
    title="splits its name at dots",
    breaks=("DNSSD-06", "PROFILE-40"),
    seen_as="F-DNSSD-06",
    applies=named_with_dot,
)
def dnssd_dot_splits_name(device: SimulatedDevice) -> None:
    """Names are assembled as text and split at every dot."""
    responder(device).deviate(splits_dots=True)


@fault(
    name="dnssd-weight",
    title="has a weight in its SRV record, as if there were several servers",
    breaks=("DNSSD-08",),
    applies=offers_services,
)
def dnssd_weight(device: SimulatedDevice) -> None:
    """Copied from an example of unicast DNS."""
    responder(device).deviate(srv_weight=10)
