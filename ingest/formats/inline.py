"""Inline Markdown as people read it: words without markup. Knows one token of markdown-it-py at a time."""

import re

from markdown_it.token import Token

from ingest.formats.hidden import hides

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^>]*?)(/?)>", re.DOTALL)
_HIDDEN = re.compile(r"(?:^|\s)hidden(?![\w-])(?!\s*=\s*[\"']?until)|aria-hidden\s*=\s*[\"']?true", re.IGNORECASE)
_STYLE = re.compile(r"(?:^|\s)style\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|(\S+))", re.IGNORECASE)
_VOID = frozenset({"br", "hr", "img", "wbr", "input", "link", "meta", "area", "col", "source"})
_TAGS = (
    "a abbr acronym address b bdi bdo big blockquote button center cite code data dd del details dfn div dl dt em "
    "figcaption figure font form h1 h2 h3 h4 h5 h6 i iframe ins kbd label li mark nobr ol option p path picture "
    "pre q ruby rp rt s samp section select small span strike strong sub summary sup svg table tbody td tfoot th "
    "thead time tr tt u ul var video audio script style template textarea object "
)
_KNOWN = _VOID | frozenset(_TAGS.split())
"""Tags of HTML. Anything else in angle brackets, `<your name>`, is a placeholder that people should read."""

_DROPPED = frozenset({"del", "s", "strike", "script", "style", "template", "svg", "button", "select", "textarea"})
_ADDRESS = re.compile(r"(?:mailto|tel):(?://)?([^?#]+)", re.IGNORECASE)


def inline_text(token: Token) -> str:
    """The words of an inline token.

    Links leave their text, and a mail address or telephone number that the text hides follows in brackets. Images leave
    their alternative text; emphasis and HTML tags go, struck-out and hidden text goes with them. A soft line break is a
    space, a hard one a line end.
    """
    children = token.children or []
    if len(children) == 1 and children[0].type == "text":
        return children[0].content
    reader = _Reader()
    for child in children:
        reader.read(child)
    return reader.text()


class _Reader:
    """Collects words; counts how deep it is in something not to be read."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._skipping: list[str] = []
        self._link: tuple[int, str] | None = None

    def text(self) -> str:
        return "".join(self._parts)

    def read(self, token: Token) -> None:
        """Take one child of the inline token in."""
        match token.type:
            case "s_open":
                self._skipping.append("s")
            case "s_close":
                self._leave("s")
            case "html_inline":
                self._html(token.content)
            case _ if self._skipping:
                pass
            case "text" | "code_inline" | "text_special":
                self._parts.append(token.content)
            case "softbreak":
                self._parts.append(" ")
            case "hardbreak":
                self._parts.append("\n")
            case "image":
                self._parts.append(inline_text(token))
            case "link_open":
                self._link = (len(self._parts), str(token.attrGet("href") or ""))
            case "link_close":
                self._close_link()

    def _close_link(self) -> None:
        """Show an address that the link's text does not."""
        if self._link is None:
            return
        at, target = self._link
        self._link = None
        self._parts.append(hidden_address(target, "".join(self._parts[at:])))

    def _html(self, source: str) -> None:
        """Drop a tag, or everything up to its end where it hides or strikes out."""
        match = _TAG.fullmatch(source)
        if match is None:  # a comment, declaration or processing instruction
            return
        closing, name, attributes, selfclosing = match[1], match[2].lower(), match[3], match[4]
        if closing:
            self._leave(name)
        elif not selfclosing and name not in _VOID and (self._skipping or self._hides(name, attributes)):
            self._skipping.append(name)
        elif self._skipping:
            return
        elif name in {"br", "p", "div", "li"}:
            self._parts.append("\n")
        elif name == "img" and (alt := re.search(r"\balt\s*=\s*(\"([^\"]*)\"|'([^']*)')", attributes)):
            self._parts.append(alt[2] or alt[3] or "")
        elif name not in _KNOWN:
            self._parts.append(source)

    @staticmethod
    def _hides(name: str, attributes: str) -> bool:
        if name in _DROPPED or _HIDDEN.search(attributes):
            return True
        style = _STYLE.search(attributes)
        return style is not None and hides(style[1] or style[2] or style[3] or "")

    def _leave(self, name: str) -> None:
        """Close what is being skipped, up to the tag `name`."""
        if name in self._skipping:
            while self._skipping.pop() != name:
                pass


def hidden_address(target: str, shown: str) -> str:
    """The mail address or telephone number a link leads to, in brackets; "" if its text shows it or it has none."""
    match = _ADDRESS.match(target.strip())
    if match is None:
        return ""
    address = match[1].replace("%20", " ").strip()
    digits = re.sub(r"\D", "", address)
    if address.casefold() in shown.casefold():
        return ""
    if "@" not in address and digits[-5:] in re.sub(r"\D", "", shown):
        return ""  # the same number, spaced in another way
    return f" ({address})"
