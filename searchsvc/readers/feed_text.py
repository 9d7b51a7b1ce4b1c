"""Feed text: pieces of HTML as plain paragraphs or as one line."""

import re
from typing import Any

_SPACE = re.compile(r"\s+")
_HTML = re.compile(r"</?[A-Za-z!]|&#?\w{2,31};")
_NEVER_TEXT = frozenset({"script", "style", "template", "noscript", "iframe", "object", "svg", "button", "form"})
_BLOCKS = frozenset("""
    address article aside blockquote body dd details div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr
    main ol p pre section summary table ul
""".split())  # fmt: skip
_LINES = frozenset({"br", "li", "tr"})


def plain_text(html: str) -> str:
    """Return a piece of HTML as plain paragraphs between blank lines."""
    from lxml import etree  # type: ignore[import-untyped]

    tree = etree.HTML(html.replace("\0", "").encode(errors="replace"), etree.HTMLParser(encoding="utf-8"))
    return "" if tree is None else text_of(tree)


def text_of(tree: Any, excluded: frozenset[str] = frozenset()) -> str:
    """Return an element of HTML as plain paragraphs between blank lines, without the elements of excluded tags."""
    from lxml import etree

    parts: list[str] = []
    walk = etree.iterwalk(tree, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        is_text = event == "start" and element.tag not in _NEVER_TEXT and element.tag not in excluded
        if event == "start" and not is_text:
            walk.skip_subtree()
        if event in {"start", "end"}:
            parts.append(_break(element, event))
        if is_text:
            parts.append(_SPACE.sub(" ", element.text or ""))
        if event != "start":
            parts.append(_SPACE.sub(" ", element.tail or ""))
    text = re.sub(" ?\n ?", "\n", re.sub(" +", " ", "".join(parts)))
    return re.sub("\n{3,}", "\n\n", text).strip()


def one_line(text: str) -> str:
    """Return a text on one line, without tags and with HTML's entities as the letters they stand for."""
    return " ".join((plain_text(text) if _HTML.search(text) else text).split())


def _break(element: Any, event: str) -> str:
    """Return what separates an element from the text around it."""
    if element.tag in _BLOCKS:
        return "\n\n"
    if event == "start" and element.tag in _LINES:
        return "\n- " if element.tag == "li" else "\n"
    if event == "start" and element.tag in {"td", "th"} and element.getprevious() is not None:
        return " | "
    return ""
