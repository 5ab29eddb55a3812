"""The numbers that Word counts for headings ("2.1"): no converter keeps them, and people cite them."""

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"


@dataclass(slots=True)
class _Counter:
    """One list's levels: how each is written, and where it stands."""

    formats: dict[int, tuple[str, str, int]]
    at: dict[int, int] = field(default_factory=dict)

    def next(self, level: int) -> str:
        """Count one up on a level, and write the number; "" where the level has a bullet or nothing."""
        kind, pattern, start = self.formats.get(level, ("none", "", 1))
        self.at[level] = self.at.get(level, start - 1) + 1
        for deeper in [other for other in self.at if other > level]:
            del self.at[deeper]
        if kind in {"bullet", "none"}:
            return ""
        return re.sub(r"%(\d)", lambda match: self._written(int(match[1]) - 1), pattern).strip()

    def _written(self, level: int) -> str:
        kind, _, start = self.formats.get(level, ("decimal", "", 1))
        return _write(self.at.get(level, start), kind)


def heading_numbers(data: bytes) -> list[tuple[str, str]]:
    """The numbers of numbered headings, in order.

    Args:
        data: a docx file that `ingest.formats.zipped.check_zip` let through.

    Returns:
        Pairs of a number as Word shows it and the heading's words. Empty where nothing is numbered.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = set(archive.namelist())
        if not {"word/numbering.xml", "word/styles.xml", "word/document.xml"} <= names:
            return []
        numbering, styles, document = (
            _parse(archive.read(f"word/{part}.xml")) for part in ("numbering", "styles", "document")
        )
    counters = _counters(numbering)
    headings = _heading_styles(styles)
    return list(_walk(document, headings, counters))


def _parse(content: bytes) -> Any:
    # Strict documents use another namespace for the same elements.
    content = content.replace(_STRICT[1:-1].encode(), _W[1:-1].encode())
    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))


def _value(parent: Any, path: str) -> str | None:
    found = parent.find("/".join(_W + step for step in path.split("/")))
    return None if found is None else found.get(_W + "val")


def _counters(root: Any) -> dict[str, _Counter]:
    """A counter for each list (`numId`); lists of one abstract list share it, as Word goes on counting."""
    abstract = {}
    for element in root.iter(_W + "abstractNum"):
        levels = {}
        for level in element.iter(_W + "lvl"):
            levels[int(level.get(_W + "ilvl", 0))] = (
                _value(level, "numFmt") or "decimal",
                _value(level, "lvlText") or "",
                int(_value(level, "start") or 1),
            )
        abstract[element.get(_W + "abstractNumId")] = _Counter(levels)
    counters = {}
    for element in root.iter(_W + "num"):
        counter = abstract.get(_value(element, "abstractNumId"))
        if counter is not None:
            restarts = element.find(f"{_W}lvlOverride/{_W}startOverride") is not None
            counters[element.get(_W + "numId")] = _Counter(counter.formats) if restarts else counter
    return counters


def _heading_styles(root: Any) -> dict[str, tuple[str, int]]:
    """The list and level that each heading style counts in; ("", 0) where the style itself counts in none."""
    styles = {style.get(_W + "styleId"): style for style in root.iter(_W + "style")}
    found = {}
    for name, style in styles.items():
        shown = (_value(style, "name") or "").lower()
        match = re.fullmatch(r"heading (\d)", shown)
        if match:
            number, level, seen = None, None, set()
            parent = style
            while parent is not None and number is None and id(parent) not in seen:
                seen.add(id(parent))
                number = _value(parent, "pPr/numPr/numId")
                level = level or _value(parent, "pPr/numPr/ilvl")
                parent = styles.get(_value(parent, "basedOn"))
            found[name] = (number or "", int(level) if level else int(match[1]) - 1)
    return found


def _walk(
    document: Any, headings: dict[str, tuple[str, int]], counters: dict[str, _Counter]
) -> Iterator[tuple[str, str]]:
    """Count through the paragraphs that are headings."""
    for paragraph in document.iter(_W + "p"):
        style = _value(paragraph, "pPr/pStyle")
        if style not in headings:
            continue
        number, level = headings[style]
        own = _value(paragraph, "pPr/numPr/numId")
        number = own if own is not None else number
        level = int(_value(paragraph, "pPr/numPr/ilvl") or level)
        text = " ".join("".join(_words(paragraph)).split())
        counter = counters.get(number)
        if counter is not None and text:
            written = counter.next(level)
            if written:
                yield written, text


def _words(paragraph: Any) -> Iterator[str]:
    for element in paragraph.iter(_W + "t", _W + "tab", _W + "br"):
        yield (element.text or "") if element.tag == _W + "t" else " "


def _write(number: int, kind: str) -> str:
    """A number in Word's format: decimal, letters or Roman."""
    match kind:
        case "upperLetter" | "lowerLetter":
            letter = chr(ord("A") + (number - 1) % 26) * ((number - 1) // 26 + 1)
            return letter if kind == "upperLetter" else letter.lower()
        case "upperRoman" | "lowerRoman":
            roman = "".join(
                sign * times
                for sign, times in zip(
                    ("M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"), _roman(number), strict=True
                )
            )
            return roman if kind == "upperRoman" else roman.lower()
        case "decimalZero":
            return f"{number:02d}"
        case _:
            return str(number)


def _roman(number: int) -> Iterator[int]:
    for value in (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1):
        yield number // value
        number %= value
