"""The pieces of the chat's page: what they say, and that nothing from outside becomes markup."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from fake_desk import DOCUMENTS, KNOWN, FakeDesk, hit, hits
from hypothesis import given
from hypothesis import strategies as st

from app.answering.answer import Answer, Finished
from app.answering.grounding import Sentence
from app.answering.modes import Mode
from app.chat.details import details_html
from app.web import frame, pages
from app.web.markup import FLAG, answer_html, passage_html

OURS: set[str] = set()
for _tags in (
    "p div span ul ol li b i small button strong em code pre br hr h3 h4 blockquote mark template",
    "table thead tbody tr th td details summary dl dt dd",
):
    OURS |= set(_tags.split(" "))


class Tags(HTMLParser):
    """Collects tags, attributes and text, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def finished(question: str, mode: Mode = Mode.RAG_ONLY) -> Answer:
    desk = FakeDesk(word_s=0, prefill_s=0)
    *_, last = desk.stream(question, mode=mode, groups=frozenset())
    assert isinstance(last, Finished)
    return last.answer


def chip(n: int) -> str | None:
    return f"<button>{n}</button>" if n <= 3 else None


@given(st.text())
def test_whatever_a_model_writes_only_our_tags_come_out(text: str) -> None:
    for html in (answer_html(text, chip), answer_html(text, chip, [text]), answer_html(text, chip, writing=True)):
        seen = Tags(html)
        assert seen.tags <= OURS
        assert not {"href", "src", "style", "onerror"} & seen.attributes


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "[click](javascript:alert(1))",
        "![](https://evil.example/x.png)",
        "<https://evil.example>",
        "```html\n<script>alert(1)</script>\n```",
        "`<b>`",
        "[1]: https://evil.example\n\n[1]",
        "| <img src=x> | b |\n|---|---|\n| [x](https://evil.example) | d |",
    ],
)
def test_links_images_and_tags_of_a_model_stay_text(attack: str) -> None:
    seen = Tags(answer_html(attack, chip))
    assert seen.tags <= OURS
    assert not {"href", "src"} & seen.attributes


@given(st.text(), st.integers(-5, 60), st.integers(-5, 60), st.one_of(st.none(), st.integers(0, 40)))
def test_a_passage_shows_the_documents_own_characters_and_no_tag_of_its(
    text: str, start: int, end: int, around: int | None
) -> None:
    html = passage_html(text, start, end, around=around)
    assert Tags(html).tags <= OURS
    if around is None and "|" not in text:  # a table's bars become cells
        shown, written = (re.sub(r"\s", "", one.replace("\0", "�")) for one in (Tags(html).text, text))
        assert shown == written  # parsers differ in whether they replace a NUL, which no document keeps


def test_markers_become_citations_one_each() -> None:
    html = answer_html("Yes [1]. And no [2, 3]; maybe [1][2].", chip)
    assert html == (
        "<p>Yes<button>1</button>. And no<button>2</button><button>3</button>; "
        "maybe<button>1</button><button>2</button>.</p>\n"
    )


def test_a_marker_without_a_passage_stays_text() -> None:
    assert "[9]" in answer_html("Yes [9].", chip)


def test_code_keeps_its_brackets() -> None:
    assert "<code>a[1]</code>" in answer_html("Use `a[1]` [1].", chip)


def test_half_a_marker_is_held_back_while_writing() -> None:
    assert answer_html("Yes [1", chip, writing=True) == "<p>Yes</p>\n"
    assert "[1" in answer_html("Yes [1", chip)


def test_an_unsupported_sentence_is_marked_and_says_so() -> None:
    html = answer_html("Sure [1]. Perhaps **not** so.", chip, ["Perhaps **not** so."])
    assert '<span class="dm-unsure">Perhaps </span>' in html
    assert '<strong><span class="dm-unsure">not</span></strong>' in html
    assert html.count(FLAG) == 1
    assert "Sure" not in "".join(re.findall(r'dm-unsure">([^<]*)', html))


def test_neighbours_share_one_label_and_lines_do_not() -> None:
    assert answer_html("One. Two.", chip, ["One.", "Two."]).count(FLAG) == 1
    assert answer_html("- One.\n- Two.", chip, ["- One.", "- Two."]).count(FLAG) == 2


@pytest.mark.parametrize("line", ["1. Call.", "- Call.", "# Call", "> Call.", "| Call | me |"])
def test_marking_leaves_the_structure_of_a_line(line: str) -> None:
    text = f"{line}\n|---|---|" if line.startswith("|") else line
    marked = answer_html(text, chip, [line])
    assert Tags(marked).tags - {"span"} == Tags(answer_html(text, chip)).tags
    assert FLAG in marked


def test_a_table_row_and_its_cited_cell_are_shown_as_a_table() -> None:
    text = DOCUMENTS["it/vpn-guide.md"].text
    start = text.index("Switch to Brightwater-443. Nothing")
    html = passage_html(text, start, start + len("Switch to Brightwater-443."))
    assert '<td><mark class="dm-hit">Switch to Brightwater-443.</mark> Nothing is wrong' in html
    assert "<th>Code</th>" in html


def test_a_long_document_is_cut_around_the_span_and_says_so() -> None:
    text = "\n\n".join(f"Paragraph {n} of many words." for n in range(2000))
    start = text.index("Paragraph 1000 ")
    html = passage_html(text, start, start + 14)
    assert "Paragraph 1000" in Tags(html).text
    assert len(html) < 10_000
    assert html.count("dm-cut") == 2
    assert "dm-cut" not in passage_html(text, start, start + 14, around=None)


def test_one_endless_line_is_cut_too() -> None:
    html = passage_html("word " * 100_000, 250_000, 250_010)
    assert "dm-hit" in html
    assert len(html) < 10_000


def test_the_second_marker_of_a_passage_opens_the_second_span() -> None:
    answer = finished("phone steps")
    keys = re.findall(r'class="dm-chip" data-ref="(\w+)"', pages.answer_body_html(answer))
    assert keys == ["c0", "c1", "c2", "c3"]


def test_every_reference_of_a_turn_has_its_template() -> None:
    answer = finished("vpn 809")
    refs = pages.passage_refs_html(answer.hits, DOCUMENTS.get) + pages.citation_refs_html(answer, DOCUMENTS.get)
    have = set(re.findall(r'<template data-ref="(\w+)"', refs))
    shown = pages.answer_body_html(answer) + details_html(answer) + pages.writing_html("a [1] b [7]", answer.hits)
    assert set(re.findall(r'<button[^>]*data-ref="(\w+)"', shown)) <= have
    assert refs.count("dm-hit") >= len(have)


def test_a_document_that_cannot_be_read_shows_the_quote_alone() -> None:
    answer = finished("porto leave")
    refs = pages.citation_refs_html(answer, lambda doc: None)
    assert "In Porto you carry over up to 9 days" in refs
    assert "data-whole" not in refs


def test_a_changed_document_does_not_mark_the_wrong_words() -> None:
    from retrieval.chunks import DocumentText

    answer = finished("porto leave")
    refs = pages.citation_refs_html(answer, lambda doc: DocumentText(doc, "t", "Other words now. " * 40))
    assert "Other words" not in refs


def test_a_refusal_is_a_notice_with_the_closest_passages() -> None:
    html = pages.answer_body_html(finished("who paints the bridge"))
    assert "dm-refusal" in html
    assert "Closest passages" in html
    assert html.count("dm-card") == pages.NEAREST + 1  # and the list's own class
    assert "dm-flag" not in html


def test_an_answer_that_cites_nothing_still_offers_the_closest_passages() -> None:
    answer = finished("porto leave")
    bare = dataclasses.replace(
        answer, citations=(), sentences=(Sentence("Nobody knows.", False),), answer="Nobody knows."
    )
    assert "Closest passages" in pages.answer_body_html(bare)
    assert "Closest passages" not in pages.answer_body_html(answer)


def test_without_documents_one_note_replaces_the_marks() -> None:
    html = pages.answer_body_html(finished("vpn", Mode.PROMPT_ONLY))
    assert "No documents were read" in html
    assert "dm-flag" not in html
    assert "No documents were searched" in details_html(finished("vpn", Mode.PROMPT_ONLY))


def test_details_name_scores_times_and_tokens() -> None:
    text = Tags(details_html(finished("vpn 809"))).text
    for wanted in ("Lockgate VPN guide", "0.820", "0.650", "12.100", "41 ms", "612 read", "gen-000007", "SmolLM2"):
        assert wanted in text


def test_what_copies_is_the_answer_with_its_sources() -> None:
    copied = pages.copy_text(finished("porto leave"))
    assert "9 days of annual leave [1]." in copied
    assert "[1] Annual leave › Carrying over (hr/annual-leave.pdf, page 3)" in copied


def test_titles_and_questions_are_escaped() -> None:
    nasty = '"><script>x</script>'
    for html in (
        frame.welcome_html(nasty, 3, [nasty]),
        frame.header_html(nasty),
        pages.question_html(nasty),
        pages.error_html(nasty),
        pages.tools_html(nasty),
        details_html(finished("hostile")),
        pages.passage_refs_html(hits(KNOWN[3][1]), DOCUMENTS.get),
        pages.whole_document_html(DOCUMENTS["it/notes.md"], 0, 5),
    ):
        assert "script" not in Tags(html).tags
        assert "onerror" not in Tags(html).attributes


def test_an_endless_question_is_shown_short() -> None:
    assert len(pages.question_html("x" * 100_000)) < 1000
    assert "100,000 characters" in pages.question_html("x" * 100_000)


def test_an_error_is_a_sentence() -> None:
    assert "The index is gone." in pages.error_html("the index is gone")


def test_gradios_page_loses_what_is_foreign() -> None:
    page = (
        '<head><meta charset="utf-8" /><meta property="og:image" content="https://a.example/x"/>'
        '<link rel="preconnect" href="https://fonts.googleapis.com"><link rel="manifest" href="/manifest.json">'
        '<link rel="stylesheet" href="./assets/a.css"></head><body class="x"></body>'
    )
    ours = frame.page_html(page, "A & B", "<i>links</i>")
    assert "https:" not in ours
    assert "manifest" not in ours
    assert "<title>A &amp; B</title><i>links</i>" in ours
    assert "./assets/a.css" in ours
    assert '<body class="x"><div id="dm-splash"' in ours


def test_scores_that_are_missing_are_a_dash() -> None:
    answer = finished("vpn 809")
    assert any(one.bm25 is None for one in answer.hits)
    assert "–" in details_html(answer)
    assert hit(1, "it/notes.md", "Notes", "Notes", "Notes").dense is not None
