"""Word's hidden text (`w:vanish`), taken out of a document before anything reads it: converters read it like any other.

Knows runs and styles of WordprocessingML, nothing of what they say.
"""

import io
import re
import zipfile
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

_PART = re.compile(r"word/(?:document|footnotes|endnotes)\.xml")
_W = "*[local-name()='{}']"
_VANISH = f"{_W.format('rPr')}/{_W.format('vanish')}[not(@*[local-name()='val'][.='0' or .='false' or .='off'])]"


def without_hidden(data: bytes) -> bytes:
    """The document without the runs that Word hides, by themselves or by their style.

    Args:
        data: a docx file that `ingest.formats.zipped.check_zip` let through. Most hide nothing and come back
            as they are.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if _PART.fullmatch(name)}
        styles = archive.read("word/styles.xml") if "word/styles.xml" in archive.namelist() else b""
        if not any(b":vanish" in part for part in (*parts.values(), styles)):
            return data
        hidden = _hidden_styles(styles) if b":vanish" in styles else frozenset()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as copy:
            for item in archive.infolist():
                part = parts.get(item.filename)
                copy.writestr(item, archive.read(item) if part is None else _shown(part, hidden))
    return out.getvalue()


def _shown(part: bytes, hidden: frozenset[str]) -> bytes:
    root = _parse(part)
    for run in root.xpath(f"//{_W.format('r')}"):
        styles = run.xpath(
            f"./{_W.format('rPr')}/{_W.format('rStyle')}/@*[local-name()='val']"
            f" | ancestor::{_W.format('p')}[1]/{_W.format('pPr')}/{_W.format('pStyle')}/@*[local-name()='val']"
        )
        if run.xpath(f"./{_VANISH}") or not hidden.isdisjoint(map(str, styles)):
            run.getparent().remove(run)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def _hidden_styles(styles: bytes) -> frozenset[str]:
    found = _parse(styles).xpath(f"//{_W.format('style')}[./{_VANISH}]/@*[local-name()='styleId']")
    return frozenset(map(str, found))


def _parse(content: bytes) -> Any:
    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))
