"""The one form all text takes: NFKC, visible characters only, tidy white space. Knows no file format.

Offsets of blocks, chunks and citations count characters of text in this form.
"""

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")

_PREPENDED_MARKS = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Format characters (Cf) that are seen: signs that stand around a number. All other Cf characters are invisible."""

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f"  # controls; \t, \n and the line ends are dealt with elsewhere
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers that draw nothing
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"  # zero width, bidi, byte order mark
    "\u3164\uffa0\ufe00-\ufe0f\U000e0000-\U000e0fff"  # fillers, variation selectors, tags (used to smuggle text)
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U00013430-\U0001343f"
    "\ud800-\udfff\ufffe\uffff\ue000-\uf8ff"  # halves of surrogate pairs (not encodable), private glyphs
    "\U000f0000-\U0010ffff"
    "]+"
)

_BULLETS = re.compile("[\uf0b7\uf0a7\uf0d8\uf076\uf0fc\uf06e\uf0a8\uf02d]")
"""Word's bullets: glyphs of the Symbol and Wingdings fonts at private code points."""

_SPACES = re.compile(r"[^\S\n]+")
_INNER_SPACES = re.compile(r"(?<=\S)[^\S\n]{2,}")
_BLANK_LINES = re.compile(r"\n{3,}")


def normalise(text: str, *, indents: bool = True) -> str:
    """Bring text into the form that everything downstream counts on. Idempotent.

    Line ends become line feeds; invisible, bidi and control characters go; the rest is NFKC (ligatures, full-width
    forms and no-break spaces become plain). Runs of spaces inside a line become one, so do runs of blank lines, and
    white space at the ends of lines and of the text goes.

    Args:
        text: any string, lone surrogates included.
        indents: whether spaces at the beginning of lines stay (code, nested lists).

    Returns:
        The normalised text; it can always be encoded as UTF-8.
    """
    text = _LINE_ENDS.sub("\n", text).replace("\t", " ")
    text = _INVISIBLE.sub("", _BULLETS.sub("•", text))
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    if indents:
        text = _INNER_SPACES.sub(" ", text)
        lines = text.split("\n")
        lines = [line.rstrip() for line in lines] if text.isascii() else [_plain_indent(line) for line in lines]
    else:
        lines = [line.strip() for line in _SPACES.sub(" ", text).split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _plain_indent(line: str) -> str:
    """Make an indent of odd white space one of spaces; drop white space at the end."""
    line = line.rstrip()
    body = line.lstrip()
    return " " * (len(line) - len(body)) + body


def one_line(text: str) -> str:
    """Normalise text and join its lines, as for a title or a table's cell."""
    return " ".join(normalise(text).split())
