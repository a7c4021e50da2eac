"""HTML and SVG in which every text is escaped, but for what this module has made itself."""
from __future__ import annotations

import html


class Markup(str):
    """Text that is markup already. Only what the program itself wrote may be made one by hand."""


def escaped(content: object) -> Markup:
    if isinstance(content, Markup):
        return content
    if isinstance(content, (list, tuple)):
        return Markup("".join(map(escaped, content)))
    return Markup("" if content is None else html.escape(str(content)))


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """An element. `class_="a"` is class="a", `data_x=1` is data-x="1"; True is an attribute without a value, None
    and False none at all."""
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            words.append(f'{key}="{html.escape(str(value))}"')
    opening = f"<{' '.join(words)}>"
    return Markup(opening if name in ("img", "input", "meta", "br") else f"{opening}{escaped(content)}</{name}>")
