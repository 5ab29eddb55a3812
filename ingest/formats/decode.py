"""Bytes into text: which encoding, or that it is no text at all. Knows no document format."""

import codecs
import re

from ingest.errors import DeskmateError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes([*range(0, 7), *range(14, 27), *range(28, 32)])
_META = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]+)|<\?xml[^>]{0,80}?encoding\s*=\s*[\"']([\w-]+)", re.I
)
_HEAD = 4096
"""Bytes at the beginning that are looked at."""
MOST_CONTROLS = 0.01
"""Share of control characters above which bytes are not text."""
FOREIGN = 0.2
"""Share of bytes above 127 from which a single-byte text is hardly in a Latin script."""


def decode(data: bytes, declared: str = "") -> str:
    """Decode text: by its byte order mark, as UTF-8, as it declares, else by the look of it (Windows-1252 mostly).

    Args:
        data: a whole file, or a part of a mail.
        declared: the encoding that a header names, if any. What HTML and XML declare themselves is seen.

    Raises:
        DeskmateError: the bytes are not text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if encoding := _utf16_without_mark(data):
        return data.decode(encoding, "replace")
    if looks_binary(data):
        raise DeskmateError("it is a binary file, not text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    for name in (declared, _declared(data)):
        try:
            if name:
                return data.decode(_lookup(name), "replace")
        except LookupError:
            continue
    return _guess(data)


def looks_binary(data: bytes) -> bool:
    """Whether the beginning holds control characters that no text has."""
    head = data[:_HEAD]
    if b"\0" in data[: 16 * _HEAD]:
        return True
    return len(head) - len(head.translate(None, _CONTROLS)) > MOST_CONTROLS * max(len(head), 1)


def _utf16_without_mark(data: bytes) -> str:
    """UTF-16 by its zero bytes: every other byte of Latin text."""
    head = data[:_HEAD]
    if len(head) < 4 or len(data) % 2:
        return ""
    half = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 0.6 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.6 * half and odd < 0.05 * half:
        return "utf-16-be"
    return ""


def _declared(data: bytes) -> str:
    match = _META.search(data[:_HEAD])
    return (match[1] or match[2]).decode("ascii") if match else ""


def _lookup(name: str) -> str:
    """A codec for text by the name that a web page or mail gives; browsers read Latin-1 as Windows-1252."""
    codec = codecs.lookup(name)
    if not codec._is_text_encoding:  # "hex" and "zip" are codecs too
        raise LookupError(name)
    return "cp1252" if codec.name in {"iso8859-1", "ascii", "utf-8"} else codec.name


def _guess(data: bytes) -> str:
    """Single-byte text: Windows-1252, unless so many bytes are above 127 that it is another script."""
    high = sum(1 for byte in data[:65536] if byte > 127)
    if high > FOREIGN * len(data[:65536]):
        from charset_normalizer import from_bytes

        best = from_bytes(data[:65536]).best()
        if best is not None:
            return data.decode(best.encoding, "replace")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing in Windows-1252
        return data.decode("latin-1")
