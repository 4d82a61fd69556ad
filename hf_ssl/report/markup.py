# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""HTML and SVG, escaped: whatever is not [`Markup`] is text, wherever it came from."""

import html
import re
from collections.abc import Iterable

_VOID = ("br", "img", "meta")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class Markup(str):
    """Text that is markup already and is not escaped again. Only made by this module's functions."""


Child = str | Markup | Iterable["Child"] | None
Attribute = str | float | bool | None


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element.

    Args:
        name: Of the element, such as `"p"`.
        *children: Texts, which are escaped, elements, lists of these, or `None`, which is left out.
        **attributes: Values are escaped; `class_` and `data_step` become `class` and `data-step`; `None` and
            `False` leave the attribute out, `True` gives it no value.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"Expected the name of an element, got {name!r}.")
    opening = "".join([f"<{name}", *(_attribute(key, value) for key, value in attributes.items()), ">"])
    return Markup(opening if name in _VOID else f"{opening}{fragment(*children)}</{name}>")


def fragment(*children: Child) -> Markup:
    """Elements and texts one after the other."""
    return Markup("".join(_markup(child) for child in children))


def _markup(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(_without_control_characters(child))
    return fragment(*child)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    # SVG's own spelling of a few attributes
    name = {"viewbox": "viewBox", "preserveaspectratio": "preserveAspectRatio"}.get(name, name)
    if value is True:
        return f" {name}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(_without_control_characters(text))}"'


def _without_control_characters(text: str) -> str:
    """Visible stand-ins for what a page may not contain: control characters, and halves of surrogate pairs."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def embedded(text: str) -> Markup:
    """A file of this package, styles or script, as it is."""
    return Markup(text)
