"""What the CoAP checks need from a profile: readable paths, writable settings, resources of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from harness.checks.payloads import Undecoded, decode_coap, encode_coap
from harness.model.affordance import Property
from harness.model.base import Value
from harness.model.bindings.coap import (
    CoapBinding,
    CoapProperty,
    CoapResource,
    ContentFormat,
)
from harness.model.profile import Profile
from harness.model.rule import Condition
from harness.model.schema import DataType
from harness.wire import coap

LINKS = "/.well-known/core"
LARGEST_BLOCK = 1024


@dataclass(frozen=True)
class Setting:
    """A property with a CoAP resource, and the encoding of its values."""

    name: str
    bound: CoapProperty
    schema: Property

    @property
    def path(self) -> str:
        """The path of its resource."""
        return self.bound.path

    @property
    def format(self) -> int:
        """The Content-Format of its resource."""
        return self.bound.format.number

    def payload(self, value: Value) -> bytes:
        """The payload that commands ``value``."""
        return encode_coap(value, self.bound.format, self.bound.member)

    def decode(self, message: coap.Message) -> Value | Undecoded:
        """The value in a representation."""
        return decode_coap(
            message.payload, message.content_format, self.bound.member, self.format, self.schema
        )


def binding_of(profile: Profile) -> CoapBinding:
    """The CoAP binding; always present, because these checks apply only to devices with one."""
    return profile.bindings.coap or CoapBinding()


def bound_properties(profile: Profile) -> list[Setting]:
    """Every property that has a CoAP resource."""
    bound = binding_of(profile).properties
    return [Setting(name, each, profile.properties[name]) for name, each in bound.items()]


def settings(profile: Profile) -> list[Setting]:
    """Settings that can be written, read back and changed; those that no rule mentions come first."""
    ruled = names_in_rules(profile)
    usable = [
        setting
        for setting in bound_properties(profile)
        if setting.schema.writable
        and not setting.schema.write_only
        and other_value(setting.schema, default_of(setting.schema)) is not None
    ]
    return sorted(usable, key=lambda setting: setting.name in ruled)


def free_settings(profile: Profile) -> list[Setting]:
    """Settings that no rule of the profile mentions; if there are none, the first setting."""
    ruled = names_in_rules(profile)
    usable = settings(profile)
    return [setting for setting in usable if setting.name not in ruled] or usable[:1]


def named(profile: Profile, name: str | None) -> Setting:
    """The setting of that name."""
    return next(each for each in settings(profile) if each.name == name)


def steady_settings(profile: Profile) -> list[Setting]:
    """Settings that no behaviour rule changes; if there are none, the first setting."""
    changed = {
        name for rule in profile.behaviour.rules for condition in rule.then for name in condition.names
    }
    return [each for each in settings(profile) if each.name not in changed] or settings(profile)[:1]


def levers(profile: Profile) -> list[Setting]:
    """Observed properties that can be changed from outside: writable ones first, then sensors."""
    ruled = names_in_rules(profile)
    observed = [setting for setting in bound_properties(profile) if setting.bound.observe]
    movable = [
        setting
        for setting in observed
        if setting.name not in ruled
        and not setting.schema.write_only
        and other_value(setting.schema, default_of(setting.schema)) is not None
    ]
    return sorted(movable, key=lambda setting: setting.schema.read_only)


def observed_properties(profile: Profile) -> list[Setting]:
    """Observed properties that can be read; those that no rule mentions come first."""
    ruled = names_in_rules(profile)
    observed = [
        each for each in bound_properties(profile) if each.bound.observe and not each.schema.write_only
    ]
    return sorted(observed, key=lambda setting: setting.name in ruled)


def names_in_rules(profile: Profile) -> frozenset[str]:
    """The properties that behaviour rules mention, and meters: their values may change without a command."""

    def conditions() -> Iterator[Condition]:
        for rule in profile.behaviour.rules:
            yield from (*rule.when, *rule.while_, *rule.then, *rule.refuse)

    named = {name for condition in conditions() for name in condition.names}
    integrals = {schema.integral_of for schema in profile.properties.values() if schema.integral_of}
    return frozenset(named | integrals)


def readable_paths(profile: Profile, *, slow: bool = True) -> list[str]:
    """Every path of the profile that has GET; with ``slow`` False, without resources that take time."""
    binding = binding_of(profile)
    hidden = {bound.path for name, bound in binding.properties.items() if profile.properties[name].write_only}
    paths = [bound.path for bound in binding.properties.values() if bound.path not in hidden]
    paths += [bound.path for bound in binding.events.values()]
    paths += [resource.path for resource in binding.resources if slow or not resource.takes]
    return list(dict.fromkeys(paths))


def plain_path(profile: Profile) -> str:
    """A resource that is read at once and in one block; otherwise the list of links."""
    large = {resource.path for resource in binding_of(profile).resources if resource.size > LARGEST_BLOCK}
    paths = [path for path in readable_paths(profile, slow=False) if path not in large]
    return paths[0] if paths else LINKS


def all_paths(profile: Profile) -> set[str]:
    """Every path that the profile declares."""
    binding = binding_of(profile)
    parts: Iterable[Iterable[object]] = (
        binding.properties.values(),
        binding.actions.values(),
        binding.events.values(),
        binding.resources,
    )
    return {getattr(each, "path", "") for part in parts for each in part}


def formats(profile: Profile) -> dict[str, ContentFormat]:
    """The declared format of each readable path."""
    binding = binding_of(profile)
    found = {bound.path: bound.format for bound in binding.properties.values()}
    found |= {bound.path: bound.format for bound in binding.events.values()}
    found |= {resource.path: resource.format for resource in binding.resources}
    return {path: found[path] for path in readable_paths(profile)}


def slow_resource(profile: Profile) -> CoapResource | None:
    """A resource that is answered by a separate response."""
    return next((resource for resource in binding_of(profile).resources if resource.takes > 0), None)


def large_resource(profile: Profile) -> CoapResource | None:
    """A resource that needs more than one block of the largest size."""
    large = (resource for resource in binding_of(profile).resources if resource.size > LARGEST_BLOCK)
    return min(large, key=lambda resource: resource.takes, default=None)


def default_of(schema: Property) -> Value:
    """The declared default, or some other legal value."""
    if schema.default is not None:
        return schema.default
    if schema.enum:
        return schema.enum[0]
    if schema.type is DataType.BOOLEAN:
        return False
    if schema.type is DataType.STRING:
        return "a" * (schema.min_length or 0)
    return schema.minimum or schema.maximum or 0


def other_value(schema: Property, present: Value) -> Value | None:
    """A legal value near ``present`` that a report cannot confuse with it; None if there is none."""
    if schema.type is DataType.BOOLEAN:
        return (not present) if isinstance(present, bool) else None
    if schema.enum:
        return next((value for value in schema.enum if not schema.agrees(value, present)), None)
    if schema.type is DataType.STRING:
        texts = (letter * max(1, schema.min_length or 0) for letter in "ab")
        return next((text for text in texts if text != present and schema.accepts(text)), None)
    if schema.type not in (DataType.INTEGER, DataType.NUMBER) or isinstance(present, bool):
        return None
    if not isinstance(present, int | float):
        return None
    step = Fraction(repr(schema.multiple_of)) if schema.multiple_of else Fraction(1)
    steps = int(2 * Fraction(repr(schema.tolerance)) / step) + 1
    for change in (steps * step, -steps * step):
        value = Fraction(repr(present)) + change
        candidate = int(value) if value.denominator == 1 else float(value)
        if schema.accepts(candidate) and not schema.agrees(candidate, present):
            return candidate
    return None
