"""Whether a zip-based office file is what it seems and safe to open. Looks at names and bytes only."""

import io
import re
import zipfile
import zlib

from ingest.errors import DeskmateError
from ingest.settings import IngestSettings

_MAIN_TYPES = (
    (
        re.compile(r"wordprocessingml\.(?:document|template)\.main|ms-word\.(?:document|template)\.macroEnabled\.main"),
        "docx",
    ),
    (
        re.compile(r"presentationml\.(?:presentation|slideshow|template)\.main|ms-powerpoint\.\w+\.macroEnabled\.main"),
        "pptx",
    ),
    (re.compile(r"spreadsheetml\.(?:sheet|template)\.main|ms-excel\.(?:sheet|template)\.macroEnabled\.main"), "xlsx"),
)
_MAIN_PARTS = (("word/document", "docx"), ("ppt/presentation.xml", "pptx"), ("xl/workbook.xml", "xlsx"))
_TEXT_PARTS = (".xml", ".rels", ".vml")
_FORBIDDEN = tuple(
    mark.encode(encoding) for mark in ("<!DOCTYPE", "<!ENTITY") for encoding in ("utf-8", "utf-16-le", "utf-16-be")
)
_ENCODING = re.compile(rb"<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([\w-]+)[\"']")
_PLAIN_ENCODINGS = frozenset({b"utf-8", b"utf8", b"utf-16", b"us-ascii", b"ascii", b"iso-8859-1", b"windows-1252"})
_BLOCK = 1 << 16
_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What `zipfile` raises for damaged members, unknown compression and passwords."""


def check_zip(data: bytes, settings: IngestSettings) -> str:
    """Tell a zip-based office file's format, having made sure that opening it is safe.

    Counts entries and declared sizes before anything is inflated, then inflates every XML part piece by piece, counting
    again, and refuses document type declarations: with them come entity bombs and external entities.

    Args:
        data: the whole file.
        settings: `max_zip_entries` and `max_inflated_mb`.

    Returns:
        "docx", "pptx" or "xlsx".

    Raises:
        DeskmateError: a damaged, encrypted, oversized or hostile file, or a zip of another kind.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_sizes(archive.infolist(), settings)
            kind = _kind(archive, settings)
            _check_parts(archive, settings)
            return kind
    except _ERRORS as error:
        raise DeskmateError(f"it is damaged: {error or type(error).__name__}; open and save it again") from error


def _check_sizes(members: list[zipfile.ZipInfo], settings: IngestSettings) -> None:
    if len(members) > settings.max_zip_entries:
        raise DeskmateError(
            f"its zip holds {len(members)} entries, more than {settings.max_zip_entries} (max_zip_entries)"
        )
    if sum(member.file_size for member in members) > settings.max_inflated_mb * 2**20:
        raise DeskmateError(_too_large(settings))
    if any(member.flag_bits & 1 for member in members):
        raise DeskmateError("it is password-protected; save a copy without a password")


def _kind(archive: zipfile.ZipFile, settings: IngestSettings) -> str:
    """The format, by what the file says of its main part; its name does not count."""
    names = archive.namelist()
    if "[Content_Types].xml" in names:
        types = _read(archive, archive.getinfo("[Content_Types].xml"), int(settings.max_inflated_mb * 2**20), settings)
        text = types.decode("utf-8", "replace")
        for pattern, kind in _MAIN_TYPES:
            if pattern.search(text):
                return kind
        for start, kind in _MAIN_PARTS:
            if any(name.startswith(start) and name.endswith(".xml") for name in names):
                return kind
        if any(name.startswith("xl/") for name in names):
            raise DeskmateError("it is a binary Excel workbook (xlsb); save it as xlsx")
    if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
        kind_of = archive.read("mimetype").decode("ascii", "replace")
        if "opendocument" in kind_of:
            raise DeskmateError("it is an OpenDocument file; save it as docx, xlsx or pptx")
        if "epub" in kind_of:
            raise DeskmateError("it is an EPUB book, a format that is not read; save it as PDF or HTML")
    raise DeskmateError("it is a zip archive; unpack it and ingest the files in it")


def _check_parts(archive: zipfile.ZipFile, settings: IngestSettings) -> None:
    """Inflate the XML parts once, counting bytes."""
    left = int(settings.max_inflated_mb * 2**20)
    for member in archive.infolist():
        if not member.filename.lower().endswith(_TEXT_PARTS):
            continue
        content = _read(archive, member, left, settings)
        left -= len(content)
        if any(mark in content for mark in _FORBIDDEN):
            raise DeskmateError(
                f"its part {member.filename} declares a document type or entities, which is not allowed"
            )
        declared = _ENCODING.match(content[:200].removeprefix(b"\xef\xbb\xbf"))
        if declared and declared[1].lower() not in _PLAIN_ENCODINGS:
            raise DeskmateError(
                f"its part {member.filename} is in the encoding {declared[1].decode()}, which is not allowed"
            )


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int, settings: IngestSettings) -> bytes:
    """Inflate one member, but no more than `left` bytes: a directory may lie about the size."""
    parts: list[bytes] = []
    with archive.open(member) as file:
        while part := file.read(_BLOCK):
            left -= len(part)
            if left < 0:
                raise DeskmateError(_too_large(settings))
            parts.append(part)
    return b"".join(parts)


def _too_large(settings: IngestSettings) -> str:
    return f"it inflates to more than {settings.max_inflated_mb:g} MiB (max_inflated_mb)"
