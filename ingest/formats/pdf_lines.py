"""What stands where on a PDF's pages: runs of words with place, size and weight, by pypdfium2. Knows no structure.

pdfium is not thread safe: one thread of a process at a time.
"""

import ctypes
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import pypdfium2  # noqa: TID253  this is the leaf that wraps it
from pypdfium2 import raw  # noqa: TID253

from ingest.errors import DeskmateError
from ingest.settings import IngestSettings

WIDE_GAP = 1.0
"""Space between two words, in font sizes, that parts columns or cells."""
MARKER_GAP = 4.0
"""The same after a bullet or a number."""
MOST_MADE = 0.25
"""Share of words without a space of their own before them up to which a page is taken to have its own spaces."""
_BREAKS = frozenset("\x02\ufffe")
"""What pdfium gives for the hyphen of a word broken at the end of a line."""
_HYPHENS = _BREAKS | {"\xad"}


@dataclass(frozen=True, slots=True)
class Run:
    """Words on one line without a wide gap between them. Points; y grows upwards, `bottom` is the baseline."""

    text: str
    left: float
    right: float
    bottom: float
    size: float
    bold: bool
    broken: bool = False
    """Whether the last word goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page's runs, in the order in which the file draws them."""

    number: int
    width: float
    height: float
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Pages:
    """A document's pages and the title in its properties."""

    title: str
    pages: tuple[Page, ...]


def read_pages(data: bytes, settings: IngestSettings) -> Pages:
    """Read all text of a PDF.

    Args:
        data: the file; what precedes its header is no matter.
        settings: `max_pages`.

    Raises:
        DeskmateError: damaged, password-protected, or too many pages.
    """
    try:
        with pypdfium2.PdfDocument(data) as document:
            if len(document) > settings.max_pages:
                raise DeskmateError(
                    f"it has {len(document)} pages, more than {settings.max_pages} (max_pages); split it"
                )
            title = str(document.get_metadata_dict().get("Title", ""))
            return Pages(title, tuple(_read_page(document, index) for index in range(len(document))))
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD:
            raise DeskmateError("it is password-protected; save a copy without a password") from error
        raise DeskmateError(f"the PDF is damaged ({error}); print it to a new PDF") from error


def _read_page(document: pypdfium2.PdfDocument, index: int) -> Page:
    page = document[index]
    try:
        width, height = page.get_size()
        text = page.get_textpage()
        try:
            return Page(index + 1, width, height, tuple(_Reader(text, _Sheet(page)).runs()))
        finally:
            text.close()
    finally:
        page.close()


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    left: float
    right: float
    bottom: float
    first: int
    broken: bool
    apart: bool
    """Whether no space of the file's own stands before it; pdfium puts one there where it sees a gap."""


class _Sheet:
    """What a page shows: its visible part, and whether there are pictures on it."""

    def __init__(self, page: pypdfium2.PdfPage) -> None:
        self._page = page
        self._left, self._bottom, self._right, self._top = page.get_cropbox()

    def shows(self, word: _Word) -> bool:
        """Whether a word lies on the page, at least in part."""
        across = word.left < self._right and word.right > self._left
        return bool(across and self._bottom <= word.bottom <= self._top)

    @cached_property
    def pictures(self) -> bool:
        """Whether the page has a picture."""
        return next(iter(self._page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE])), None) is not None


class _Reader:
    """Reads one page character by character; asks for boxes at the ends of words only, as each call costs.

    What nobody sees is left out: words beside the page, smaller than a point, or drawn invisibly. Under a picture
    invisible words are what text recognition has read in a scan.
    """

    def __init__(self, page: pypdfium2.PdfTextPage, sheet: _Sheet) -> None:
        self._page = page.raw
        self._sheet = sheet
        self._count = page.count_chars()
        self._box = [ctypes.c_double() for _ in range(4)]
        self._name = ctypes.create_string_buffer(256)
        self._flags = ctypes.c_int()

    def runs(self) -> Iterator[Run]:
        """The page's runs."""
        lines = list(self._lines())
        words = [word for line in lines for word in line]
        own_spaces = sum(word.apart for word in words) < MOST_MADE * len(words)
        for line in lines:
            narrow = self._narrow_gap(line) if own_spaces else WIDE_GAP
            run = [line[0]]
            size = self._size(line[0].first)
            for word in line[1:]:
                gap = word.left - run[-1].right
                limit = size * (MARKER_GAP if self._is_marker(run) else narrow if word.apart else WIDE_GAP)
                if not -0.5 * size < gap < limit or abs(word.bottom - run[0].bottom) > 0.6 * size:
                    yield self._run(run, size)
                    run = []
                    size = self._size(word.first)
                run.append(word)
            yield self._run(run, size)

    def _narrow_gap(self, line: list[_Word]) -> float:
        """How wide a gap parts cells, in font sizes, where the file has spaces of its own between words but none here.

        In a line with a wide gap, which is a row of a table, any gap does. In a line without any space of its own,
        narrow gaps are spaces after all: some programs leave them out with some fonts.
        """
        size = self._size(line[0].first)
        gaps = [(after.left - word.right) / size for word, after in pairwise(line)]
        if max(gaps, default=0) > WIDE_GAP:
            return 0.2
        spaced = any(not word.apart for word in line[1:])
        return 0.4 if spaced or max(gaps, default=0) > 0.6 else WIDE_GAP

    @staticmethod
    def _is_marker(run: list[_Word]) -> bool:
        """Whether a run is only a bullet or number, which stands farther from the text that belongs to it."""
        text = run[0].text
        sign = len(text) == 1 and not text.isalpha()
        return len(run) == 1 and (sign or (len(text) <= 4 and text[-1] in ".)"))

    def _lines(self) -> Iterator[list[_Word]]:
        """The words of each line that pdfium sees."""
        line: list[_Word] = []
        for word in self._words():
            if word is not None:
                if self._is_seen(word):
                    line.append(word)
            elif line:
                yield line
                line = []
        if line:
            yield line

    def _words(self) -> Iterator[_Word | None]:
        """Words, and None where pdfium ends a line."""
        start = -1
        apart = False
        letters: list[str] = []
        for index in range(self._count + 1):
            letter = self._letter(index) if index < self._count else "\n"
            if letter.isspace():
                if letters:
                    yield self._word(start, index - 1, letters, apart)
                    apart = letter == " " and raw.FPDFText_IsGenerated(self._page, index) == 1
                elif letter == " " and raw.FPDFText_IsGenerated(self._page, index) != 1:
                    apart = False
                letters = []
                if letter in "\r\n":
                    apart = False
                    yield None
            else:
                if not letters:
                    start = index
                letters.append(letter)
                if letter in _BREAKS:  # pdfium puts no line end after it
                    yield self._word(start, index, letters, apart)
                    yield None
                    letters, apart = [], False

    def _is_seen(self, word: _Word) -> bool:
        tiny = 0 < self._size(word.first) < 1 and word.right - word.left < len(word.text)
        if tiny or not self._sheet.shows(word):
            return False
        mode = raw.FPDFTextObj_GetTextRenderMode(raw.FPDFText_GetTextObject(self._page, word.first))
        return mode not in (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP) or self._sheet.pictures

    def _letter(self, index: int) -> str:
        code = raw.FPDFText_GetUnicode(self._page, index)
        return chr(code) if 0 < code < 0x110000 else "\ufffd"

    def _word(self, first: int, last: int, letters: list[str], apart: bool) -> _Word:
        broken = letters[-1] in _HYPHENS
        # Beyond the Basic Multilingual Plane pdfium gives the two halves of a surrogate pair.
        text = "".join(letter for letter in letters if letter not in _HYPHENS)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        left, _, bottom = self._place(first)
        _, right, _ = self._place(last)
        return _Word(text, left, max(right, left), bottom, first, broken, apart)

    def _place(self, index: int) -> tuple[float, float, float]:
        """Left and right edge of a character, and its baseline."""
        left, right, bottom, top = self._box
        raw.FPDFText_GetCharBox(self._page, index, left, right, bottom, top)
        edges = left.value, right.value
        raw.FPDFText_GetCharOrigin(self._page, index, left, bottom)
        return *edges, bottom.value

    def _size(self, index: int) -> float:
        """The size of a character as it is seen: the font's own may be 1, scaled up by a matrix."""
        size = float(raw.FPDFText_GetFontSize(self._page, index))
        matrix = raw.FS_MATRIX()
        if raw.FPDFText_GetMatrix(self._page, index, matrix):
            scale = (matrix.b**2 + matrix.d**2) ** 0.5 or abs(matrix.a)
            size *= scale or 1.0
        return round(size, 1)

    def _is_bold(self, index: int) -> bool:
        length = raw.FPDFText_GetFontInfo(self._page, index, self._name, len(self._name), self._flags)
        name = self._name.value.lower() if length else b""
        return any(mark in name for mark in (b"bold", b"black", b"heavy", b"semibold")) or (
            raw.FPDFText_GetFontWeight(self._page, index) >= 600 and b"regular" not in name
        )

    def _run(self, words: list[_Word], size: float) -> Run:
        bold = self._is_bold(words[0].first) and self._is_bold(words[-1].first)
        if len(words) > 1:  # a bullet's size is not that of its text
            size = self._size(max(words, key=lambda word: len(word.text)).first)
        return Run(
            " ".join(word.text for word in words),
            words[0].left,
            words[-1].right,
            statistics.median(word.bottom for word in words),
            size or 1.0,
            bold,
            words[-1].broken,
        )
