"""Documents of the formats that have no simple writer, built byte by byte for the tests of parsing."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
DOC_RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml"

Line = tuple[float, float, float, str]
"""Left edge, baseline, font size, text; a text that begins with "*" is bold."""


def pdf(pages: Sequence[Sequence[Line]], title: str = "", encrypt: bool = False) -> bytes:
    """A PDF of lines at places. `encrypt` makes it ask for a password that nobody has."""
    objects: list[bytes] = [b"", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding>>")
    kids = []
    for lines in pages:
        content = b""
        for left, baseline, size, text in lines:
            font = "F2" if text.startswith("*") else "F1"
            shown = text.removeprefix("*").replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
            content += f"BT /{font} {size} Tf {left} {baseline} Td ({shown}) Tj ET\n".encode("cp1252")
        objects.append(b"<</Length %d>>stream\n%bendstream" % (len(content), content))
        kids.append(len(objects) + 1)
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R"
            b"/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>>>" % len(objects)
        )
    objects[0] = b"<</Type/Catalog/Pages 2 0 R>>"
    objects[1] = b"<</Type/Pages/Count %d/Kids[%b]>>" % (len(kids), b" ".join(b"%d 0 R" % kid for kid in kids))
    trailer = b"/Root 1 0 R"
    if title:
        objects.append(f"<</Title({title})>>".encode("cp1252"))
        trailer += b"/Info %d 0 R" % len(objects)
    if encrypt:
        objects.append(b"<</Filter/Standard/V 1/R 2/O<%b>/U<%b>/P -4>>" % (b"41" * 32, b"42" * 32))
        trailer += b"/Encrypt %d 0 R/ID[<00><00>]" % len(objects)
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%bendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, table)
    return out + b"trailer<</Size %d%b>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, start)


def paragraph(text: str, style: str = "", extra: str = "") -> str:
    """A paragraph of WordprocessingML."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{extra}</w:pPr><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table of WordprocessingML."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def docx(body: str, prolog: str = "", extra: Mapping[str, bytes] | None = None) -> bytes:
    """A Word document with numbered headings 1 and 2, a bulleted and a numbered list (numId 2 and 3)."""
    levels = (
        '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
        '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%2"/></w:lvl>'
    )
    bullets = '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl>'
    heading = (
        '<w:style w:type="paragraph" w:styleId="H{0}"><w:name w:val="heading {0}"/>'
        "<w:pPr><w:numPr>{1}</w:numPr></w:pPr></w:style>"
    )
    parts = {
        "[Content_Types].xml": (
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{MAIN}.document.main+xml"/>'
            f'<Override PartName="/word/styles.xml" ContentType="{MAIN}.styles+xml"/>'
            f'<Override PartName="/word/numbering.xml" ContentType="{MAIN}.numbering+xml"/></Types>'
        ),
        "_rels/.rels": (
            f'<Relationships xmlns="{RELS}"><Relationship Id="rId1" Type="{DOC_RELS}/officeDocument" '
            'Target="word/document.xml"/></Relationships>'
        ),
        "word/_rels/document.xml.rels": (
            f'<Relationships xmlns="{RELS}"><Relationship Id="rId1" Type="{DOC_RELS}/styles" Target="styles.xml"/>'
            f'<Relationship Id="rId2" Type="{DOC_RELS}/numbering" Target="numbering.xml"/></Relationships>'
        ),
        "word/styles.xml": (
            f'<w:styles {W}><w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style>'
            + heading.format(1, '<w:numId w:val="1"/>')
            + heading.format(2, '<w:ilvl w:val="1"/><w:numId w:val="1"/>')
            + "</w:styles>"
        ),
        "word/numbering.xml": (
            f'<w:numbering {W}><w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>'
            f'<w:abstractNum w:abstractNumId="1">{bullets}</w:abstractNum>'
            f'<w:abstractNum w:abstractNumId="2">{levels}</w:abstractNum>'
            + "".join(f'<w:num w:numId="{n + 1}"><w:abstractNumId w:val="{n}"/></w:num>' for n in range(3))
            + "</w:numbering>"
        ),
        "word/document.xml": f"{prolog}<w:document {W}><w:body>{body}</w:body></w:document>",
    }
    return zipped({**{name: part.encode() for name, part in parts.items()}, **(extra or {})})


def item(text: str, number: int) -> str:
    """A paragraph of list `number`."""
    return paragraph(text, extra=f'<w:numPr><w:ilvl w:val="0"/><w:numId w:val="{number}"/></w:numPr>')


def zipped(parts: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()
