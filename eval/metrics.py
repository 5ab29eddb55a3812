"""Metrics of single answers and searches: string decisions, but for `semantic_similarity`, which is given its model."""

import functools
import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from finetune.support import numbers, without_step_numbers
from ingest.sentences import sentence_spans
from retrieval.lexical import stems

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to unit vectors, shape (texts, dimension)."""

_MARKER = re.compile(r"\s*\[\d{1,2}\]")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = frozenset({"a", "an", "the"})
_CAPITALISED = r"\b[^\W\d_a-zß-öø-ÿ][\w-]+"
_FIRST = re.compile(r"\W*[\w-]+")
_NAME = re.compile(rf"{_CAPITALISED}(?: {_CAPITALISED})*")


def key_facts_met(answer: str, key_facts: Sequence[Sequence[str]]) -> float:
    """Key-fact accuracy of one answer: the share of fact groups of which an alternative occurs in it, 0 to 1.

    Compared case-insensitively as whole words; citation markers are no part of the words. 1.0 without groups.
    """
    if not key_facts:
        return 1.0
    text = _normal(_MARKER.sub("", answer))
    return sum(any(_occurs(_normal(fact), text) for fact in group) for group in key_facts) / len(key_facts)


def exact_match(answer: str, gold: str) -> bool:
    """Whether an answer is the gold one but for case, punctuation, articles, white space and citation markers.

    Source: Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250 (SQuAD), by its evaluation script's normalisation.
    """
    return squad_tokens(answer) == squad_tokens(gold)


def token_f1(answer: str, gold: str) -> float:
    """Harmonic mean of the precision and recall of an answer's tokens against the gold answer's, 0 to 1.

    Tokens are normalised as for `exact_match` and counted with repetitions. Source: SQuAD, as there.
    """
    return overlap_f1(squad_tokens(answer), squad_tokens(gold))


def overlap_f1(own: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of two bags of words, 0 to 1; of two empty ones 1."""
    if not own or not gold:
        return float(own == gold)
    shared = (Counter(own) & Counter(gold)).total()
    return 2 * shared / (len(own) + len(gold))


def squad_tokens(text: str) -> list[str]:
    """A text's tokens, normalised as SQuAD's evaluation does; citation markers are no tokens."""
    words = _MARKER.sub("", text).lower().translate(_PUNCTUATION).split()
    return [word for word in words if word not in _ARTICLES]


def rouge_l(answer: str, gold: str) -> float:
    """ROUGE-L F1 of an answer against the gold one, 0 to 1: the longest common subsequence of stemmed words.

    Source: Lin 2004, https://aclanthology.org/W04-1013, by the library rouge-score.
    """
    return float(_rouge().score(_MARKER.sub("", gold), _MARKER.sub("", answer))["rougeL"].fmeasure)


def semantic_similarity(answers: Sequence[str], golds: Sequence[str], embed: Embed) -> list[float]:
    """Cosine of the embeddings of each answer and its gold answer, -1 to 1, all embedded in one batch.

    Source: Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084. What is beyond the embedder's window is not
    read.

    Args:
        answers: as served; citation markers are taken away.
        golds: one for each answer.
        embed: the embedder.
    """
    vectors = embed([*(_MARKER.sub("", answer) for answer in answers), *golds])
    own, gold = np.split(np.asarray(vectors, dtype=np.float64), [len(answers)])
    cosines: list[float] = (own * gold).sum(axis=1).tolist()
    return cosines


def recall_at(k: int, retrieved_docs: Sequence[str], gold_docs: Sequence[str]) -> float:
    """Share of the gold documents of which a passage is among the first `k`, 0 to 1."""
    return len(set(gold_docs) & set(retrieved_docs[:k])) / len(set(gold_docs)) if gold_docs else 1.0


def reciprocal_rank(retrieved_docs: Sequence[str], gold_docs: Sequence[str]) -> float:
    """One over the rank of the first gold document, 0 where there is none; the mean over questions is the MRR.

    A document ranks where its best passage does, and documents are ranked, not passages.
    """
    ranked = list(dict.fromkeys(retrieved_docs))
    return next((1 / rank for rank, doc in enumerate(ranked, start=1) if doc in gold_docs), 0.0)


def ndcg_at(k: int, retrieved_docs: Sequence[str], gold_docs: Sequence[str]) -> float:
    """Normalised discounted cumulative gain of the first `k` documents, 0 to 1; every gold document gains 1.

    Documents are ranked as for `reciprocal_rank`. 1.0 without gold documents. Source: Järvelin and Kekäläinen 2002,
    https://doi.org/10.1145/582415.582418; the tests hold it against ir-measures.
    """
    if not gold_docs:
        return 1.0
    ranked = list(dict.fromkeys(retrieved_docs))[:k]
    gain = sum(1 / math.log2(rank + 1) for rank, doc in enumerate(ranked, start=1) if doc in gold_docs)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(set(gold_docs))) + 1))
    return gain / best


def content_precision(answer: str, known: Set[str]) -> float | None:
    """Share of an answer's content words that are among the stems `known`, 0 to 1; None where it has none.

    With the stems of the passages it tells attributable answers from others, see `eval.validate`.
    """
    own = stems(_MARKER.sub("", answer))
    return sum(word in known for word in own) / len(own) if own else None


def foreign_numbers(answer: str, sources: str) -> frozenset[str]:
    """The numbers of an answer that its sources do not hold; the numbers of list items are the answer's own."""
    return numbers(without_step_numbers(_MARKER.sub("", answer))) - numbers(sources)


def foreign_names(answer: str, known: Set[str]) -> list[str]:
    """The names in an answer of which a word is not among the stems `known`, in order."""
    return [name for name in names(answer) if not set(stems(name)) <= known]


def names(text: str) -> list[str]:
    """The names in a text, in order: runs of capitalised words, without the word that begins a sentence."""
    text = without_step_numbers(_MARKER.sub("", text))
    found: list[str] = []
    for start, end in sentence_spans(text):
        first = _FIRST.match(text, start, end)
        found += [match[0] for match in _NAME.finditer(text, first.end() if first else start, end)]
    return found


def citation_precision(cited_docs: Sequence[str], gold_docs: Sequence[str]) -> float:
    """Share of an answer's citations that point to a gold document, 0 to 1. There must be one."""
    return sum(doc in gold_docs for doc in cited_docs) / len(cited_docs)


@functools.cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _occurs(fact: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", text) is not None
