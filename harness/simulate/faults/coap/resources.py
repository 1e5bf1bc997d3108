"""Faults in what the CoAP server lists (RFC 6690) and in how it tells large things (RFC 7959)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.model.profile import Profile
from harness.simulate.coap.links import LinkEntry
from harness.simulate.faults import fault
from harness.simulate.faults.coap._rewriting import (
    front,
    has_coap,
)

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


def has_large_resource(profile: Profile) -> bool:
    """A device with a resource that takes several blocks."""
    binding = profile.bindings.coap
    return binding is not None and any(resource.size > 1024 for resource in binding.resources)


def observes_something(profile: Profile) -> bool:
    """A device with a resource that can be observed."""
    binding = profile.bindings.coap
    return binding is not None and any(bound.observe for bound in binding.properties.values())


def has_types(profile: Profile) -> bool:
    """A device whose resources have types."""
    binding = profile.bindings.coap
    return binding is not None and any(bound.resource_type for bound in binding.properties.values())


@fault(
    name="coap-links-prettily-printed",
    title="puts spaces between the links of its list",
    breaks=("COAP-LINK-01",),
    applies=has_coap,
)
def links_prettily_printed(device: SimulatedDevice) -> None:
    """Nicer to read, and no link format any more."""
    front(device).deviate(link_separator=", ")


@fault(
    name="coap-link-filter-without-prefixes",
    title="finds no link by the beginning of an attribute",
    breaks=("COAP-LINK-02",),
    applies=has_coap,
)
def link_filter_without_prefixes(device: SimulatedDevice) -> None:
    """The star is a letter like others."""
    front(device).deviate(filter_prefixes=False)


@fault(
    name="coap-links-out-of-date",
    title="lists a resource that it no longer has",
    breaks=("COAP-LINK-04",),
    seen_as="F-COAP-30",
    applies=has_coap,
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
    """All attributes are written in one manner."""

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
    applies=has_coap,
)
def link_missing(device: SimulatedDevice) -> None:
    """It was added later than the list was written."""
    last = front(device).resources[-2].path  # the very last is the list itself
    front(device).deviate(alter_link=lambda link: None if link.target == last else link)


def has_unobserved_setting(profile: Profile) -> bool:
    """A device with a property or an action that the profile declares not to be observed."""
    binding = profile.bindings.coap
    return binding is not None and bool(
        binding.actions or any(not bound.observe for bound in binding.properties.values())
    )


def has_resources(profile: Profile) -> bool:
    """A device with resources of which the profile does not say whether they can be observed."""
    return profile.bindings.coap is not None and bool(profile.bindings.coap.resources)


@fault(
    name="coap-links-claim-observation",
    title="lists every property and action as observable",
    breaks=("PROFILE-20", "COAP-LINK-04"),
    seen_as="F-COAP-30",
    applies=has_unobserved_setting,
)
def links_claim_observation(device: SimulatedDevice) -> None:
    """Copied from the first line to all others."""
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
    title="sends blocks of 1024 bytes, whatever size is asked for",
    breaks=("COAP-BLOCK-01",),
    seen_as="F-COAP-33",
    applies=has_large_resource,
)
def block_size_constant(device: SimulatedDevice) -> None:
    """Small clients cannot hold them."""
    front(device).deviate(obey_block_size=False)


@fault(
    name="coap-blocks-without-etag",
    title="does not tag its blocks",
    breaks=("COAP-BLOCK-02",),
    applies=has_large_resource,
)
def blocks_without_etag(device: SimulatedDevice) -> None:
    """A client cannot see that they belong together."""
    front(device).deviate(block_etag=False)


@fault(
    name="coap-body-made-anew-for-each-block",
    title="makes a large representation anew for each block",
    breaks=("COAP-BLOCK-02",),
    seen_as="F-COAP-14",
    applies=has_large_resource,
)
def body_made_anew_for_each_block(device: SimulatedDevice) -> None:
    """The blocks do not fit together, and say that they do."""
    front(device).deviate(body_changes_between_blocks=True)


@fault(
    name="coap-block-fields-unchecked",
    title="takes the reserved block size for one of 1024 bytes",
    breaks=("COAP-BLOCK-03",),
    seen_as="F-COAP-48",
    applies=has_large_resource,
)
def block_fields_unchecked(device: SimulatedDevice) -> None:
    """The exponent is limited, not checked."""
    front(device).deviate(check_block_fields=False)


@fault(
    name="coap-block-more-bit-obeyed",
    title="sends the next block when a request has the M bit",
    breaks=("COAP-BLOCK-04",),
    seen_as="F-COAP-48",
    applies=has_large_resource,
)
def block_more_bit_obeyed(device: SimulatedDevice) -> None:
    """One routine for both directions."""
    front(device).deviate(ignore_more_in_requests=False)
