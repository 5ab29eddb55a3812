"""The report as a page and as Markdown: what it says, what it leaves out, and that nothing in it is ever markup."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from markdown_it import MarkdownIt

from app.web.frame import header_html
from app.web.report_pages import entries, mount_reports
from eval.reporting.charts import ticks
from eval.reporting.content import page
from eval.reporting.figures import columns, surely_best
from eval.reporting.markdown import page_markdown, plain
from eval.reporting.page import page_html, write_page

HOSTILE = '<script>window.pwned = 1</script> <img src=x onerror="window.pwned = 2"> | # [a](https://evil.example) `b`'


def estimate(mean: float, width: float = 0.1) -> dict[str, Any]:
    return {"mean": mean, "low": max(mean - width, 0), "high": min(mean + width, 1), "n": 20, "clusters": 8}


def figures(facts: float, refused: float) -> dict[str, Any]:
    return {
        "questions": 20,
        "key_fact_accuracy": estimate(facts),
        "over_refusal": estimate(refused),
        "restricted_facts_told": None,
        "house_form": estimate(0.5),
        "broken_rules": {"citation": 6, "length": 1},
        "first_token_ms": {"p50": 300.0, "p95": 900.0},
        "total_ms": {"p50": 1500.0, "p95": 3200.0},
        "cost": {
            "prompt_tokens": 500.0,
            "completion_tokens": 20.0,
            "answers_per_minute": 40.0,
            "money_per_1000": 0.06,
            "currency": "EUR",
        },
    }


def compared(metric: str, mean: float, p_holm: float) -> dict[str, Any]:
    difference = {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 20, "clusters": 8}
    counts = {"wins": 9, "ties": 8, "losses": 3, "detectable": 0.12}
    return {
        "metric": metric,
        "modes": ["hybrid", "rag-only"],
        "difference": difference,
        "p": 0.004,
        "p_holm": p_holm,
    } | counts


def case(kind: str = "single", answer: str = "Ten hours [1].", name: str = "it-001") -> dict[str, Any]:
    said = {
        "answer": answer,
        "refused": False,
        "facts": 1.0,
        "confidence": 0.8,
        "citations": [{"n": 1, "doc": "it/vpn.md", "heading": "Limits", "quote": "after 10 hours"}],
    }
    return {
        "id": name,
        "question": "When does the VPN end?",
        "kind": kind,
        "why": "hybrid is right, rag-only is wrong",
        "answers": {"hybrid": said, "rag-only": said | {"answer": "Never.", "facts": 0.0, "citations": []}},
        "gold": {"answer": "After ten hours.", "docs": ["it/vpn.md"]},
        "passages": [
            {"n": 1, "doc": "it/vpn.md", "heading": "Limits", "text": "A session ends after 10 hours. <b>Always.</b>"}
        ],
    }


def small() -> dict[str, Any]:
    """A report without any part that may be missing."""
    return {
        "version": 1,
        "created": "2026-11-21T16:00:00Z",
        "deskmate": "0.1.0",
        "command": "deskmate eval --questions 'my questions.jsonl'",
        "questions": {
            "file": "questions.jsonl",
            "sha256": "ab" * 32,
            "n": 20,
            "answerable": 15,
            "kinds": {"single": 20},
        },
        "index": {"generation": "gen-000001", "documents": 38, "chunks": 395},
        "model": "SmolLM2-135M-Instruct",
        "adapter": None,
        "settings": {"chat": {"passages": 3}},
        "modes": [
            {
                "mode": "hybrid",
                "all": figures(0.84, 0.02),
                "by_kind": {},
                "by_style": {},
                "by_tuning": None,
                "failed": 0,
            },
            {
                "mode": "rag-only",
                "all": figures(0.69, 0.01),
                "by_kind": {},
                "by_style": {},
                "by_tuning": None,
                "failed": 0,
            },
        ],
        "comparisons": [compared("key_fact_accuracy", 0.15, 0.009), compared("over_refusal", 0.01, 0.6)],
        "calibration": {},
        "disagreements": [],
        **dict.fromkeys(("forgetting", "obedience", "canaries", "judge", "validation", "human", "data_card", "gate")),
        "verdict": "hybrid tells 15 of 100 key facts more than rag-only.",
    }


def full() -> dict[str, Any]:
    """The same with every part."""
    report = small()
    bins = [{"low": 0.2, "high": 0.6, "n": 9, "confidence": 0.4, "accuracy": 0.5}]
    bins += [{"low": 0.6, "high": 0.9, "n": 11, "confidence": 0.8, "accuracy": 0.7}]
    curve = [{"coverage": 0.5, "risk": 0.1}, {"coverage": 1.0, "risk": 0.3}]
    rate = estimate(0.7) | {"wins": 6, "ties": 2, "losses": 2, "p": 0.01, "p_holm": 0.02}
    agreed = {"measure": "Cohen's kappa", "value": 0.6, "low": 0.3, "high": 0.8, "share": 0.8}
    split = {"rows": 10, "documents": {"a.md": 10}, "kinds": {"fact": 7, "near-miss": 3}, "sha256": "cd" * 32}
    verdicts = {name: estimate(0.4) for name in ("correct", "partly", "wrong", "declined")}
    verdicts |= {"declined_rightly": None, "unjudged": 1}
    leakage = {"name": "questions.jsonl", "questions": 20, "pairs": 2, "exact": 0, "near": 1, "shared": 1}
    for mode in report["modes"]:
        mode |= {
            "by_kind": {"single": figures(0.8, 0.1)},
            "by_tuning": {"seen": figures(0.9, 0), "held_out": figures(0.7, 0)},
        }
    return report | {
        "adapter": {"id": "house/v1", "documents": 26, "rows": 776, "recipe": {"lora": {"rank": 8}}, "tuned_on": 776},
        "calibration": {
            "hybrid": {
                "ece": 0.06,
                "brier": 0.17,
                "n": 20,
                "bins": bins,
                "risk_coverage": curve,
                "held_out": {"ece": 0.09, "brier": 0.2, "n": 7},
            }
        },
        "disagreements": [case(), case("near-miss", name="it-002")],
        "forgetting": {
            "questions": 118,
            "base": 0.695,
            "adapter": 0.669,
            "points": {"mean": -2.5, "low": -10.2, "high": 5.1},
        },
        "obedience": {"questions": 12, "modes": {"hybrid": {"followed": estimate(0.8), "kept_old": estimate(0.1)}}},
        "canaries": {
            "questions": 12,
            "modes": {"hybrid": {"served": estimate(0.0)}, "rag-only": {"failed": "no server"}},
        },
        "judge": {
            "model": "wise",
            "verdicts": 39,
            "failed": 1,
            "failure": "the reply holds no verdict: 'hm'",
            "prompt_tokens": 900,
            "completion_tokens": 90,
            "money": 0.1,
            "currency": "EUR",
            "itself": False,
            "modes": dict.fromkeys(("hybrid", "rag-only"), verdicts),
            "people": {
                "source": "labels.jsonl",
                "n": 30,
                "clusters": 8,
                "unjudged": 0,
                "agreement": agreed,
                "why": None,
                "people": None,
                "confusion": {"correct": {"correct": 20, "wrong": 4}, "wrong": {"wrong": 6}},
            },
            "why_no_people": None,
        },
        "validation": [
            {
                "data": "BEGIN",
                "metric": "content_precision",
                "figure": "AUC",
                "value": 0.93,
                "low": 0.9,
                "high": 0.95,
                "n": 99,
            }
        ],
        "human": {
            "ratings": 30,
            "raters": 2,
            "stale": 0,
            "modes": {"hybrid": {"tone": rate, "correctness": rate}, "rag-only": {"tone": rate, "correctness": None}},
            "pairs": [{"modes": ["hybrid", "rag-only"], "questions": 20, "tone": rate, "correctness": None, "same": 1}],
            "agreement": {"shared": 10, "tone": agreed, "correctness": None},
            "left": {"tone": rate, "correctness": None},
        },
        "data_card": {
            "splits": {"train": split, "held_out": split},
            "report": {"taken": 25, "kept": 20, "filters": [], "leakage": [leakage], "notes": []},
            "voice": "Brightwater help desk",
        },
        "gate": {
            "allowed": False,
            "reasons": ["forgot 3 points"],
            "held_out": 19,
            "margin": 0.02,
            "adapter": "house/v1",
        },
    }


class Outline(HTMLParser):
    """Tags and ids of a page, and whether every tag is closed where it should be."""

    VOID = frozenset({"meta", "input", "br", "hr", "path", "circle", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def headings(text: str) -> list[str]:
    return [re.sub(r"<[^>]*>", "", found) for found in re.findall(r"<h2[^>]*>(.*?)</h2>", text)]


def test_the_page_is_well_formed_and_every_link_in_it_leads_somewhere() -> None:
    outline = Outline(page_html(page(full())))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for tag, attributes in outline.tags if tag == "a"}
    assert targets <= {f"#{one}" for one in ids}
    assert not [tag for tag, _ in outline.tags if tag in ("img", "link", "iframe", "object")]
    names = [attributes.get("aria-labelledby") for _, attributes in outline.tags]
    assert {name for name in names if name} <= set(ids)


def test_nothing_is_fetched_and_only_the_files_own_script_may_run() -> None:
    text = page_html(page(full()))
    assert "default-src 'none'" in text
    assert len(re.findall(r"script-src 'sha256-[\w+/]{43}='", text)) == 1
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)


def test_a_report_with_nothing_optional_has_no_empty_heading() -> None:
    text = page_html(page(small()))
    assert headings(text) == ["The modes side by side", "Which differences are real", "In pictures", "How to repeat it"]
    assert "may serve" not in text
    assert "Forgetting" not in text + page_markdown(page(small()))
    for heading, following in re.findall(r"^(#+) .*\n+(#+|.)", page_markdown(page(small())), re.MULTILINE):
        assert len(following) > len(heading) or not following.startswith("#"), "a heading with nothing under it"


def test_a_full_report_has_every_part_on_the_page_and_in_markdown() -> None:
    content = page(full())
    text, markdown = page_html(content), page_markdown(content)
    assert headings(text) == [section.title for section in content.sections]
    assert len(content.sections) == 11
    for section in content.sections:
        assert f"\n## {section.title}\n" in markdown
    for words in (
        "may not serve",
        "Forgot 3 points",
        "Leakage audit",
        "ab" * 32,
        "rag-only failed: no server",
        "Cohen&#x27;s",
    ):
        assert words in text
    for words in (
        "The adapter house/v1 may not serve",
        "After ten hours",
        "A session ends",
        "| Key-fact accuracy | **84.0",
    ):
        assert words in markdown


def test_everything_from_answers_and_documents_is_escaped() -> None:
    report = full()
    one = copy.deepcopy(case(answer=HOSTILE + " [1]"))
    one |= {"question": HOSTILE, "why": HOSTILE, "kind": HOSTILE, "id": HOSTILE}
    one["gold"] = {"answer": HOSTILE, "docs": [HOSTILE]}
    one["passages"][0] |= {"text": HOSTILE, "doc": HOSTILE, "heading": HOSTILE}
    one["answers"]["hybrid"]["citations"][0] |= {"quote": HOSTILE, "doc": HOSTILE}
    report |= {
        "disagreements": [one],
        "verdict": HOSTILE,
        "model": HOSTILE,
        "command": HOSTILE,
        "settings": {HOSTILE: HOSTILE},
    }
    report["gate"]["reasons"] = [HOSTILE]
    report["modes"][0]["all"]["broken_rules"] = {HOSTILE: 1}
    outline = Outline(page_html(page(report)))
    assert [tag for tag, _ in outline.tags].count("script") == 1
    assert not [
        tag for tag, attributes in outline.tags if tag == "img" or any(name.startswith("on") for name in attributes)
    ]
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(page_markdown(page(report)))
    assert not [tag for tag, _ in Outline(rendered).tags if tag in ("script", "img", "a")]


def test_markdown_signs_are_escaped_where_they_would_count() -> None:
    assert plain("# a | *b* [1]\n- c") == r"\# a \| \*b\* \[1\] - c"
    assert plain("- one") == r"\- one"
    assert plain("1. one") == r"1\. one"
    assert plain("it-001 and 3.5 stay") == "it-001 and 3.5 stay"


def test_the_answer_to_a_restricted_question_is_not_told() -> None:
    report = full() | {"disagreements": [case("restricted")]}
    assert "After ten hours." not in page_html(page(report)) + page_markdown(page(report))
    assert "The asker may not read" in page_html(page(report))


def test_citations_lead_to_their_passage_and_mark_the_words_they_rest_on() -> None:
    text = page_html(page(full()))
    target = re.search(r'<a class="chip" href="#(p-\w+-1)"', text)
    assert target
    assert f'<section id="{target[1]}" class="passage"' in text
    assert "<mark>after 10 hours</mark>. &lt;b&gt;Always.&lt;/b&gt;" in text


def test_a_star_needs_a_significant_difference_to_every_other_mode() -> None:
    by_mode = {"hybrid": figures(0.84, 0.02), "rag-only": figures(0.69, 0.01)}
    assert surely_best("key_fact_accuracy", by_mode, small()["comparisons"]) == "hybrid"
    assert surely_best("over_refusal", by_mode, small()["comparisons"]) is None
    assert surely_best("house_form", by_mode, []) is None
    assert surely_best("over_refusal", by_mode, [compared("over_refusal", 0.01, 0.01)]) == "rag-only"  # lower is better
    unpaired = [compared("key_fact_accuracy", -0.02, 0.01)]  # on the questions that both answered it is the worse one
    assert surely_best("key_fact_accuracy", by_mode, unpaired) is None
    third = by_mode | {"tune-only": figures(0.1, 0.0)}
    assert surely_best("key_fact_accuracy", third, small()["comparisons"]) is None


def test_a_mode_keeps_its_colour_and_no_two_share_one() -> None:
    assert [one.series for one in columns(["prompt-only", "hybrid"])] == [3, 0]
    two = columns(["hybrid (house/v1)", "hybrid (house/v2)", "rag-only"])
    assert two[0].series == 0
    assert two[2].series == 1
    assert len({one.series for one in two}) == 3


def test_ticks_are_round_numbers_inside_the_range() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0, 637) == [0, 200, 400, 600]
    assert ticks(3, 3) == [3]


def test_charts_say_in_words_what_they_show() -> None:
    text = page_html(page(full()))
    plots = re.findall(r'<svg class="plot".*?</svg>', text)
    assert len(plots) == 5
    for plot in plots:
        assert 'role="img"' in plot
        assert re.search(r"<title>[^<]+</title><desc>[^<]+</desc>", plot)
    assert "confidence 40\u00a0%: right 50\u00a0% of 9" in text


def test_both_files_are_written_whole(tmp_path: Path) -> None:
    write_page(page(small()), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]
    assert (tmp_path / "report.html").read_text("utf-8").endswith("</html>\n")


@pytest.fixture
def served(tmp_path: Path) -> TestClient:
    for name, report in (("older", small() | {"created": "2026-11-20T09:00:00Z"}), ("with <gate>", full())):
        folder = tmp_path / "reports" / name
        folder.mkdir(parents=True)
        write_page(page(report), folder)
        (folder / "report.json").write_text(json.dumps(report))
    (tmp_path / "reports" / "half-way").mkdir()
    (tmp_path / "reports" / "broken").mkdir()
    (tmp_path / "reports" / "broken" / "report.html").write_text("")
    (tmp_path / "reports" / "broken" / "report.json").write_text("{")
    (tmp_path / "secret.md").write_text("secret")
    app = FastAPI()
    mount_reports(app, tmp_path / "reports", "Help desk")
    return TestClient(app)


def test_the_chat_lists_the_reports_newest_first(served: TestClient, tmp_path: Path) -> None:
    assert [one.name for one in entries(tmp_path / "reports")] == ["with <gate>", "older"]
    text = served.get("/reports").text
    assert "with &lt;gate&gt;" in text
    assert "hybrid, rag-only · 20 questions" in text
    assert text.count("may not serve") == 1
    assert 'href="/reports/with%20%3Cgate%3E/report.html"' in text
    assert "There is no report yet" not in text


def test_only_the_pages_of_a_listed_report_are_served(served: TestClient) -> None:
    found = served.get("/reports/older/report.html")
    assert found.status_code == 200
    assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
    assert served.get("/reports/with%20%3Cgate%3E/report.md").text.startswith("# Hybrid tells")
    for path in (
        "older/report.json",
        "older/results-hybrid.jsonl",
        "broken/report.html",
        "..%2f/secret.md",
        "../secret.md",
    ):
        assert served.get(f"/reports/{path}").status_code == 404, path


def test_the_bar_links_to_the_reports_only_where_they_are_served() -> None:
    assert 'href="/reports"' in header_html("Help desk", reports=True)
    assert "/reports" not in header_html("Help desk")


def test_without_reports_the_list_says_how_to_make_one(tmp_path: Path) -> None:
    app = FastAPI()
    mount_reports(app, tmp_path / "reports", "Help desk")
    assert "<code>deskmate eval</code>" in TestClient(app).get("/reports/").text


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_browser_opens_it_without_complaint_and_without_any_request(tmp_path: Path, width: int, scheme: Any) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("no /usr/bin/chromium")
    write_page(page(full()), tmp_path)
    address = (tmp_path / "report.html").as_uri()
    seen: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--headless", "--no-sandbox"])
        shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        shown.on("console", lambda message: seen.append(message.text))
        shown.on("pageerror", lambda error: seen.append(str(error)))
        shown.on("request", lambda request: None if request.url == address else seen.append(request.url))
        shown.goto(address)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        shown.locator(".filter select").select_option("near-miss")
        assert shown.locator(".case:visible").count() == 1
        assert shown.locator(".filter output").inner_text() == "1 of 2"
        shown.locator(".case:visible a.chip").first.click()  # a link to a passage opens what it is folded in
        assert shown.locator(".case:visible .passage").is_visible()
        browser.close()
    assert seen == []
