"""Generated pages of the documentation site: what the code and the files at the root already say.

mkdocs calls :func:`on_files` (``hooks`` in ``mkdocs.yml``). ``python tools/site_pages.py DIR`` writes the
same pages as Markdown files into a folder.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

# Files at the root that are pages of the site as well.
AT_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}

AREAS = {
    "mqtt": "MQTT",
    "coap": "CoAP",
    "mdns": "mDNS and DNS-SD",
    "behaviour": "Behaviour",
    "cross": "Agreement between transports",
    "security": "Security",
    "serial": "Serial line",
    "compat": "Devices together",
}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages; called by mkdocs."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """Every generated page: its path below ``docs``, and its Markdown."""
    copies = {page: copied((ROOT / source).read_text()) for source, page in AT_ROOT.items()}
    return {
        **copies,
        "catalogue.md": "\n".join(catalogue()),
        "faults.md": "\n".join(faults()),
        "profile-reference.md": "\n".join(profile_reference()),
    }


def copied(text: str) -> str:
    """A file of the root with its links as they are seen from ``docs``."""
    for source, page in AT_ROOT.items():
        text = text.replace(f"]({source}", f"]({page}")
    return re.sub(r"\]\(docs/", "](", text)


def catalogue() -> Iterator[str]:
    """All checks, by area, with what each asks for and which faults make it fail."""
    from harness.checks.catalogue import all_checks
    from harness.checks.support.compat.catalogue import group_checks
    from harness.simulate.faults import all_faults

    checks = [*all_checks(), *group_checks()]
    yield f"# Catalogue of checks\n\n{len(checks)} checks, as `harness checks ID` explains them.\n"
    for area, title in AREAS.items():
        of_area = [check for check in checks if check.requirement.area == area]
        if not of_area:
            continue
        yield f"## {title}\n\n| check | level | ensures that |\n| --- | --- | --- |"
        for check in of_area:
            asked = check.requirement
            purpose = cell(asked.purpose.removeprefix("ensure that "))
            yield f"| [{asked.id}](#{asked.id.lower()}) | {asked.level} | {purpose} |"
        yield ""
        for check in of_area:
            names = [fault.name for fault in all_faults() if check.requirement.id in fault.breaks]
            yield from explained(check, names)


def explained(check: Any, faults: list[str]) -> Iterator[str]:
    """One check as a chapter."""
    asked = check.requirement
    yield f"### {asked.id}\n\n{plain(asked.purpose[:1].upper() + asked.purpose[1:])}.\n"
    rows = {
        "Source": f"{asked.standard}, {asked.clause} ({asked.level}, {asked.basis})",
        "Stimulus": asked.stimulus,
        "Expected": asked.expect,
        "Usual cause of a failure": asked.usual_cause,
        "Applies to": f"profiles that declare {asked.ics}" if asked.ics else "",
        "Needs": ", ".join(sorted(getattr(check, "needs", ()))),
    }
    yield from (f"- **{label}:** {plain(text)}" for label, text in rows.items() if text)
    if faults:
        links = ", ".join(f"[`{name}`](faults.md#{name})" for name in faults)
        yield f"- **Faults that make it fail:** {links}"
    yield ""


def faults() -> Iterator[str]:
    """All faults that a simulated device can be given."""
    from harness.simulate.faults import all_faults

    yield "# Faults\n\nWhat `--fault NAME` does to a simulated device, and the checks that fail then.\n"
    for fault in sorted(all_faults(), key=lambda each: each.name):
        broken = ", ".join(f"[{name}](catalogue.md#{name.lower()})" for name in fault.breaks)
        yield f"## {fault.name}\n\nThe device {plain(fault.title)}. {f'Breaks {broken}.' if broken else ''}\n"


def profile_reference() -> Iterator[str]:
    """The keys of a profile, from the JSON Schema that ships with the package."""
    schema = json.loads((ROOT / "harness" / "model" / "profile.schema.json").read_text())
    definitions = {name: body for name, body in schema["$defs"].items() if not name.endswith(".partial")}
    yield "# Profile reference\n\nEvery key of a profile, from the JSON Schema (`harness profile schema`).\n"
    for name in ["Profile", *(each for each in definitions if each != "Profile")]:
        body = definitions[name]
        yield f"## {name}\n\n{plain(body.get('description', ''))}\n"
        if "enum" in body:
            yield "One of " + ", ".join(f"`{value}`" for value in body["enum"]) + ".\n"
        if body.get("properties"):
            yield "| key | type | default | meaning |\n| --- | --- | --- | --- |"
            for key, member in body["properties"].items():
                yield key_row(key, member, key in body.get("required", ()))
            yield ""


def key_row(key: str, member: dict[str, Any], required: bool) -> str:
    """One key of a mapping as a row of its table."""
    default = (
        "**required**" if required else f"`{json.dumps(member['default'])}`" if "default" in member else ""
    )
    meaning = cell(member.get("description", ""))
    return f"| `{key}` | {type_of(member)} | {default} | {meaning} |"


def type_of(member: dict[str, Any]) -> str:
    """What a value has to be, in a few words."""
    if "$ref" in member:
        name = member["$ref"].rpartition("/")[2].removesuffix(".partial")
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in member:
            return " or ".join(dict.fromkeys(type_of(each) for each in member[several]))
    if "const" in member:
        return f"`{json.dumps(member['const'])}`"
    if "enum" in member:
        return ", ".join(f"`{value}`" for value in member["enum"])
    if member.get("type") == "array":
        return f"list of {type_of(member['items'])}" if member.get("items") else "list"
    if member.get("type") == "object":
        values = member.get("additionalProperties")
        return f"mapping of names to {type_of(values)}" if isinstance(values, dict) and values else "mapping"
    kind = member.get("type", "any value")
    return " or ".join(kind) if isinstance(kind, list) else kind + limits(member)


def limits(member: dict[str, Any]) -> str:
    """The range of a number."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {member[key]:g}" for key, sign in signs.items() if key in member]
    return f" {', '.join(found)}" if found else ""


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(text.split()))


def cell(text: str) -> str:
    """Text in a cell of a table."""
    return plain(text)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for page, content in pages().items():
        (folder / page).write_text(content)
