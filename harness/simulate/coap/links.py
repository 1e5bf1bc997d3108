"""Links in the list of resources (RFC 6690)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """An entry of ``/.well-known/core`` (RFC 6690): attributes without a value have None."""

    target: str
    attributes: tuple[tuple[str, str | None], ...] = ()

    def __str__(self) -> str:
        parts = [f"<{self.target}>"]
        for name, value in self.attributes:
            if value is None:
                parts.append(name)
            elif value.isdigit():
                parts.append(f"{name}={value}")
            else:
                escaped = value.replace("\\", "\\\\").replace('"', '\\"')
                parts.append(f'{name}="{escaped}"')
        return ";".join(parts)

    def matches(self, name: str, wanted: str, *, prefixes: bool = True) -> bool:
        """Whether the query filter ``name=wanted`` selects it; a final ``*`` stands for any text (4.1).

        With ``prefixes`` False the ``*`` has no special meaning.
        """
        if name == "href":
            values = [self.target]
        else:
            values = [
                part
                for key, value in self.attributes
                if key == name
                for part in ((value or "").split(" ") if name in ("rt", "if", "ct") else [value or ""])
            ]
        if wanted.endswith("*") and prefixes:
            return any(value.startswith(wanted[:-1]) for value in values)
        return wanted in values
