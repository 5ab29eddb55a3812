"""What a held-out answer is worth, and what is said before a weight is loaded."""

import pytest

from app.desk import Desk
from app.loop.tune import TuneOptions, Tuning, answer_score
from app.settings import load_settings
from finetune.curation.pairs import Evidence, Kind
from finetune.curation.rows import Row
from finetune.template import Turn
from finetune.voice import load_voice
from ingest.errors import DeskmateError

VOICE = load_voice()


def row(answer: str, kind: Kind = Kind.FACT) -> Row:
    evidence = () if kind is Kind.NEAR_MISS else (Evidence("a.md", "a", 0, 5, "A 25."),)
    prompt = (Turn(role="user", content="…"),)
    completion = (Turn(role="assistant", content=answer),)
    return Row(
        "r", kind, "plain", prompt, completion, "How long is leave?", 3, evidence, ("a.md",), (("everyone",),), "t"
    )


DUE = row("Leave is 25 days [1].")


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("Leave is 25 days [1].", 1.0),
        ("It is 25 days [2].", 0.8),  # "it" is one word too many
        ("Leave is 30 days [1].", 0.5),
        ("Leave is 25 days.", 0.0),  # no citation
        (VOICE.decline, 0.0),
    ],
)
def test_an_answer_is_worth_its_facts_in_the_house_form(text: str, worth: float) -> None:
    assert answer_score(text, DUE, VOICE) == pytest.approx(worth)


def test_a_refusal_is_worth_something_where_it_is_due() -> None:
    assert answer_score(VOICE.decline, row(VOICE.decline, Kind.NEAR_MISS), VOICE) == 1.0
    assert answer_score("Leave is 25 days [1].", row(VOICE.decline, Kind.NEAR_MISS), VOICE) == 0.0


def test_without_training_data_or_with_an_unknown_recipe_nothing_is_loaded(tmp_path) -> None:
    desk = Desk(load_settings(home=tmp_path))
    with pytest.raises(DeskmateError, match=r"there is no training data in .*; run deskmate synth first"):
        Tuning(desk, TuneOptions("tiny", "house"))
    with pytest.raises(DeskmateError, match="there is no recipe 'huge'"):
        Tuning(desk, TuneOptions("huge", "house"))


def test_a_broken_row_is_named_by_file_and_line(tmp_path) -> None:
    (tmp_path / "qa").mkdir()
    (tmp_path / "qa" / "train.jsonl").write_text("\n" * 730 + '{"id": ')
    with pytest.raises(DeskmateError, match=r"train\.jsonl:731: no JSON"):
        Tuning(Desk(load_settings(home=tmp_path)), TuneOptions("tiny", "house"))
