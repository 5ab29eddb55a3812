"""The benchmarks' own arithmetic and made-up data, and each benchmark once over on something tiny."""

import json

import numpy as np
import pytest

from app.console import SilentProgress
from app.desk import Desk
from app.models.llm import EchoModel
from app.settings import load_settings
from eval.bench.commands import BenchOptions, run_bench
from eval.bench.generate import bench_generate, make_prompts, timed
from eval.bench.ingest import _files, _load_text, _row, bench_ingest, read_until, uncovered
from eval.bench.search import COMMON, Latency, bench_search, make_questions, make_texts, make_vectors, make_words
from ingest.errors import DeskmateError
from retrieval.embed import HashingEmbedder


def make_desk(tmp_path):
    return Desk(load_settings(home=tmp_path / "home", retrieval={"embedder": "hashing"}, chat={"backend": "echo"}))


def test_uncovered_characters_are_those_in_no_span_white_space_aside():
    text = "ab cd\n ef"
    assert uncovered(text, []) == 6
    assert uncovered(text, [(0, 2), (6, 9)]) == 2
    assert uncovered(text, [(0, 4), (3, 9)]) == 0
    assert uncovered("", []) == 0


def test_reading_stops_at_the_window_and_the_heading_takes_room():
    embedder = HashingEmbedder()  # a token a word, 254 in the window
    words = " ".join(["word"] * 300)
    assert read_until("word word", 10, None, embedder) == 19
    assert read_until(words, 10, None, embedder) == 10 + 254 * 5 - 1
    assert read_until(f"Title\n{words}", 10, words, embedder) == 10 + 253 * 5 - 1
    assert read_until("Title\nword", 10, "word", embedder) == 14
    heading = " ".join(["head"] * 300)
    assert read_until(f"{heading}\nword", 10, "word", embedder) == 10


def test_only_readable_visible_files_are_benchmarked_and_the_recipe_reads_utf8(tmp_path):
    for name in ("b.md", "a.txt", ".hidden.md", "sub/c.html", ".git/d.md", "e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("ä")
    assert [path.name for path in _files(tmp_path)] == ["a.txt", "b.md", "c.html"]
    (tmp_path / "a.txt").write_bytes(b"\xe4")
    assert _load_text(tmp_path / "a.txt") is None
    assert _load_text(tmp_path / "b.md") == "ä"


def test_ratios_are_medians_over_rounds_of_the_recipe_through_ours():
    timed = {
        "langchain recipe": [(10.0, {"seconds": 4.0, "chunks": 50}), (30.0, {"seconds": 6.0, "chunks": 50})],
        "deskmate": [(5.0, {"seconds": 2.0, "chunks": 80}), (10.0, {"seconds": 2.0, "chunks": 80})],
    }
    row = _row("deskmate", timed, 7)
    assert (row["seconds"], row["work_seconds"], row["chunks"], row["uncovered_chars"]) == (7.5, 2.0, 80, 7)
    assert (row["ratio"], row["work_ratio"]) == (2.5, 2.5)
    assert row["chunks_per_s"] == pytest.approx(80 / 7.5, abs=0.05)
    assert _row("langchain recipe", timed, 0)["ratio"] == 1.0


def test_the_ingest_benchmark_needs_a_model_to_compare_with(tmp_path):
    with pytest.raises(DeskmateError, match="needs a sentence-transformers model"):
        bench_ingest(make_desk(tmp_path), tmp_path)


def test_percentiles_are_in_milliseconds():
    assert Latency.of([0.001] * 99 + [1.0]) == Latency(1.0, 1.0)
    assert Latency.of([0.010, 0.030]) == Latency(20.0, 29.0)


def test_made_up_texts_are_the_same_every_time_and_look_like_english():
    texts = list(make_texts(50, np.random.default_rng(0)))
    assert texts == list(make_texts(50, np.random.default_rng(0)))
    assert len(texts) == 50
    assert 450 < np.mean([len(text) for text in texts]) < 750
    words = " ".join(texts).replace(".", "").split()
    assert words.count("the") > words.count("office") > 0
    assert len(make_words(np.random.default_rng(2))) == len(set(make_words(np.random.default_rng(2))))


def test_made_up_questions_are_questions_in_known_words():
    questions = make_questions(20)
    assert questions == make_questions(20)
    assert not any("{" in one for one in questions)
    known = set(make_words(np.random.default_rng(2)))
    assert sum(word in known for word in questions[0].lower().strip("?").split()) > 5
    assert len(COMMON) == len(set(COMMON))


def test_made_up_vectors_are_unit_vectors_in_clusters():
    vectors = make_vectors(300, 32, np.random.default_rng(0))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(300), abs=1e-5)
    cosines = vectors @ vectors.T - 2 * np.eye(300)
    assert cosines.max() > 0.6  # two of a cluster


def test_the_search_benchmark_measures_an_index_with_access_groups():
    figures = bench_search(600, HashingEmbedder())
    assert figures["chunks"] == 600
    assert 0 < figures["readable"] < 1
    assert all(value > 0 for value in figures.values())
    assert figures["p95_ms"] >= figures["p50_ms"]


def test_prompts_have_the_real_shape(tmp_path):
    desk = make_desk(tmp_path)
    first, second = make_prompts(desk)
    assert len(first) == len(second) == 8
    content = first[0][-1]["content"]
    assert content.count("<<<") == 3
    assert 1500 < len(content) < 3500
    begin = content[: content.rindex(">>>")]
    assert second[0][-1]["content"].startswith(begin)  # the same passages, another question


def test_prompts_come_from_the_index_where_there_is_one(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(30):
        (folder / f"{n}.md").write_text(f"# Rule {n}\n\n" + f"Every form {n} goes to the harbour office first. " * 12)
    desk = make_desk(tmp_path)
    desk.ingest(SilentProgress()).run([folder])
    assert "harbour office" in make_prompts(desk)[0][0][-1]["content"]


def test_the_generation_benchmark_gives_one_row_for_a_model_that_is_not_ours(tmp_path):
    (row,) = bench_generate(make_desk(tmp_path))
    assert (row["name"], row["prompts"], row["ratio"]) == ("echo", 8, 1.0)
    run = timed(EchoModel(), [{"role": "user", "content": "one two three"}], 2)
    assert (run.prompt_tokens, run.completion_tokens) == (3, 2)
    assert 0 < run.first <= run.total


def test_the_command_prints_a_table_or_json_and_refuses_what_it_cannot_do(tmp_path, capsys):
    desk = make_desk(tmp_path)
    run_bench(desk, "generate", BenchOptions(), True)
    assert json.loads(capsys.readouterr().out)["rows"][0]["name"] == "echo"
    run_bench(desk, "generate", BenchOptions(), False)
    assert "echo" in capsys.readouterr().out
    with pytest.raises(DeskmateError, match="choose ingest, embed, search, generate, tune, swap"):
        run_bench(desk, "speed", BenchOptions(), True)
    with pytest.raises(DeskmateError, match="needs --data FOLDER with documents"):
        run_bench(desk, "embed", BenchOptions(), True)
    with pytest.raises(DeskmateError, match="there is no folder"):
        run_bench(desk, "ingest", BenchOptions(tmp_path / "none"), True)
