"""Prometheus' text format, by hand-computed samples."""

from app.web.metrics_text import SECONDS, Counter, Gauge, Histogram, exposition


def test_a_counter_counts_by_its_labels() -> None:
    counter = Counter("deskmate_x_total", "What it counts.", ("route", "status"))
    counter.add("/b", "200")
    counter.add("/a", "404", by=3)
    counter.add("/b", "200")
    assert exposition([counter]) == (
        "# HELP deskmate_x_total What it counts.\n# TYPE deskmate_x_total counter\n"
        'deskmate_x_total{route="/a",status="404"} 3\n'
        'deskmate_x_total{route="/b",status="200"} 2\n'
    )


def test_a_large_count_keeps_every_digit() -> None:
    counter = Counter("deskmate_x_total", "x")
    counter.add(by=123_456_789)
    assert list(counter.lines()) == ["deskmate_x_total 123456789"]


def test_a_gauge_is_asked_when_it_is_read() -> None:
    values = [1, 2]
    gauge = Gauge("g", "x", lambda: values.pop())
    assert [*gauge.lines(), *gauge.lines()] == ["g 2", "g 1"]


def test_a_histogram_adds_its_buckets_up() -> None:
    histogram = Histogram("h", "x", ("mode",))
    for seconds in (0.005, 0.01, 0.3, 999.0):
        histogram.see(seconds, "hybrid")
    lines = dict(line.rsplit(" ", 1) for line in histogram.lines())
    assert lines['h_bucket{mode="hybrid",le="0.01"}'] == "2", "a bound belongs to its bucket"
    assert lines['h_bucket{mode="hybrid",le="0.25"}'] == "2"
    assert lines['h_bucket{mode="hybrid",le="0.5"}'] == "3"
    assert lines['h_bucket{mode="hybrid",le="120.0"}'] == "3"
    assert lines['h_bucket{mode="hybrid",le="+Inf"}'] == "4"
    assert lines['h_sum{mode="hybrid"}'] == "999.315"
    assert lines['h_count{mode="hybrid"}'] == "4"
    assert len(lines) == len(SECONDS) + 3


def test_a_label_cannot_break_out_of_its_quotes() -> None:
    counter = Counter("c", "x", ("l",))
    counter.add('a"b\\c\nd')
    assert list(counter.lines()) == [r'c{l="a\"b\\c\nd"} 1']
