"""Access over HTTP, at length: random documents, groups and keys, every path of the API, and not one forbidden word."""

import random
import re
from pathlib import Path

import pytest
from api_kit import chat, in_process, key_for, open_desk
from office import Office

WORLDS, CASES = 20, 500
GROUPS = ("board", "finance", "hr", "it", "legal")
WORDS = ("pension", "laptop", "salary", "contract", "travel", "printer", "audit", "holiday", "merger", "password")
CANARY = re.compile(r"canary\d+x")


def documents(chance: random.Random) -> tuple[dict[str, str | bytes], dict[str, frozenset[str]]]:
    """Documents in folders with random labels, and who may read which canary; folders lie in each other."""
    files: dict[str, str | bytes] = {}
    readers: dict[str, frozenset[str]] = {}
    for number in range(12):
        labels = frozenset(chance.sample(GROUPS, chance.randint(0, 3)))
        folder = "/".join(f"f{number}{letter}" for letter in "abc"[: chance.randint(1, 3)])
        word = f"canary{number}x"
        topics = " and ".join(chance.sample(WORDS, 3))
        files[f"{folder}/page.md"] = f"# About {topics}\n\nThe rule for {topics} is {word}, since last year.\n"
        files[f"{folder}/.access"] = "\n".join(sorted(labels) or ["everyone"])
        readers[word] = labels
    return files, readers


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(WORLDS))
def test_ten_thousand_random_requests_tell_nobody_what_is_not_theirs(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from office import parse_here

    monkeypatch.setattr("retrieval.build.parse_files", parse_here)
    chance = random.Random(seed)
    office = Office(tmp_path)
    files, readers = documents(chance)
    office.write(files)
    desk = open_desk(office, chat={"confidence": 0.0}, api={"requests_per_minute": 1_000_000})
    keys = []
    for _ in range(10):
        groups = frozenset(chance.sample(GROUPS, chance.randint(0, 4)))
        keys.append((groups, key_for(desk, *groups)))
    told = 0
    with in_process(desk) as client:
        for _ in range(CASES):
            groups, key = chance.choice(keys)
            words = [*chance.sample(WORDS, 2), chance.choice(sorted(readers)) if chance.random() < 0.5 else "rule"]
            question = f"What is the {' '.join(words)}?"
            if chance.random() < 0.5:
                method = chance.choice(("hybrid", "dense", "bm25"))
                response = client.post("/v1/search", json={"query": question, "k": 50, "method": method}, headers=key)
            else:
                body = chat(question, stream=chance.random() < 0.5)
                response = client.post("/v1/chat/completions", json=body, headers=key)
            assert response.status_code == 200
            seen = set(CANARY.findall(response.text.replace(question, "")))
            told += len(seen)
            assert not [word for word in seen if readers[word] and not readers[word] & groups]
    assert told > CASES, "the test would be worth nothing if nothing were told"
