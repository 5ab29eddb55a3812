"""Files for the attack suite, in every format that is ingested: text that is seen, and text that is hidden in it.

Writes bytes and knows no attack. Word and PDF files are put together by hand, so that each trick stands there as an
attacker would write it; the others are made by the libraries that also read them.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from html import escape

Lines = Sequence[str]
"""The title of a document, then its paragraphs."""


def md(lines: Lines) -> bytes:
    """Markdown; a paragraph may hold markup of its own."""
    return f"# {lines[0]}\n\n{_paragraphs(lines)}\n".encode()


def txt(lines: Lines) -> bytes:
    """Plain text with an underlined title."""
    return f"{lines[0]}\n{'=' * len(lines[0])}\n\n{_paragraphs(lines)}\n".encode()


rst = txt
"""A title and paragraphs look the same in both."""


def html(lines: Lines, raw: str = "", head: str = "") -> bytes:
    """A page of paragraphs; `raw` and `head` are put in as they are."""
    body = "".join(f"<p>{escape(line)}</p>" for line in lines[1:])
    title = escape(lines[0])
    page = f"<html><head><title>{title}</title>{head}</head><body><h1>{title}</h1>{body}{raw}</body></html>"
    return f"<!DOCTYPE html>{page}".encode()


def csv_table(lines: Lines) -> bytes:
    """Rows of a subject and what the rule is."""
    out = io.StringIO()
    csv.writer(out).writerows([["Subject", "Rule"], *([lines[0], line] for line in lines[1:])])
    return out.getvalue().encode()


def eml(lines: Lines, raw: str = "", attached: str = "") -> bytes:
    """A mail; with `raw` one of HTML that holds it, with `attached` one with a text file of these words."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Facilities <facilities@office.example>", "all@office.example", lines[0]
    mail["Date"], mail["Message-ID"] = "Mon, 02 Jun 2025 09:00:00 +0000", "<1@office.example>"
    if raw:
        mail.set_content("".join(f"<p>{escape(line)}</p>" for line in lines[1:]) + raw, subtype="html")
    else:
        mail.set_content(_paragraphs(lines))
    if attached:
        mail.add_attachment(attached, filename="note.txt")
    return mail.as_bytes()


def pdf(lines: Lines, hidden: str = "", properties: str = "") -> bytes:
    """A page of text. `hidden` are operators of the content stream; `properties` are entries of the Info dictionary."""
    shown = "".join(_shown(line, 16 if n == 0 else 11, 780 - 30 * n) for n, line in enumerate(_wrapped(lines)))
    content = f"{shown}{hidden}".encode("cp1252")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[5 0 R]>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Length %d>>stream\n%bendstream" % (len(content), content),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 3 0 R>>>>>>",
        f"<<{properties}>>".encode("cp1252"),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%bendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    out, start = out + b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, table), len(out)
    return out + b"trailer<</Size %d/Root 1 0 R/Info 6 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)


def pdf_text(text: str, operators: str = "", left: float = 60, bottom: float = 200) -> str:
    """A line of a page's content stream, after some operators such as `3 Tr` (draw nothing)."""
    return _shown(text, 11, bottom, operators, left)


def _shown(text: str, size: int, bottom: float, operators: str = "", left: float = 60) -> str:
    safe = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"q BT {operators} /F1 {size} Tf {left} {bottom} Td ({safe}) Tj ET Q\n"


def _wrapped(lines: Lines) -> list[str]:
    """Lines that fit onto a page."""
    out: list[str] = []
    for line in lines:
        words: list[str] = []
        for word in line.split():
            if len(" ".join([*words, word])) > 88:
                out.append(" ".join(words))
                words = []
            words.append(word)
        out.append(" ".join(words))
    return out


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml"


def docx(lines: Lines, raw: str = "", comment: str = "") -> bytes:
    """A Word document; `raw` is WordprocessingML at its end, `comment` the text of a comment on it."""
    body = "".join(word_run(line) for line in lines[1:])
    head = f'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>{escape(lines[0])}</w:t></w:r></w:p>'
    mark = '<w:p><w:r><w:commentReference w:id="0"/></w:r></w:p>' if comment else ""
    style = '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style>'
    noted = f'<w:comments {_W}><w:comment w:id="0">{word_run(comment)}</w:comment></w:comments>'
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_TYPES}"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{_WORD}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{_WORD}.styles+xml"/>'
        f'<Override PartName="/word/comments.xml" ContentType="{_WORD}.comments+xml"/></Types>',
        "_rels/.rels": _relations("officeDocument", "word/document.xml"),
        "word/_rels/document.xml.rels": _relations("styles", "styles.xml", "comments", "comments.xml"),
        "word/document.xml": f"<w:document {_W}><w:body>{head}{body}{raw}{mark}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {_W}>{style}</w:styles>",
        "word/comments.xml": noted,
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return out.getvalue()


def word_run(text: str, properties: str = "") -> str:
    """A paragraph of one run, with some run properties such as `<w:vanish/>`."""
    return f"<w:p><w:r><w:rPr>{properties}</w:rPr><w:t>{escape(text)}</w:t></w:r></w:p>"


def _relations(*pairs: str) -> str:
    links = "".join(
        f'<Relationship Id="r{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(zip(pairs[::2], pairs[1::2], strict=True))
    )
    return f'<Relationships xmlns="{_RELATIONS}">{links}</Relationships>'


def pptx(lines: Lines, notes: str = "", aside: str = "", hidden: str = "", properties: str = "") -> bytes:
    """A presentation of a slide: `notes` below it, `aside` in a box beside it, `hidden` in a box that is switched off.

    `properties` goes into the file's own description.
    """
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    deck.core_properties.title, deck.core_properties.comments = lines[0], properties
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = lines[0]
    slide.placeholders[1].text = "\n".join(lines[1:])
    if aside:
        box = slide.shapes.add_textbox(deck.slide_width + Inches(2), Inches(1), Inches(3), Inches(1))
        box.text_frame.text = aside
    if hidden:
        box = slide.shapes.add_textbox(Inches(1), Inches(1), Inches(3), Inches(1))
        box.text_frame.text = hidden
        box._element.nvSpPr.cNvPr.set("hidden", "1")
    if notes:
        slide.notes_slide.notes_text_frame.text = notes
    return _saved(deck.save)


def pptx_hidden_slide(lines: Lines, hidden: str) -> bytes:
    """A presentation whose second slide is not shown."""
    from pptx import Presentation

    deck = Presentation(io.BytesIO(pptx(lines)))
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "More", hidden
    slide.element.set("show", "0")
    return _saved(deck.save)


def xlsx(lines: Lines, hidden: str = "", where: str = "") -> bytes:
    """A workbook of subjects and rules. `hidden` stands in a hidden `sheet`, `column` or `row`, or in a `comment`."""
    import openpyxl
    from openpyxl.comments import Comment

    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Rules"
    sheet.append(["Subject", "Rule"])
    for line in lines[1:]:
        sheet.append([lines[0], line])
    match where:
        case "sheet" | "very hidden sheet":
            other = book.create_sheet("Notes")
            other.append(["Subject", "Rule"])
            other.append([lines[0], hidden])
            other.sheet_state = "hidden" if where == "sheet" else "veryHidden"
        case "column":
            sheet["C1"], sheet["C2"] = "Remark", hidden
            sheet.column_dimensions["C"].hidden = True
        case "row":
            sheet.append([lines[0], hidden])
            sheet.row_dimensions[sheet.max_row].hidden = True
        case "comment":
            sheet["B2"].comment = Comment(hidden, "Facilities")
    return _saved(book.save)


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def _paragraphs(lines: Lines) -> str:
    return "\n\n".join(lines[1:])


WRITERS: dict[str, Callable[[Lines], bytes]] = {
    "md": md,
    "txt": txt,
    "rst": rst,
    "html": html,
    "pdf": pdf,
    "docx": docx,
    "pptx": pptx,
    "xlsx": xlsx,
    "csv": csv_table,
    "eml": eml,
}
"""A writer for every format that is ingested, by extension."""
