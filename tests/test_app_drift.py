"""Drift: the weeks, what rose by more than chance, whether questions moved, and what is to be done about it."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adapters import bare
from hypothesis import given, settings
from hypothesis import strategies as st
from office import POLICIES, Office
from staff_kit import echo_desk, staff_client

from app.chat.archive import Archive, Judgement, Outcome, Remembered
from app.chat.judgements import Judgements
from app.database import exchanges, judgements
from app.desk import Desk
from app.loop.drift import (
    DAY,
    LEAST,
    LEAST_BEFORE,
    WEEK,
    Moved,
    Rise,
    Signs,
    Week,
    advise,
    energy_test,
    look,
    moved,
    read_moved,
    rise,
    signs,
    weeks_of,
)
from app.loop.jobs import Jobs
from app.loop.sources import Pending, Source
from app.loop.training_rows import Readiness
from app.people import Person, Role
from app.web.charts import bars, line

ANN = Person("user-1", "Ann")
NOW = 1_790_000_000.0  # a Monday, 13:33 UTC
READY = Readiness(0, 0, 0, 0, 0, {}, {"dpo": ["40"], "kto": ["100"]})


@pytest.fixture
def desk(office: Office, database_url: str) -> Iterator[Desk]:
    office.write(POLICIES)
    office.ingest()
    desk = echo_desk(office.workspace, database={"url": database_url})
    yield desk
    desk.database.close()


def ask(desk: Desk, questions: dict[str, float], refused: bool = False) -> list[int]:
    """Keep questions as asked at some moments; one search answers for all."""
    archive = Archive(desk.database, desk)
    found, made = desk.answer("error 809"), []
    for question, at in questions.items():
        answer = replace(found, question=question, refused=refused, confidence=0.5)
        made.append(archive.keep(ANN, None, Outcome(answer, Remembered()))[1])
        with desk.database.writing() as connection:
            connection.execute(exchanges.update().where(exchanges.c.id == made[-1]).values(asked=at))
    return made


def judge(desk: Desk, exchange: int, verdict: str, at: float) -> None:
    Judgements(desk.database).judge(ANN, exchange, Judgement(verdict))
    with desk.database.writing() as connection:
        connection.execute(judgements.update().where(judgements.c.exchange == exchange).values(at=at))


def no_signs(**changes: object) -> Signs:
    weeks = [Week(NOW - n * WEEK, questions=40) for n in range(12)]
    calm = Signs(weeks, None, None, Moved(NOW, 50, 200, 0.01, 0.4), Pending(), (), READY)
    return replace(calm, **changes)


def test_weeks_begin_on_monday_and_count_what_was_asked_and_said(desk: Desk) -> None:
    first, second = ask(desk, {"a": NOW - 60, "b": NOW - 2 * DAY})
    [third] = ask(desk, {"c": NOW - 8 * DAY}, refused=True)
    judge(desk, first, "up", NOW - 30)
    judge(desk, third, "down", NOW - 7 * DAY)
    with desk.database.writing() as connection:
        connection.execute(exchanges.update().where(exchanges.c.id == second).values(replaced=True))
    weeks = weeks_of(desk.database, NOW)
    assert len(weeks) == 12
    assert time.strftime("%a %H:%M", time.gmtime(weeks[-1].start)) == "Mon 00:00"
    assert weeks[-1] == Week(weeks[-1].start, questions=1, up=1, confidence=0.5)
    assert weeks[-2].questions == 0  # asked anew: the other one counts
    assert weeks[-3].declined == 1
    assert weeks[-2].down + weeks[-3].down == 1
    assert sum(week.questions for week in weeks) == 2


def test_a_share_rose_only_by_more_than_chance_and_enough_to_matter() -> None:
    assert rise((20, 40), (10, 200)).shown
    assert not rise((3, 40), (10, 200)).shown
    assert not rise((10_600, 100_000), (10_000, 100_000)).shown  # surely, and by nothing
    assert rise((20, LEAST - 1), (10, 200)) is None
    assert rise((20, 40), (0, LEAST_BEFORE - 1)) is None


def unit(rng: np.random.Generator, count: int, towards: float = 0.0) -> np.ndarray:
    rows = rng.normal(size=(count, 16)).astype(np.float32)
    rows[:, 0] += towards
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_energy_distance_is_that_of_scipy_in_one_dimension_of_signs() -> None:
    from scipy.stats import energy_distance

    ones = np.array([[1.0, 0], [-1, 0], [1, 0], [1, 0]], np.float32)
    others = np.array([[-1.0, 0], [-1, 0], [1, 0]], np.float32)
    found, _ = energy_test(ones, others, 1)
    assert found == pytest.approx(energy_distance(ones[:, 0], others[:, 0]) ** 2)


def test_moved_questions_are_told_and_others_hardly_ever() -> None:
    rng = np.random.default_rng(3)
    assert energy_test(unit(rng, 40, 1.5), unit(rng, 80))[1] == 0.001
    alarms = sum(energy_test(unit(rng, 40), unit(rng, 80), 199)[1] < 0.05 for _ in range(60))
    assert alarms <= 9  # 3 are due; more than 9 come in one of a thousand such tests


@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 99))
@settings(max_examples=25)
def test_the_energy_distance_is_never_negative_and_has_two_equal_sides(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = unit(rng, n), unit(rng, m, 0.5)
    assert energy_test(one, other, 9)[0] >= -1e-9
    assert energy_test(one, other, 9)[0] == pytest.approx(energy_test(other, one, 9)[0])
    assert energy_test(one, one, 9)[0] == pytest.approx(0, abs=1e-9)


def test_too_few_questions_are_said_and_nothing_is_embedded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(desk, {f"q {n}": time.time() - 60 for n in range(3)})
    monkeypatch.setattr(desk.embedder, "embed", lambda texts: pytest.fail("nothing to compare"))
    found = moved(desk, time.time())
    assert (found.recent, found.before, found.p) == (3, 0, None)
    said = advise(signs(desk, time.time(), found, READY))
    assert [one.what for one in said] == ["wait"]
    assert "too few questions to tell whether they have moved: 3 in two weeks" in said[0].why


def test_questions_that_move_away_are_found_and_kept_for_the_page(desk: Desk) -> None:
    now = time.time()
    ask(desk, {f"How many days of annual leave in year {n}?": now - 30 * DAY for n in range(LEAST_BEFORE)})
    ask(desk, {f"Which laser cutter part {n} fits the wind tunnel?": now - DAY for n in range(LEAST)})
    ask(desk, {"how many DAYS of annual leave in year 1?": now - 31 * DAY})  # the same in another spelling
    found = look(desk)
    assert (found.recent, found.before, found.shown) == (LEAST, LEAST_BEFORE, True)
    assert (found.adapter, found.nearest) == (None, None)
    assert read_moved(desk.workspace.root) == found
    said = advise(signs(desk, now, found, READY))
    assert said[0].what == "write"
    assert said[0].why.startswith("people ask other things than before (p at most 0.001)")


def test_distance_to_what_was_tuned_on_decides_between_tuning_and_writing() -> None:
    far = Moved(NOW, 40, 90, 0.1, 0.002, "house/v2", 0.61, 0.48)
    [one] = advise(no_signs(moved=far))
    assert one.what == "tune"
    assert "the middle one is 0.61 from the nearest question that house/v2 was tuned on, before it was 0.48" in one.why
    assert advise(no_signs(moved=replace(far, nearest=0.4)))[0].what == "write"


def test_every_sign_has_its_advice_and_none_of_them_is_fine() -> None:
    assert [one.what for one in advise(no_signs())] == ["fine"]
    high = Rise(0.5, 0.1, 0.0001)
    ready = replace(READY, rows=120, missing={"dpo": ["40"], "kto": []}, left_out={"stale": 4})
    stale = ["house/v1 is stale: 1 changed of its training documents"]
    waits = Pending(("a.md",), ("b.md",))
    said = advise(no_signs(declines=high, thumbs=high, pending=waits, stale=stale, ready=ready))
    assert [one.what for one in said] == ["ingest", "tune", "write", "tune", "feedback", "wait"]
    assert said[0].why == "documents on disk are not in the index: 1 new, 1 changed"
    assert "50 % in two weeks against 10 %" in said[2].why


def test_signs_look_at_documents_and_the_adapter_that_serves(desk: Desk, office: Office) -> None:
    known = {entry.doc: entry.sha256 for entry in desk.searcher.open().table.known().values()}
    adapter = bare(desk.workspace.adapters, documents={**known, "gone.md": "0" * 64})
    desk.registry.promote(adapter)
    desk.sources.remember([office.docs], None)
    office.write({"it/vpn.md": "# VPN\n\nOther.\n"})
    found = signs(desk, NOW, None, READY)
    assert found.pending.changed == ("it/vpn.md",)
    assert found.stale == ["house/v1 is stale: 1 gone of its training documents"]
    assert desk.sources.all() == [Source(office.docs, None)]


def test_charts_hold_their_figures_for_those_who_cannot_see_them() -> None:
    starts = [NOW - n * WEEK for n in range(3)]
    chart = bars("Thumbs <up>", starts, [("up", "dc-a", [1, 0, 12]), ("down", "dc-c", [0, 0, 3])])
    assert "Thumbs &lt;up&gt;" in chart
    assert "12 up, 3 down" in chart
    assert chart.count('<rect class="dc-a" x=') == 2
    assert bars("None", starts, [("n", "dc-a", [0, 0, 0])]).count("<rect") == 0
    gaps = line("Confidence", starts, [0.5, None, 0.75])
    assert gaps.count("<circle") == 2
    assert ": none" in gaps


def test_the_page_shows_advice_charts_and_the_last_look(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    fake = (sys.executable, "-c", "import sys; print(*sys.argv[1:])")
    monkeypatch.setattr(desk, "jobs", Jobs(tmp_path / "jobs", fake), raising=False)
    ask(desk, {"a": time.time() - 60})
    client = staff_client(desk)
    page = client.get("/staff/health").text
    assert "Too few questions to tell" in page
    assert "Nobody has looked yet" in page
    assert page.count('<svg role="img"') == 4
    assert "Looking at what people ask" in client.post("/staff/health/look", data={}).text
    assert desk.jobs.all()[0].commands == (("drift",),)
    (desk.workspace.root / "drift.json").write_text(json.dumps({"what": 1}))  # of another version
    assert "Nobody has looked yet" in client.get("/staff/health").text
    assert staff_client(desk, Person("user-2", "Dan", frozenset(), Role.DESK)).get("/staff/health").status_code == 403
