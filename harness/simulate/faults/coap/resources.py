"""Faults in the list of links (RFC 6690) and in block-wise transfers (RFC 7959)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.model.profile import Profile
from harness.simulate.coap.links import LinkEntry
from harness.simulate.faults import fault
from harness.simulate.faults.coap._rewriting import (
    front,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


def has_large_resource(profile: Profile) -> bool:
    """A device with a resource that needs several blocks."""
    binding = profile.bindings.coap
    return binding is not None and any(resource.size > 1024 for resource in binding.resources)


def observes_something(profile: Profile) -> bool:
    """A device with an observable resource."""
    binding = profile.bindings.coap
    return lists_resources(profile) and any(
        bound.observe for bound in (binding.properties.values() if binding else ())
    )


def has_types(profile: Profile) -> bool:
    """A device whose resources have types."""
    binding = profile.bindings.coap
    return binding is not None and any(bound.resource_type for bound in binding.properties.values())


def lists_resources(profile: Profile) -> bool:
    """A device with a list of its resources."""
    return profile.bindings.coap is not None and profile.bindings.coap.links


@fault(
    name="coap-links-prettily-printed",
    title="puts spaces between the links of its list",
    breaks=("COAP-LINK-01",),
    applies=lists_resources,
)
def links_prettily_printed(device: SimulatedDevice) -> None:
    """Easier to read, but not link format any more."""
    front(device).deviate(link_separator=", ")


@fault(
    name="coap-link-filter-without-prefixes",
    title="does not support prefixes in link filters",
    breaks=("COAP-LINK-02",),
    applies=lists_resources,
)
def link_filter_without_prefixes(device: SimulatedDevice) -> None:
    """The star is compared like any other character."""
    front(device).deviate(filter_prefixes=False)


@fault(
    name="coap-links-out-of-date",
    title="lists a resource that it no longer has",
    breaks=("COAP-LINK-04",),
    seen_as="F-COAP-30",
    applies=lists_resources,
)
def links_out_of_date(device: SimulatedDevice) -> None:
    """The list is a constant text."""
    front(device).deviate(links_match=False)


@fault(
    name="coap-link-obs-with-value",
    title="lists observable resources with obs=1",
    breaks=("COAP-LINK-05",),
    seen_as="F-COAP-30",
    applies=observes_something,
)
def link_obs_with_value(device: SimulatedDevice) -> None:
    """All attributes are written with a value."""

    def valued(link: LinkEntry) -> LinkEntry:
        return replace(
            link,
            attributes=tuple((name, "1" if name == "obs" else value) for name, value in link.attributes),
        )

    front(device).deviate(alter_link=valued)


@fault(
    name="coap-link-missing",
    title="does not list its last resource",
    breaks=("PROFILE-20",),
    seen_as="F-COAP-30",
    applies=lists_resources,
)
def link_missing(device: SimulatedDevice) -> None:
    """The list was written before the resource was added."""
    last = front(device).resources[-2].path  # the very last is the list itself
    front(device).deviate(alter_link=lambda link: None if link.target == last else link)


def has_unobserved_setting(profile: Profile) -> bool:
    """A device with a property or an action that is declared as not observable."""
    binding = profile.bindings.coap
    return (
        binding is not None
        and lists_resources(profile)
        and bool(binding.actions or any(not bound.observe for bound in binding.properties.values()))
    )


def has_resources(profile: Profile) -> bool:
    """A device with fixed resources, which the profile declares neither observable nor not."""
    binding = profile.bindings.coap
    return binding is not None and lists_resources(profile) and bool(binding.resources)


@fault(
    name="coap-links-claim-observation",
    title="lists every property and action as observable",
    breaks=("PROFILE-20", "COAP-LINK-04"),
    seen_as="F-COAP-30",
    applies=has_unobserved_setting,
)
def links_claim_observation(device: SimulatedDevice) -> None:
    """The attribute was copied to all links."""
    binding = device.profile.bindings.coap
    assert binding is not None
    paths = {bound.path for bound in binding.properties.values()}
    _claim_observation(device, paths | {action.path for action in binding.actions.values()})


@fault(
    name="coap-files-claim-observation",
    title="lists its files, which never change, as observable",
    breaks=("COAP-LINK-04",),
    seen_as="F-COAP-30",
    applies=has_resources,
)
def files_claim_observation(device: SimulatedDevice) -> None:
    """The attribute is a default of the framework."""
    binding = device.profile.bindings.coap
    assert binding is not None
    _claim_observation(device, {resource.path for resource in binding.resources})


def _claim_observation(device: SimulatedDevice, paths: Collection[str]) -> None:
    def claimed(link: LinkEntry) -> LinkEntry:
        if link.target not in paths or ("obs", None) in link.attributes:
            return link
        return replace(link, attributes=(*link.attributes, ("obs", None)))

    front(device).deviate(alter_link=claimed)


@fault(
    name="coap-block-size-constant",
    title="sends blocks of 1024 bytes, whatever size is requested",
    breaks=("COAP-BLOCK-01",),
    seen_as="F-COAP-33",
    applies=has_large_resource,
)
def block_size_constant(device: SimulatedDevice) -> None:
    """Clients with little memory cannot hold them."""
    front(device).deviate(obey_block_size=False)


@fault(
    name="coap-small-blocks-refused",
    title="refuses blocks of less than 64 bytes",
    breaks=("COAP-BLOCK-01",),
    applies=has_large_resource,
)
def small_blocks_refused(device: SimulatedDevice) -> None:
    """Nobody expected a client with so little memory."""
    front(device).deviate(smallest_block=64)


@fault(
    name="coap-blocks-without-etag",
    title="sends blocks without an ETag",
    breaks=("COAP-BLOCK-02",),
    applies=has_large_resource,
)
def blocks_without_etag(device: SimulatedDevice) -> None:
    """A client cannot check that they belong together."""
    front(device).deviate(block_etag=False)


@fault(
    name="coap-body-made-anew-for-each-block",
    title="generates a large representation again for each block",
    breaks=("COAP-BLOCK-02",),
    seen_as="F-COAP-14",
    applies=has_large_resource,
)
def body_made_anew_for_each_block(device: SimulatedDevice) -> None:
    """The blocks do not fit together, but have the same ETag."""
    front(device).deviate(body_changes_between_blocks=True)


@fault(
    name="coap-block-fields-unchecked",
    title="treats the reserved block size as 1024 bytes",
    breaks=("COAP-BLOCK-03",),
    seen_as="F-COAP-48",
    applies=has_large_resource,
)
def block_fields_unchecked(device: SimulatedDevice) -> None:
    """The exponent is limited instead of checked."""
    front(device).deviate(check_block_fields=False)


@fault(
    name="coap-block-more-bit-obeyed",
    title="sends the next block when a request has the M bit",
    breaks=("COAP-BLOCK-04",),
    seen_as="F-COAP-48",
    applies=has_large_resource,
)
def block_more_bit_obeyed(device: SimulatedDevice) -> None:
    """The same code reads the option in requests and in responses."""
    front(device).deviate(ignore_more_in_requests=False)
