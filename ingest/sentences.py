"""A text into sentences with their places. Knows punctuation; knows nothing of meaning."""

import re

_END = re.compile(
    r"""
    (?<=[.!?…])["'”’)\]]*\s+(?=["'“‘(\[*-]*[A-Z0-9\u00C0-\u024F\u0370-\u1FFF])   # a stop, then a capital or a digit
    | (?<=[。！？])                                                               # East Asian stops need no space
    | \s*\n\s*                                                                    # a line ends a sentence
    """,
    re.VERBOSE,
)
_NO_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|cf|vs|approx|ca|no|nr|fig|sec|art|ext|tel|dr|mr|mrs|ms|prof|st|inc|ltd|co|dept|min|max|p)\.|"
    r"\b[A-Z]\.|(?:^|\s)\d{1,2}\.)$",
    re.IGNORECASE,
)
"""What ends in a full stop and yet ends no sentence: abbreviations, initials, the number of a list item."""


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The `(start, end)` of each sentence or line of a text, white space around it left out."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if "\n" not in match[0] and _NO_END.search(text[start : match.start()].rstrip("\"'”’)]")):
            continue
        spans.append((start, match.start() + len(match[0]) - len(match[0].lstrip("\"'”’)]"))))
        start = match.end()
    spans.append((start, len(text)))
    trimmed = ((s + len(text[s:e]) - len(text[s:e].lstrip()), s + len(text[s:e].rstrip())) for s, e in spans)
    return [(s, e) for s, e in trimmed if e > s]
