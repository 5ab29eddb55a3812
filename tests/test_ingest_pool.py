"""Parsing in worker processes: one bad file costs one file, and the run always ends."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import psutil
import pytest
from hostile_parsers import misbehave

from ingest.load import parse
from ingest.pool import ParseOutcome, Parser, parse_files
from ingest.settings import IngestSettings

SETTINGS = IngestSettings(parse_seconds=1.5, parse_memory_mb=768)


@pytest.fixture
def write(tmp_path: Path):
    """Write files and give them as pairs of name and path."""

    def _write(files: Mapping[str, bytes | str]) -> list[tuple[str, Path]]:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(name, tmp_path / name) for name in files]

    return _write


def run(
    files: list[tuple[str, Path]], settings: IngestSettings = SETTINGS, parser: Parser = parse
) -> dict[str, ParseOutcome[str]]:
    outcomes = list(parse_files(files, settings, parser=parser))
    assert sorted(outcome.key for outcome in outcomes) == sorted(key for key, _ in files)
    assert all((outcome.parsed is None) != (outcome.reason is None) for outcome in outcomes)
    return {outcome.key: outcome for outcome in outcomes}


def workers() -> list[psutil.Process]:
    """Workers are children of the fork server, a child of this process; both run multiprocessing's code."""
    return [child for server in psutil.Process().children() for child in server.children()]


def test_files_are_parsed_and_hashed(write) -> None:
    files = write({"a.md": "# One\n\nText.", "b.html": "<p>Two</p>", "c.txt": "Three"})
    outcomes = run(files)
    assert {name: outcome.parsed.text for name, outcome in outcomes.items() if outcome.parsed} == {
        "a.md": "One\n\nText.",
        "b.html": "Two",
        "c.txt": "Three",
    }
    assert outcomes["c.txt"].sha256 == hashlib.sha256(b"Three").hexdigest()
    assert outcomes["c.txt"].size == 5
    assert all(0 < outcome.seconds < 5 for outcome in outcomes.values())


def test_no_files_need_no_process() -> None:
    assert list(parse_files([], SETTINGS)) == []


def test_bad_files_are_told_with_their_reason_and_the_others_go_on(write, tmp_path: Path) -> None:
    files = write(
        {
            "empty.md": "",
            "broken.pdf": "%PDF-1.4 rubbish",
            "binary.md": b"\0\1\2" * 99,
            "large.txt": "x" * 3000,
            "休暇.md": "fine",
        }
    )
    os.mkfifo(tmp_path / "pipe.md")
    files += [("vanished", tmp_path / "vanished.md"), ("folder", tmp_path), ("pipe", tmp_path / "pipe.md")]
    outcomes = run(files, IngestSettings(max_file_mb=0.002))
    reasons = {key: outcome.reason for key, outcome in outcomes.items()}
    assert reasons["empty.md"] == "it is empty"
    assert str(reasons["broken.pdf"]).startswith("the PDF is damaged")
    assert reasons["binary.md"] == "it is a binary file, not text"
    assert reasons["large.txt"] == "it is larger than 0.002 MiB (max_file_mb)"
    assert outcomes["large.txt"].sha256 == hashlib.sha256(b"x" * 3000).hexdigest()
    assert reasons["vanished"] == "vanished between listing and reading"
    assert outcomes["vanished"].sha256 == ""
    assert "not a plain file" in str(reasons["folder"])
    assert "not a plain file" in str(reasons["pipe"])
    assert outcomes["休暇.md"].parsed is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_is_told(write) -> None:
    files = write({"secret.md": "no"})
    files[0][1].chmod(0)
    assert run(files)["secret.md"].reason == "it cannot be read: Permission denied"


def test_parsers_that_hang_eat_crash_or_fail_cost_their_file_only(write) -> None:
    bad = ["hang", "spin", "eat", "crash", "killed", "exit", "recurse", "denied", "fail"]
    files = write({f"{name}.txt": name for name in bad} | {f"good{n}.txt": f"text {n}" for n in range(20)})
    start = time.monotonic()
    outcomes = run(files, parser=misbehave)
    assert time.monotonic() - start < 15
    reasons = {name: outcomes[f"{name}.txt"].reason for name in bad}
    assert reasons == {
        "hang": "parsing it took longer than 1.5 s (parse_seconds)",
        "spin": "parsing it took longer than 1.5 s (parse_seconds)",
        "eat": "parsing it takes more than 768 MiB of memory (parse_memory_mb)",
        "crash": "parsing it ended the process (SIGSEGV)",
        "killed": "parsing it ended the process (SIGKILL, out of memory?)",
        "exit": "parsing it failed (SystemExit: no reason)",
        "recurse": "it is nested too deeply",
        "denied": "it cannot be read: Permission denied",
        "fail": "its parser failed (ZeroDivisionError: a bug in a library)",
    }
    assert outcomes["hang.txt"].sha256 == hashlib.sha256(b"hang").hexdigest()
    assert all(outcomes[f"good{n}.txt"].parsed for n in range(20))


def test_files_are_taken_no_faster_than_outcomes_are(write) -> None:
    (_, path), *_ = write({"a.txt": "text"})
    taken = 0

    def endless() -> Iterator[tuple[int, Path]]:
        nonlocal taken
        for number in count():
            taken += 1
            yield number, path

    outcomes = parse_files(endless(), IngestSettings(workers=2))
    for _ in range(5):
        next(outcomes)
    time.sleep(0.2)
    assert taken <= 5 + 2 * 2 + 1
    outcomes.close()  # type: ignore[attr-defined]


def test_closing_the_iterator_stops_the_workers(write) -> None:
    files = write({f"{n}.txt": "hang" if n else "fine" for n in range(6)})
    outcomes = parse_files(files, IngestSettings(parse_seconds=60), parser=misbehave)
    assert next(outcomes).key == "0.txt"
    assert len(workers()) >= 2
    outcomes.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers() == []


def test_a_consumer_that_is_interrupted_leaves_no_worker(write) -> None:
    files = write({f"{n}.txt": f"text {n}" for n in range(9)})

    def consume() -> None:
        for _ in parse_files(files, SETTINGS):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    deadline = time.monotonic() + 5
    while workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers() == []


def test_a_pool_that_cannot_start_gives_each_file_a_reason(write) -> None:
    files = write({f"{n}.txt": "x" for n in range(5)})
    outcomes = list(
        parse_files(files, IngestSettings.model_construct(**{**SETTINGS.model_dump(), "parse_memory_mb": "?"}))
    )
    assert {outcome.reason for outcome in outcomes} == {
        "no parsing process could be kept running; is there enough memory?"
    }
    assert len(outcomes) == 5


def test_two_hundred_small_files_take_little_more_than_their_parsing(write) -> None:
    files = write({f"{n}.md": f"# Page {n}\n\n" + "Some words of text. " * 300 for n in range(200)})
    start = time.monotonic()
    run(files, IngestSettings())
    assert time.monotonic() - start < 6  # 0.6 s on two free cores
