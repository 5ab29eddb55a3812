"""The data card: counts that add up, every filter with an example, fingerprints of the data, and a page to be read."""

import hashlib
import json
from pathlib import Path

import pytest

from finetune.curation.card import Card, card_json, describe, prompt_sha256
from finetune.curation.card_markdown import card_markdown
from finetune.curation.curate import CurationReport, Example, FilterReport
from finetune.curation.include import Included
from finetune.curation.overlap import Leakage, Overlap
from finetune.curation.pairs import Evidence, Kind
from finetune.curation.rows import Row, write_rows
from finetune.prompt import PromptPassage, render_prompt
from finetune.settings import CurateSettings
from finetune.template import Turn
from finetune.voice import load_voice
from ingest.errors import DeskmateError

VOICE = load_voice()
SPAN = Evidence("it/vpn.md", "c1", 0, 30, "A session ends | after 10 hours.")


def row(n: int, kind: Kind = Kind.FACT, style: str = "plain", groups: tuple[str, ...] = ("everyone",)) -> Row:
    question = f"How long is session {n}?"
    answer = VOICE.decline if kind is Kind.NEAR_MISS else "A session ends after 10 hours [1]."
    return Row(
        f"r{n}",
        kind,
        style,
        tuple(render_prompt(question, [PromptPassage("VPN", SPAN.text)], VOICE)),
        (Turn(role="assistant", content=answer),),
        question,
        1,
        () if kind is Kind.NEAR_MISS else (SPAN,),
        ("it/vpn.md", "hr/leave.md"),
        (("everyone",), groups),
        "embedded",
    )


SECRET = Example("x", "restricted", "", "", "hr/pay.md is for hr")
SURE = Example("y", "opening", "Why <b>?", "Sure, so | so.", "begins with Sure")
REPORT = CurationReport(
    taken=100,
    kept=12,
    filters=(
        FilterReport("access", "it may be read", 1, {"restricted": 1}, (SECRET,)),
        FilterReport("house-form", "it is in form", 80, {"opening": 79, "steps": 1}, (SURE,)),
        FilterReport("mix", "there is room", 0, {}, ()),
    ),
    leakage=(Leakage("q.jsonl", 50, 1, 1, 0, 0, (Overlap("z", "Why?", "q1", "why", "exact", "why"),)),),
    notes=("there is no general replay",),
)
OWN = Included([], 9, {"courtesy": 4}, {"courtesy": "chats.txt:3#1: Bye <name>"}, {"mail": 2, "name": 5})


@pytest.fixture
def card(tmp_path: Path) -> Card:
    train = [row(n, style="terse" if n % 2 else "plain") for n in range(8)] + [row(8, Kind.NEAR_MISS)]
    write_rows(tmp_path / "train.jsonl", train)
    write_rows(tmp_path / "held_out.jsonl", [row(9, groups=("hr", "managers")), row(10, Kind.NEAR_MISS), row(11)])
    files = {name: tmp_path / f"{name}.jsonl" for name in ("train", "held_out")}
    return describe(files, REPORT, VOICE, CurateSettings(seed=7), OWN)


def test_the_counts_are_those_of_the_files(card: Card, tmp_path: Path) -> None:
    train, held_out = card.splits["train"], card.splits["held_out"]
    assert (train.rows, held_out.rows) == (9, 3)
    assert train.kinds == {"fact": 8, "near-miss": 1}
    assert train.styles == {"plain": 5, "terse": 4}
    assert train.documents == {"it/vpn.md": 8}
    assert train.sha256 == hashlib.sha256((tmp_path / "train.jsonl").read_bytes()).hexdigest()
    assert train.answer_words.longest >= train.answer_words.median
    assert card.access == (("everyone",), ("hr", "managers"))
    assert len(card.samples) == 5
    assert {sample.kind for sample in card.samples} == {"fact", "near-miss"}


def test_the_json_has_it_all_and_is_the_same_every_time(card: Card) -> None:
    data = json.loads(card_json(card))
    assert data["report"]["filters"][1]["rules"] == {"opening": 79, "steps": 1}
    assert data["report"]["leakage"][0]["examples"][0]["asked_id"] == "q1"
    assert data["settings"]["seed"] == 7
    assert data["included"]["masked"] == {"mail": 2, "name": 5}
    assert data["prompt_sha256"] == prompt_sha256(VOICE)
    assert card_json(card) == card_json(card)


def test_the_page_tells_people_what_the_data_are(card: Card) -> None:
    page = card_markdown(card)
    assert "12 questions with their answers" in page
    assert "from 1 documents" not in page
    assert "> **Note:** There is no general replay." in page
    assert "| rows | 9 | 3 |" in page
    assert "| kind: fact | 8 (89%) | 2 (67%) |" in page
    assert "hr/pay.md is for hr" in page
    assert "“Why &lt;b&gt;?” → “Sure, so \\| so.”" in page
    assert "2 × mail and 5 × name" in page
    assert "| q.jsonl | 50 | 1 | 1 | 0 | 0 |" in page
    assert "everyone; hr or managers" in page
    assert "<name>" not in page
    for line in page.splitlines():
        if line.startswith("| rows") or line.startswith("| house"):
            assert line.endswith("|")


def test_without_evaluation_sets_or_own_pairs_the_page_says_so_or_leaves_it_out(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [row(1)])
    bare = CurationReport(1, 1, (), (), ())
    page = card_markdown(describe({"train": tmp_path / "train.jsonl"}, bare, VOICE, CurateSettings()))
    assert "No evaluation set was named" in page
    assert "company's own" not in page
    assert "1 question with its answer" in page


def test_a_file_that_holds_no_rows_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(DeskmateError, match=r"train\.jsonl holds no row"):
        describe({"train": tmp_path / "train.jsonl"}, REPORT, VOICE, CurateSettings())


def test_the_fingerprint_of_the_prompt_changes_with_the_house_style() -> None:
    other = VOICE.model_copy(update={"persona": VOICE.persona.model_copy(update={"instructions": "Be brief:"})})
    assert prompt_sha256(other) != prompt_sha256(VOICE)
