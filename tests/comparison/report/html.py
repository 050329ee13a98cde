"""Parses a page into what tests and screen readers find in it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input", "line", "path", "circle", "rect"}


class Page(HTMLParser):
    """Checks nesting and collects what the tests look at."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.text.append(data)
        if self.open and self.open[-1] in ("h1", "h2", "h3", "h4"):
            level, said = self.headings[-1]
            self.headings[-1] = (level, said + data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))

    @property
    def said(self) -> str:
        """All text, with plain spaces."""
        return " ".join("".join(self.text).replace("\N{NO-BREAK SPACE}", " ").split())

    def values(self, tag: str, name: str) -> list[str]:
        """The attribute's value on every element of this tag that has it."""
        return [a[name] or "" for kind, a in self.attributes if kind == tag and name in a]

    @property
    def ids(self) -> list[str]:
        """Every id, repeated ones too."""
        return [a["id"] or "" for _, a in self.attributes if "id" in a]
