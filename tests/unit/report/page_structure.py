"""The structure of an HTML page, as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "input", "br"}
ATTACK = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&amp;</script>"


class Page(HTMLParser):
    """The structure of a page; fails on what no browser should have to mend."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.by_id: dict[str, list[str]] = {}
        self._inside: list[tuple[int, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert not any(name == "style" or name.startswith("on") for name in attributes), attributes
        assert tag not in ("img", "iframe", "object", "link", "base")
        for name in ("src", "href", "action"):
            assert not (attributes.get(name) or "").lower().startswith(("http", "//", "javascript", "data"))
        self.scripts += tag == "script"
        if tag == "a":
            self.links.append(attributes["href"] or "")
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"] or "")
            self._inside.append((len(self.open), attributes["id"] or ""))
            self.by_id[attributes["id"] or ""] = []

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside[-1][0] >= len(self.open):
            self._inside.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += " " + data
            for _, name in self._inside:
                self.by_id[name].append(" " + data)

    def part(self, name: str) -> str:
        """The text of the element with this id, white space folded."""
        return " ".join("".join(self.by_id[name]).split())
