"""One file's bytes into a document: tells the format by its content and calls that format's parser.

Knows formats and limits; reads no file itself, and opens no connection, whatever a document refers to.
"""

import re
from pathlib import PurePath

from ingest.errors import DeskmateError
from ingest.formats.decode import decode
from ingest.formats.pieces import Draft, assemble
from ingest.records import Parsed
from ingest.settings import IngestSettings

_TEXT_FORMATS = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd", ".mdx"), "md"),
    **dict.fromkeys((".txt", ".text", ".log", ""), "txt"),
    ".rst": "rst",
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    ".eml": "eml",
}
_SIGNATURES = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"II*\0", "a picture"),
    (b"MM\0*", "a picture"),
    (b"{\\rtf", "an RTF document; save it as docx"),
    (b"\x1f\x8b", "a gzip archive; unpack it and ingest the files in it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and ingest the files in it"),
    (b"Rar!", "a RAR archive; unpack it and ingest the files in it"),
    (b"BZh", "a bzip2 archive; unpack it and ingest the files in it"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"%!PS", "a PostScript file; convert it to PDF"),
    (b"SQLite format 3", "a database"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_HTML_TAG = re.compile(
    r"</?(?:p|div|h[1-6]|ul|ol|li|table|tr|td|span|br|a|b|strong|em|body|section|article|main|pre|dl)\b[^>]*>", re.I
)
_MAIL_HEADER = re.compile(rb"(?:From |[A-Za-z][A-Za-z0-9-]*:[ \t\r\n])")
_MAIL_SIGNS = re.compile(
    rb"^(?:Message-ID|MIME-Version|Received|Return-Path|X-Mailer|Content-Transfer-Encoding|DKIM-Signature):",
    re.I | re.M,
)
SUPPORTED = "md, txt, rst, html, pdf, docx, pptx, xlsx, csv and eml"


def parse(data: bytes, name: str, settings: IngestSettings) -> Parsed:
    """Parse one file.

    The content decides on the format: a PDF called `.txt` is read as a PDF. A file's extension only tells one kind of
    text from another.

    Args:
        data: the whole file.
        name: its name or path; only the last part counts.
        settings: limits on size, pages, and what a zip may inflate to.

    Returns:
        The document, its text normalised.

    Raises:
        DeskmateError: with the reason why it cannot be read, and what to do. Nothing else is raised on purpose.
    """
    name = PurePath(name).name or name
    if len(data) > settings.max_file_mb * 2**20:
        raise DeskmateError(f"it is larger than {settings.max_file_mb:g} MiB (max_file_mb)")
    if not data.strip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe"):
        raise DeskmateError("it is empty")
    return assemble(_draft(sniff(data, name, settings), data, name, settings), name, settings)


def sniff(data: bytes, name: str, settings: IngestSettings) -> str:
    """Tell the format: "pdf", "docx", "pptx", "xlsx", "eml", "html", "csv", "rst", "md" or "txt".

    Raises:
        DeskmateError: a format that is not read, or a zip-based file that is not safe to open.
    """
    if b"%PDF-" in data[:1024] and not data.lstrip().startswith(b"<"):
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        from ingest.formats.zipped import check_zip

        return check_zip(data, settings)
    _refuse_foreign(data)
    suffix = PurePath(name).suffix.lower()
    kind = _TEXT_FORMATS.get(suffix)
    if _is_mail(data, kind == "eml"):
        return "eml"
    if kind is None:
        if suffix in {".pdf", ".docx", ".pptx", ".xlsx"}:
            raise DeskmateError(f"it is called {suffix} but is none: damaged, or something else under that name")
        if not (suffix[1:].isdigit() or " " in suffix):  # "Notes v1.2" and "Dr. Smith" have no extension
            raise DeskmateError(f"{suffix} is a format that is not read; what is read: {SUPPORTED}")
        kind = "txt"
    return _sniff_text(data, kind)


def _refuse_foreign(data: bytes) -> None:
    """Refuse what is known by its first bytes, and any other binary file."""
    for signature, what in _SIGNATURES:
        if data.startswith(signature):
            raise DeskmateError(f"it is {what}{'' if ';' in what else ', which holds no text to read'}")
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise DeskmateError("it is password-protected; save a copy without a password")
        raise DeskmateError(
            "it is a binary Office file or Outlook mail (doc, xls, ppt, msg); save it as docx, xlsx, pptx or eml"
        )


def _is_mail(data: bytes, called: bool) -> bool:
    """Whether bytes are a mail: headers at the top, some of which only mails have."""
    if not _MAIL_HEADER.match(data.lstrip()):
        return False
    head = re.split(rb"\r?\n\r?\n", data.lstrip()[:65536], maxsplit=1)[0]
    signs = len(_MAIL_SIGNS.findall(head))
    return signs >= 2 or (
        called and (signs >= 1 or re.search(rb"^(?:From|Subject|Date):", head, re.M | re.I) is not None)
    )


def _sniff_text(data: bytes, kind: str) -> str:
    """Correct what the name says of a text by a look at it."""
    start = decode(data[:65536])
    if _HTML.match(start):
        return "html"
    if kind == "html":
        return "html" if _HTML_TAG.search(start) or "<!--" in start else "txt"
    if kind == "csv":
        from ingest.formats.tables import is_csv

        return "csv" if is_csv(start) else "txt"
    return "txt" if kind == "eml" else kind


def _draft(kind: str, data: bytes, name: str, settings: IngestSettings) -> Draft:
    """Call the parser of a format. Each is imported when it is needed: most runs need few of them."""
    match kind:
        case "pdf":
            from ingest.formats.pdf import draft_pdf

            return draft_pdf(data, settings)
        case "docx":
            from ingest.formats.office import draft_docx

            return draft_docx(data)
        case "pptx":
            from ingest.formats.slides import draft_pptx

            return draft_pptx(data)
        case "xlsx":
            from ingest.formats.sheets import draft_xlsx

            return draft_xlsx(data, name)
        case "eml":
            from ingest.formats.mail import draft_mail

            return draft_mail(data)
    return _draft_text(kind, decode(data))


def _draft_text(kind: str, text: str) -> Draft:
    """Call the parser of a text format."""
    match kind:
        case "html":
            from ingest.formats.html import draft_html

            return draft_html(text)
        case "csv":
            from ingest.formats.tables import draft_csv

            return draft_csv(text)
        case "rst":
            from ingest.formats.rst import draft_rst

            return draft_rst(text)
        case "md":
            from ingest.formats.markdown import draft_markdown

            return draft_markdown(text)
    from ingest.formats.plain import text_pieces, title_line

    return Draft(title_line(text), text_pieces(text))
