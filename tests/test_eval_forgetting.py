"""The forgetting probe: a fair set of questions, and a difference that is measured question by question."""

import json
from collections import Counter

from app.models.llm import Completion
from eval.probes.forgetting import GENERAL, forgetting

ROWS = [json.loads(line) for line in GENERAL.read_text().splitlines()]


class Knows:
    """Knows everything as the base, and only what has an even number under an adapter."""

    def generate_batch(self, conversations, max_tokens, *, adapter=None):
        known = {row["question"]: row["key_facts"][0][0] for row in ROWS if not adapter or int(row["id"][-1]) % 2 == 0}
        return [Completion(f"It is {known.get(turns[-1]['content'], 'unknown')}.", 1, 1) for turns in conversations]


def test_the_difference_is_told_in_points_with_its_interval():
    probe = forgetting(Knows(), adapter=object())
    assert probe["base"] == 1.0
    assert probe["adapter"] == 0.5
    assert probe["points"]["mean"] == -50.0
    assert probe["points"]["low"] < -50 < probe["points"]["high"] < 0


def test_every_question_is_there_once_and_none_is_tuned_on():
    asked = [row["question"].casefold() for row in ROWS]
    assert len(ROWS) >= 100
    assert [one for one, count in Counter(asked).items() if count > 1] == []
    replay = (GENERAL.parent.parent.parent / "finetune" / "synthesis" / "replay.jsonl").read_text().splitlines()
    assert not set(asked) & {json.loads(line)["question"].casefold() for line in replay}
