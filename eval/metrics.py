"""Metrics of single answers and searches. Each is a string decision: nothing here asks a model."""

import re
import unicodedata
from collections.abc import Sequence

_MARKER = re.compile(r"\s*\[\d{1,2}\]")


def key_facts_met(answer: str, key_facts: Sequence[Sequence[str]]) -> float:
    """Key-fact accuracy of one answer: the share of fact groups of which an alternative occurs in it, 0 to 1.

    Compared case-insensitively as whole words; citation markers are no part of the words. 1.0 without groups.
    """
    if not key_facts:
        return 1.0
    text = _normal(_MARKER.sub("", answer))
    return sum(any(_occurs(_normal(fact), text) for fact in group) for group in key_facts) / len(key_facts)


def recall_at(k: int, retrieved_docs: Sequence[str], gold_docs: Sequence[str]) -> float:
    """Share of the gold documents of which a passage is among the first `k`, 0 to 1."""
    return len(set(gold_docs) & set(retrieved_docs[:k])) / len(set(gold_docs)) if gold_docs else 1.0


def citation_precision(cited_docs: Sequence[str], gold_docs: Sequence[str]) -> float:
    """Share of an answer's citations that point to a gold document, 0 to 1. There must be one."""
    return sum(doc in gold_docs for doc in cited_docs) / len(cited_docs)


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _occurs(fact: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", text) is not None
