# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A part of the page."""

from collections.abc import Iterable
from dataclasses import dataclass

from .markup import Child, Markup, element


@dataclass(frozen=True)
class Section:
    """A part of the page with a title that the contents link to."""

    title: str
    body: Child

    @property
    def anchor(self) -> str:
        """The name that links go to."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower()).strip("-")

    def render(self) -> Markup:
        """The section as markup."""
        return element("section", element("h2", self.title), self.body, id=self.anchor)


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """A list of names and values."""
    return element("dl", [element("div", element("dt", name), element("dd", value)) for name, value in pairs])


def table(header: Iterable[str], rows: Iterable[Iterable[Child]], class_: str = "") -> Markup:
    """A table that scrolls by itself where it is wider than the page."""
    head = element("thead", element("tr", [element("th", name, scope="col") for name in header]))
    body = element("tbody", [element("tr", [element("td", cell) for cell in row]) for row in rows])
    return element("div", element("table", head, body, class_=class_ or None), class_="scrolls")


def foldable(summary: Child, *body: Child, is_open: bool = False) -> Markup:
    """What opens when its summary is clicked; needs no script."""
    return element("details", element("summary", summary), body, open=is_open)
