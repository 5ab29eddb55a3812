"""Mails (eml) into pieces, by the standard library: subject, who and when, the text. Attachments are only named."""

import email
import email.policy
from collections.abc import Iterator
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart

from ingest.errors import DeskmateError
from ingest.formats.decode import decode
from ingest.formats.pieces import Draft, Piece
from ingest.formats.plain import text_pieces
from ingest.records import BlockKind

_SHOWN = ("From", "To", "Cc", "Date")


def draft_mail(data: bytes) -> Draft:
    """Find the pieces of a mail. Plain text is preferred to HTML; quoted replies stay, marked as such.

    Raises:
        DeskmateError: what should be a mail has no headers that can be read.
    """
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        return Draft(_header(message, "Subject"), list(_pieces(message)))
    except (MessageError, LookupError, ValueError, TypeError, AttributeError, IndexError) as error:
        # The parser of the standard library fails in these ways on malformed headers.
        raise DeskmateError(f"the mail is malformed ({type(error).__name__})") from error


def _pieces(message: EmailMessage) -> Iterator[Piece]:
    if subject := _header(message, "Subject"):
        yield Piece(BlockKind.HEADING, subject, 1)
    lines = [f"{name}: {value}" for name in _SHOWN if (value := _header(message, name))]
    yield Piece(BlockKind.PARAGRAPH, "\n".join(lines))
    yield from _body(message)
    attached = message.iter_attachments() if message.is_multipart() else ()
    names = [name for part in attached if (name := _attachment(part))]
    if names:
        yield Piece(BlockKind.PARAGRAPH, "Attachments: " + ", ".join(names))


def _header(message: EmailMessage, name: str) -> str:
    """A header's text on one line; what cannot be decoded is shown as it stands."""
    value = message.get(name)
    return " ".join(str(value).split()) if value is not None else ""


def _body(message: EmailMessage) -> Iterator[Piece]:
    """The text, or the HTML where there is no text worth reading."""
    plain = message.get_body(("plain",))
    rich = message.get_body(("html",))
    text = _decoded(plain) if plain is not None else ""
    if text.strip() and not (rich is not None and len(text.strip()) < 40 and "<" in text):
        yield from text_pieces(_flowed(text) if plain is not None and plain.get_param("format") == "flowed" else text)
    elif rich is not None:
        from ingest.formats.html import html_pieces

        yield from html_pieces(_decoded(rich))


def _decoded(part: MIMEPart) -> str:
    """A part's text: its declared encoding is tried, wrong ones are common."""
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes) or not content:
        return ""
    charset = part.get_content_charset() or ""
    if charset not in {"", "utf-8", "us-ascii", "ascii"}:
        try:
            return content.decode(charset)
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(content, charset)


def _flowed(text: str) -> str:
    """Join lines that end in a space, as `format=flowed` says (RFC 3676), within one depth of quotation."""
    out: list[str] = []
    joins = False
    for line in text.replace("\r\n", "\n").split("\n"):
        marks = line[: len(line) - len(line.lstrip(">"))]
        body = line[len(marks) :].removeprefix(" ")
        if joins and out and out[-1].startswith(marks) and not out[-1][len(marks) :].startswith(">") and body != "-- ":
            out[-1] += body
        else:
            out.append(f"{marks} {body}" if marks else body)
        joins = body.endswith(" ") and body != "-- "
    return "\n".join(out)


def _attachment(part: MIMEPart) -> str:
    """An attachment's name; a forwarded mail has its subject for one."""
    name = part.get_filename()
    if not name and part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        if isinstance(inner, list) and inner and isinstance(inner[0], EmailMessage):
            name = _header(inner[0], "Subject")
    return " ".join(str(name or "").split())
