"""Counters, gauges and histograms in Prometheus' text format. No dependency, and no label that holds anybody's words.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the histograms' buckets."""

Labels = tuple[str, ...]


class Counter:
    """A number that only grows, one for each combination of labels."""

    kind = "counter"

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        self.name, self.meaning, self.labels = name, meaning, labels
        self._values: defaultdict[Labels, float] = defaultdict(float)
        if not labels:
            self._values[()] = 0.0
        self._lock = threading.Lock()

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Count one more, or `by`."""
        with self._lock:
            self._values[labels] += by

    def lines(self) -> Iterator[str]:
        """The samples."""
        with self._lock:
            values = sorted(self._values.items())
        for labels, value in values:
            yield f"{self.name}{_braced(self.labels, labels)} {value:.15g}"


class Gauge:
    """A number that somebody else knows."""

    kind = "gauge"

    def __init__(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        self.name, self.meaning, self._read = name, meaning, read

    def lines(self) -> Iterator[str]:
        """The sample."""
        yield f"{self.name} {self._read():.15g}"


class Histogram:
    """How seconds are spread, for each combination of labels."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        self.name, self.meaning, self.labels = name, meaning, labels
        self._buckets: defaultdict[Labels, list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
        self._sums: defaultdict[Labels, float] = defaultdict(float)
        self._lock = threading.Lock()

    def see(self, seconds: float, *labels: str) -> None:
        """Take in one time."""
        with self._lock:
            self._buckets[labels][bisect_left(SECONDS, seconds)] += 1
            self._sums[labels] += seconds

    def lines(self) -> Iterator[str]:
        """The samples: running totals up to each bound, the sum and the count."""
        with self._lock:
            rows = sorted((labels, list(buckets), self._sums[labels]) for labels, buckets in self._buckets.items())
        for labels, buckets, total in rows:
            count = 0
            for bound, here in zip((*SECONDS, "+Inf"), buckets, strict=True):
                count += here
                yield f"{self.name}_bucket{_braced((*self.labels, 'le'), (*labels, str(bound)))} {count}"
            yield f"{self.name}_sum{_braced(self.labels, labels)} {total:.6g}"
            yield f"{self.name}_count{_braced(self.labels, labels)} {count}"


def exposition(metrics: Sequence[Counter | Gauge | Histogram]) -> str:
    """All of them as one page."""
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
    return "\n".join(lines) + "\n"


def _braced(names: Labels, values: Labels) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}" if names else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
