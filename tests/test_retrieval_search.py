"""A question to passages, for one asker: what may be seen is decided before anything is ranked."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from office import POLICIES, Office, OtherEmbedder, parse_here

import retrieval.build
from ingest.errors import DeskmateError
from retrieval.fusion import fuse
from retrieval.rerank import OverlapReranker, make_reranker, rerank_within
from retrieval.search import Searcher
from retrieval.settings import RetrievalSettings

WORDS = ["leave", "vpn", "printer", "bonus", "march", "port", "salary", "badge", "travel", "laptop"]
GROUPS = ["hr", "board", "it", "führung", "a b"]


@pytest.fixture
def policies(office: Office) -> Office:
    office.write({**POLICIES, "hr/managers/.access": "managers\n"})
    office.ingest()
    return office


# Access

documents = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=12),
        st.frozensets(st.sampled_from([*GROUPS, "everyone"]), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=10,
)
askers = st.frozensets(st.sampled_from([*GROUPS, "nobody knows", ""]), max_size=3)


@settings(max_examples=8, deadline=None)
@given(documents, st.data())
def test_no_passage_that_the_asker_may_not_read_is_ever_found(tmp_path_factory, contents, data) -> None:
    office = Office(tmp_path_factory.mktemp("office"))
    for n, (words, groups) in enumerate(contents):
        office.write({f"{n}/doc.md": " ".join(words), f"{n}/.access": "\n".join(groups)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval.build, "parse_files", parse_here)
        office.ingest()
    readers = {f"{n}/doc.md": groups for n, (_, groups) in enumerate(contents)}
    searcher = office.searcher()
    for _ in range(8):
        asker = data.draw(askers)
        question = " ".join(data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)))
        mine = {name for name, groups in readers.items() if groups & (asker | {"everyone"})}
        for method in ("dense", "bm25"):
            ranked = searcher.search(question, k=100, groups=[*GROUPS, "everyone"], method=method).hits
            found = searcher.search(question, k=100, groups=asker, method=method).hits
            # What is forbidden is missing, and the rest has the same scores in the same order.
            expected = [(hit.chunk.doc, pytest.approx(hit.score, abs=1e-5)) for hit in ranked if hit.chunk.doc in mine]
            assert [(hit.chunk.doc, hit.score) for hit in found] == expected
        hybrid = searcher.search(question, k=100, groups=asker).hits
        assert {hit.chunk.doc for hit in hybrid} == mine
        # Fusion compares with the best score that this asker may see, so a hidden passage moves nothing.
        by_doc = {hit.chunk.doc: hit for hit in hybrid}
        fused = fuse(
            {n: hit.dense for n, hit in enumerate(by_doc.values())},
            {n: hit.bm25 for n, hit in enumerate(by_doc.values()) if hit.bm25 is not None},
        )
        assert [hit.score for hit in hybrid] == pytest.approx([score for _, score in fused])


@pytest.mark.parametrize("method", ["hybrid", "dense", "bm25"])
def test_many_forbidden_passages_do_not_push_out_the_allowed_one(office: Office, method: str) -> None:
    secret = {f"secret/{n}.md": f"The bonus pool of year {n} is secret. bonus bonus" for n in range(40)}
    office.write({**secret, "secret/.access": "board", "open.md": "A bonus exists. Ask your manager."})
    office.ingest()
    assert office.found("bonus pool", method=method, k=1, candidates=1) == ["open.md"]
    assert office.found("bonus pool", "board", method=method, k=1, candidates=1) != ["open.md"]


def test_a_document_is_shown_only_to_those_who_may_read_it(policies: Office) -> None:
    searcher = policies.searcher()
    assert searcher.document("it/vpn.md").text.startswith("VPN")
    assert searcher.document("hr/managers/bonus.md") is None
    assert searcher.document("hr/managers/bonus.md", ["staff"]) is None
    assert searcher.document("hr/managers/bonus.md", ["staff", "managers"]).title == "Bonus pool"
    assert searcher.document("no/such.md", ["managers"]) is None


def test_versions_and_passages_are_those_that_somebody_may_read_now(policies: Office) -> None:
    searcher = policies.searcher()
    both = ["it/vpn.md", "hr/managers/bonus.md", "no/such.md"]
    assert searcher.versions(both).keys() == {"it/vpn.md"}
    readable = searcher.versions(both, ["managers"])
    assert readable.keys() == {"it/vpn.md", "hr/managers/bonus.md"}
    assert readable["hr/managers/bonus.md"].access == {"managers"}
    ids = [hit.chunk.id for hit in searcher.search("bonus vpn", k=100, groups=["managers", "staff"]).hits]
    found = searcher.passages([*ids, "gone"], ["managers"])
    assert {chunk.doc for chunk in found.values()} >= {"it/vpn.md", "hr/managers/bonus.md"}
    assert all(name == chunk.id and chunk.text for name, chunk in found.items())
    assert "hr/managers/bonus.md" not in {chunk.doc for chunk in searcher.passages(ids).values()}
    before = readable["it/vpn.md"].sha256
    policies.write({"it/vpn.md": "VPN is another matter today."})
    policies.ingest()
    assert searcher.versions(["it/vpn.md"])["it/vpn.md"].sha256 != before
    old = [id_ for id_, chunk in found.items() if chunk.doc == "it/vpn.md"]
    assert searcher.passages(old, ["managers"]) == {}


def test_groups_that_come_and_go_do_not_fill_the_memory(policies: Office) -> None:
    searcher = policies.searcher()
    for n in range(300):
        searcher.search("bonus", groups=[f"group {n}"], method="dense")
    assert searcher._current()._rows.cache_info().currsize <= 256
    assert "hr/managers/bonus.md" in {hit.chunk.doc for hit in searcher.search("bonus", groups=["managers"]).hits}


# Questions


@pytest.mark.parametrize(
    "question",
    [
        '"',
        "'",
        "' OR 1=1; DROP TABLE chunk; --",
        "vpn AND OR NOT",
        "title:vpn access:managers",
        "+vpn -error",
        "vpn~2 vp* v?n",
        "[a TO z]",
        "{a TO z}",
        "(((vpn",
        "vpn^10",
        "/v.*n/",
        "\\",
        "\\\\",
        "vpn\x00error",
        "IN [a b]",
        "a && b || !c",
        "*",
        "?",
        "%_",
        "<script>alert(1)</script>",
        "🏖️",
        "ﬁ Ａ ｖｐｎ",
        "\u202evpn",
        "休暇は何日ですか",
        "\n\t.",
    ],
)
@pytest.mark.parametrize("method", ["hybrid", "dense", "bm25"])
def test_no_character_of_a_question_has_a_meaning_of_its_own(policies: Office, question: str, method: str) -> None:
    result = policies.searcher().search(question, method=method, k=10)
    assert result.query == question
    assert "hr/managers/bonus.md" not in {hit.chunk.doc for hit in result.hits}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_searched(any_searcher, question: str) -> None:
    if not question.strip():
        with pytest.raises(DeskmateError, match="empty"):
            any_searcher.search(question)
        return
    hits = any_searcher.search(question).hits
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


@pytest.fixture(scope="module")
def any_searcher(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval.build, "parse_files", parse_here)
        office = Office(tmp_path_factory.mktemp("office"))
        office.write(POLICIES)
        office.ingest()
    return office.searcher()


@pytest.mark.parametrize("question", ["", "   ", "\n\t\u3000"])
def test_an_empty_question_is_a_clear_error(policies: Office, question: str) -> None:
    with pytest.raises(DeskmateError, match="the question is empty; ask something"):
        policies.searcher().search(question)


def test_a_question_of_a_hundred_thousand_characters_is_a_clear_error_and_comes_fast(policies: Office) -> None:
    started = time.perf_counter()
    with pytest.raises(DeskmateError, match="has 100,000 characters, at most 8,000 are read; shorten it"):
        policies.searcher().search("x" * 100_000)
    assert time.perf_counter() - started < 1
    assert policies.searcher().search("vpn " * 2000).hits[0].chunk.doc == "it/vpn.md"


def test_a_question_that_is_no_unicode_is_a_clear_error(policies: Office) -> None:
    with pytest.raises(DeskmateError, match="not valid Unicode"):
        policies.searcher().search("vpn \ud800")


# Results


@pytest.mark.parametrize("method", ["hybrid", "dense", "bm25"])
def test_the_best_passage_comes_first_with_its_signals_and_place(policies: Office, method: str) -> None:
    result = policies.searcher().search("Error 809: which port is blocked?", method=method)
    first = result.hits[0]
    assert (first.rank, first.chunk.doc, result.method) == (1, "it/vpn.md", method)
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)
    assert (first.dense is not None) == (method != "bm25")
    assert (first.bm25 is not None) == (method != "dense")
    text = policies.searcher().document("it/vpn.md").text
    assert text[first.chunk.start : first.chunk.end] == first.chunk.text
    assert result.generation == policies.store.current_name()


def test_what_only_words_found_has_a_cosine_too(policies: Office) -> None:
    hits = policies.searcher(candidates=1).search("printer profile profile", k=1).hits
    assert all(hit.dense is not None for hit in hits)


def test_no_more_than_k_passages_come_back(policies: Office) -> None:
    for k in (1, 2, 3, 50):
        assert len(policies.searcher().search("leave vpn printer", k=k).hits) == min(k, 3)
    assert len(policies.searcher(k=2).search("leave vpn printer").hits) == 2


@pytest.mark.parametrize("method", ["hybrid", "dense", "bm25"])
def test_a_batch_finds_what_single_questions_find(policies: Office, method: str) -> None:
    questions = ["vpn error", "days of leave", "the of and", "badge paper", "vpn error"]
    searcher = policies.searcher()
    batch = searcher.search_batch(questions, method=method, groups=["managers"])
    singles = [searcher.search(question, method=method, groups=["managers"]) for question in questions]
    for one, alone in zip(batch, singles, strict=True):
        assert one.query == alone.query
        assert [(hit.rank, hit.chunk) for hit in one.hits] == [(hit.rank, hit.chunk) for hit in alone.hits]
        assert [hit.score for hit in one.hits] == pytest.approx([hit.score for hit in alone.hits])
    assert searcher.search_batch([]) == []


def test_one_bad_question_in_a_batch_is_an_error(policies: Office) -> None:
    with pytest.raises(DeskmateError, match="the question is empty"):
        policies.searcher().search_batch(["vpn", " "])


# Generations


def test_an_index_of_another_embedder_is_refused(policies: Office) -> None:
    searcher = Searcher(policies.store, OtherEmbedder(), RetrievalSettings())
    with pytest.raises(DeskmateError, match=r"made with the embedder hashing-256, the settings name hashing-other; "):
        searcher.search("vpn")


def test_a_searcher_moves_to_a_new_generation_by_itself(policies: Office) -> None:
    searcher = policies.searcher()
    assert searcher.open().manifest.generation == "gen-000001"
    policies.write({"new/parking.md": "Parking is free."})
    policies.ingest()
    result = searcher.search("parking", k=1)
    assert (result.generation, result.hits[0].chunk.doc) == ("gen-000002", "new/parking.md")


def test_a_searcher_that_was_there_first_finds_the_first_index(office: Office) -> None:
    searcher = office.searcher()
    with pytest.raises(DeskmateError, match="there is no index yet"):
        searcher.search("vpn")
    office.write(POLICIES)
    office.ingest()
    assert searcher.search("vpn", k=1).hits[0].chunk.doc == "it/vpn.md"


# Reranking


class Backwards:
    """Prefers what fusion liked least, and may be slow about it."""

    name = "backwards"

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.read: list[str] = []

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        time.sleep(self.seconds)
        scores = [float(len(self.read) + i) for i in range(len(passages))]
        self.read += passages
        return scores


def reranked(office: Office, reranker: Backwards, **options: object) -> Searcher:
    return Searcher(office.store, office.embedder, RetrievalSettings(**options), reranker)


def test_a_reranker_reorders_the_best_passages(policies: Office) -> None:
    plain = [hit.chunk.id for hit in policies.searcher().search("leave vpn printer").hits]
    reranker = Backwards()
    hits = reranked(policies, reranker).search("leave vpn printer").hits
    assert [hit.chunk.id for hit in hits] == plain[::-1]
    assert [hit.score for hit in hits] == [2.0, 1.0, 0.0]
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert all(text.startswith(("VPN", "Printers", "Annual leave")) for text in reranker.read)


def test_a_reranker_may_lift_a_passage_into_the_first_k(policies: Office) -> None:
    last = policies.searcher().search("leave vpn printer").hits[-1].chunk.id
    assert reranked(policies, Backwards()).search("leave vpn printer", k=1).hits[0].chunk.id == last


def test_a_slow_reranker_is_stopped_and_the_rest_keeps_its_order(office: Office) -> None:
    office.write({f"{n:02}.md": f"Notice {n} about parking." for n in range(20)})
    office.ingest()
    plain = [hit.chunk.id for hit in office.searcher().search("parking", k=20).hits]
    reranker = Backwards(seconds=0.03)
    hits = reranked(office, reranker, rerank_ms=40.0).search("parking", k=20).hits
    read = len(reranker.read)
    assert 4 <= read < 20
    assert [hit.chunk.id for hit in hits] == plain[:read][::-1] + plain[read:]


def test_a_reranker_sees_only_what_the_asker_may_read(policies: Office) -> None:
    reranker = Backwards()
    reranked(policies, reranker).search("bonus pool of the salaries")
    assert reranker.read
    assert not any("Bonus" in text for text in reranker.read)


def test_rerankers_are_named_in_the_settings() -> None:
    assert make_reranker(None) is None
    reranker = make_reranker("overlap")
    assert isinstance(reranker, OverlapReranker)
    assert rerank_within(reranker, "free parking", ["no", "Parking is free", "free"], 1000) == [
        (1, 1.0),
        (2, 0.5),
        (0, 0.0),
    ]
