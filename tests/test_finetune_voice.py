"""The house style: read whole or refused with everything that is wrong; and the sample company's own files."""

import json
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from eval.gate import LEAST
from eval.metrics import key_facts_met
from finetune.curation.curate import in_held_out
from finetune.settings import CurateSettings
from finetune.voice import SHIPPED, load_voice
from ingest.errors import DeskmateError
from ingest.load import parse
from ingest.settings import IngestSettings

DATA = Path(__file__).parent.parent / "data"

GOOD = SHIPPED.read_text()


def voice_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "voice.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", [None, DATA / "house_style.toml"], ids=["shipped", "sample company"])
def test_the_houses_own_files_are_whole(path: Path | None) -> None:
    voice = load_voice(path)
    assert voice.persona.name
    assert voice.cite(12) == "[12]"
    assert voice.decline == f"{voice.refusal.text} {voice.refusal.hand_over}"
    assert voice.is_refusal(voice.decline)
    assert voice.is_refusal(f"\n {voice.refusal.text.replace(' ', '  ')}")
    assert voice.is_refusal(voice.refusal.text.replace("I ", "We ").replace("documents", "document") + " Ask [email].")
    assert not voice.is_refusal("You have 25 days of leave.")
    assert not voice.is_refusal(
        "I could find this in our documents: you have 25 days, so there is no need to guess [1]."
    )
    assert not voice.is_refusal("")
    assert not any(phrase.lower() in voice.decline.lower() for phrase in voice.banned.phrases)
    assert len(voice.decline.split()) <= voice.answer.longest_words


def test_everything_that_is_wrong_in_a_voice_is_named_at_once(tmp_path: Path) -> None:
    text = (
        '[persona]\nname = ""\nmood = "jolly"\n[answer]\nlongest_words = 3\ncitation = "[n]"\n[refusal]\ntext = "No."\n'
    )
    with pytest.raises(DeskmateError) as caught:
        load_voice(voice_file(tmp_path, text))
    message = str(caught.value)
    assert f"the house style {tmp_path / 'voice.toml'} is not complete: " in message
    for name in ("persona.name", "persona.mood", "persona.instructions", "answer.longest_words", "answer.citation"):
        assert f"{name}: " in message
    assert "refusal.hand_over: " in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["[persona", "name = ", "\x00"])
def test_a_voice_that_is_no_toml_is_a_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(DeskmateError, match=r"the house style .*voice\.toml cannot be read: "):
        load_voice(voice_file(tmp_path, text))


def test_a_voice_that_is_missing_or_no_text_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DeskmateError, match=r"nowhere\.toml cannot be read"):
        load_voice(tmp_path / "nowhere.toml")
    (tmp_path / "voice.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DeskmateError, match=r"voice\.toml cannot be read"):
        load_voice(tmp_path / "voice.toml")


def test_a_section_of_the_wrong_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeskmateError, match="persona: "):
        load_voice(voice_file(tmp_path, 'persona = "Sam"\n' + GOOD[GOOD.index("[answer]") :]))


# The sample company's question set


@pytest.fixture(scope="module")
def questions() -> list[dict]:
    return [json.loads(line) for line in (DATA / "questions.jsonl").read_text().split("\n") if line]


def test_the_question_set_has_the_contracts_keys(questions: list[dict]) -> None:
    needed = {"id": str, "question": str, "answerable": bool, "gold_docs": list, "answer": str, "key_facts": list}
    for one in questions:
        assert {key: type(one[key]) for key in needed} == needed, one["id"]
        assert set(one) <= needed.keys() | {"kind", "style"}, one["id"]
        assert one["question"].strip() == one["question"] != ""
        for group in one["key_facts"]:
            assert group, one["id"]
            assert all(isinstance(fact, str) and fact.strip() for fact in group), one["id"]


def test_the_question_set_is_large_and_asks_in_many_ways(questions: list[dict]) -> None:
    styles = Counter(one["style"] for one in questions)
    assert len(questions) >= 150
    assert styles["terse"] >= len(questions) // 3 - 2
    assert styles["indirect"] >= len(questions) // 3 - 2
    assert 0.1 < sum(not one["answerable"] for one in questions) / len(questions) < 0.5


def test_the_question_sets_ids_are_unique(questions: list[dict]) -> None:
    assert [one for one, count in Counter(q["id"] for q in questions).items() if count > 1] == []


def test_gold_documents_exist_and_answerable_questions_have_them(questions: list[dict]) -> None:
    for one in questions:
        assert [doc for doc in one["gold_docs"] if not (DATA / "sample" / doc).is_file()] == [], one["id"]
        if one["answerable"]:
            assert one["gold_docs"], one["id"]
            assert one["key_facts"], one["id"]
            assert one["answer"], one["id"]


def test_what_has_a_document_and_yet_no_answer_is_restricted(questions: list[dict]) -> None:
    """An asker of no group must be declined, so the documents stand below a `.access` file."""
    for one in questions:
        if one["answerable"] or not one["gold_docs"]:
            continue
        assert one["kind"] == "restricted", one["id"]
        for doc in one["gold_docs"]:
            above = (DATA / "sample" / doc).parents
            assert any((folder / ".access").is_file() for folder in above if DATA in folder.parents), one["id"]


def test_a_reference_answer_states_its_own_key_facts(questions: list[dict]) -> None:
    for one in questions:
        if one["answerable"]:
            assert key_facts_met(one["answer"], one["key_facts"]) == 1.0, one["id"]


@pytest.fixture(scope="module")
def texts(questions: list[dict]) -> dict[str, str]:
    """The gold documents as they are read, by name."""
    paths = {doc: DATA / "sample" / doc for one in questions for doc in one["gold_docs"]}
    return {doc: parse(path.read_bytes(), path.name, IngestSettings()).text for doc, path in paths.items()}


def test_the_gold_documents_state_the_key_facts(questions: list[dict], texts: dict[str, str]) -> None:
    for one in questions:
        if one["gold_docs"]:
            assert key_facts_met("\n".join(texts[doc] for doc in one["gold_docs"]), one["key_facts"]) == 1.0, one["id"]


def test_every_gold_document_is_needed(questions: list[dict], texts: dict[str, str]) -> None:
    for one in questions:
        for doc in one["gold_docs"]:
            assert key_facts_met(texts[doc], one["key_facts"]) > 0, f"{one['id']}: {doc}"


def test_enough_documents_are_held_out_for_the_gate(questions: list[dict]) -> None:
    """What `make tune` never sees must be asked about enough, or no adapter may serve."""
    shipped = tomllib.loads((DATA.parent / "deskmate.toml").read_text())["curate"]
    for settings in (CurateSettings(), CurateSettings(**shipped)):
        measured = [one for one in questions if one["answerable"]]
        unseen = [one for one in measured if all(in_held_out(doc, settings) for doc in one["gold_docs"])]
        assert len({one["gold_docs"][0] for one in unseen}) >= LEAST
