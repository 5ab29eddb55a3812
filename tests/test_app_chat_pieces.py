"""The pieces of the chat that people act on: words for how sure an answer is, thumbs, the list, talks, exports."""

import dataclasses
from datetime import date, datetime, timedelta

import pytest
from fake_desk import FakeDesk
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_app_pages import OURS, Tags, finished

from app.answering.grounding import Sentence
from app.chat.archive import Judgement, Kept, Listed
from app.chat.details import details_html
from app.chat.export import as_json, as_markdown, file_name
from app.chat.feedback import feedback_html
from app.chat.handing import preview_html, said_parts, stand_html
from app.chat.listing import list_html
from app.chat.retold import log
from app.chat.talk import Handed, Said, Stand
from app.people import Person
from app.web import pages

ANNA = Person("user-1", "Anna")
THEIRS = OURS | {
    "a",
    "nav",
    "svg",
    "path",
    "circle",
    "form",
    "fieldset",
    "legend",
    "label",
    "input",
    "textarea",
    "time",
}
ATTRIBUTES = {"onerror", "onclick", "onload", "src", "style"}


def of(html: str) -> Tags:
    seen = Tags(html)
    assert seen.tags <= THEIRS
    assert not ATTRIBUTES & seen.attributes
    return seen


@pytest.mark.parametrize(
    ("confidence", "supported", "word"),
    [(0.9, True, "well"), (0.9, False, "partly"), (0.5, True, "partly"), (0.2, True, "unsure"), (0.2, False, "unsure")],
)
def test_how_sure_an_answer_is_stands_beside_it_in_words(confidence: float, supported: bool, word: str) -> None:
    sentences = (Sentence("Error 809 means that the port is blocked.", supported),)
    answer = dataclasses.replace(finished("vpn"), confidence=confidence, sentences=sentences)
    assert pages.support_of(answer) == word
    body = pages.answer_body_html(answer)
    assert pages.SUPPORT[word] in body
    assert str(confidence) not in body, "no false precision"
    assert "Not every sentence" in details_html(answer) or supported


@pytest.mark.parametrize("question", ["who paints the bridge?", "What is a VPN?"])
def test_nothing_is_said_of_support_where_there_is_none(question: str) -> None:
    answer = dataclasses.replace(finished(question), generation=None)
    assert not any(words in pages.answer_body_html(answer) for words in pages.SUPPORT.values())
    for kind in ({"corrected": 3}, {"clarified": True}):
        body = pages.answer_body_html(dataclasses.replace(finished("vpn"), **kind))
        assert not any(words in body for words in pages.SUPPORT.values())


def test_a_question_back_offers_each_subject_as_a_button_that_asks_about_it() -> None:
    text = "I am not sure which of these you mean:\n1. VPN: Error <codes> [1].\n2. Leave [2]."
    answer = dataclasses.replace(finished("vpn"), question="What about 809?", answer=text, clarified=True)
    body = pages.answer_body_html(answer)
    assert 'data-ask="What about 809 (VPN: Error &lt;codes&gt;)?">VPN: Error &lt;codes&gt;</button>' in body
    assert 'data-ask="What about 809 (Leave)?">Leave</button>' in body
    assert body.count("dm-starter") == 3  # the list and its two


def test_a_refusal_offers_a_person() -> None:
    assert 'data-do="talk"' in pages.answer_body_html(finished("who paints the bridge?"))
    assert 'data-do="talk"' not in pages.answer_body_html(finished("vpn"))


@given(st.text(), st.text())
def test_whatever_people_write_stays_text(text: str, name: str) -> None:
    listed = list_html([Listed("a" * 32, text, 0.0)], text, date.today())
    said = (
        said_parts(Said(1, 0.0, "user-2", name, text), ANNA)["html"]
        + said_parts(Said(1, 0.0, "user-1", name, text), ANNA)["html"]
    )
    form = feedback_html(1, Judgement("down", "wrong", text), asking=True)
    stand = stand_html(Stand(1, "taken", text, 0.0))
    handed = preview_html([Handed(1, text, text, 0.5, (text,))])
    for html in (listed, said, form, stand, handed):
        of(html)


def test_the_list_is_under_the_days() -> None:
    noon = datetime.now().replace(hour=12, minute=0)
    days = [0, 0, 1, 3, 6, 200]
    found = [Listed(f"{n:032}", f"talk {n}", (noon - timedelta(days=back)).timestamp()) for n, back in enumerate(days)]
    html = list_html(found, "", noon.date())
    assert [html.count(label) for label in (">Today<", ">Yesterday<", ">The last seven days<")] == [1, 1, 1]
    assert html.count("<ul>") == html.count("</ul>") == 4


def test_a_conversation_is_told_again_in_the_order_of_time() -> None:
    answer = finished("vpn")
    kept = [Kept(1, 10.0, "first", answer, False, None), Kept(2, 30.0, "third", None, False, None)]
    said = [Said(7, 20.0, "user-2", "Dora", "second")]
    parts = log(zip((101, 102), kept, strict=True), said, ANNA)
    assert [part.get("turn") or part.get("said") for part in parts] == [101, 7, 102]
    assert "exchange" not in parts[2], "what is withheld has no sources to ask for"
    text = as_markdown("Title", kept, said)
    assert text.index("first") < text.index("second") < text.index("third")


def test_an_export_leads_nowhere() -> None:
    desk_said = [Said(1, 0.0, "user-2", "![x](https://evil.example)", "<img src=https://evil.example/x.png>")]
    kept = [Kept(1, 0.0, "[go](https://evil.example)", finished("hostile"), False, None)]
    text = as_markdown("![t](https://evil.example)", kept, desk_said)
    rendered = MarkdownIt("commonmark").render(text)
    assert not {"a", "img", "script"} & Tags(rendered).tags
    assert '"title": "![t]' in as_json("![t](x)", kept, desk_said, ANNA)


@given(st.text())
def test_a_file_name_is_one_that_every_system_takes(title: str) -> None:
    name = file_name(title, "md")
    assert name.endswith(".md")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert 4 <= len(name) <= 60


def test_thumbs_say_which_is_pressed_and_ask_why() -> None:
    html = feedback_html(7, Judgement("down"))
    assert 'data-exchange="7"' in html
    assert 'data-verdict="down" aria-pressed="true"' in html
    assert 'data-verdict="up" aria-pressed="false"' in html
    assert "Tell us what was wrong" in html
    assert "it is outdated" in feedback_html(7, Judgement("down", "outdated"))
    assert feedback_html(7).count('aria-pressed="false"') == 2


def test_a_fake_desk_is_a_desk() -> None:
    from app.chat.conversation import Desk

    desk: Desk = FakeDesk()
    assert desk.versions(["it/vpn-guide.md", "no"], frozenset()).keys() == {"it/vpn-guide.md"}
