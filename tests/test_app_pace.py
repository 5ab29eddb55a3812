"""How guessing is slowed: growing, per key, forgotten in the end, and never a locked door."""

from hypothesis import given
from hypothesis import strategies as st

from app.accounts import pace
from app.accounts.pace import PER_ADDRESS, PER_NAME, QUIET_S, Pace, Rule


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_attempts_are_free_and_then_the_spacing_doubles_up_to_the_most() -> None:
    rule = Rule(free=2, first_s=1, most_s=5)
    assert [rule.spacing(n) for n in range(1, 8)] == [0, 1, 2, 4, 5, 5, 5]


@given(st.lists(st.floats(0, 60), max_size=40))
def test_attempts_are_never_closer_than_the_rule_says(gaps: list[float]) -> None:
    clock = Clock()
    paced = Pace(PER_NAME, clock)
    made: list[float] = []
    for gap in gaps:
        clock.now += gap
        at = clock.now + paced.wait("anna")
        paced.take("anna")
        if len(made) >= PER_NAME.free:
            assert at - made[-1] >= PER_NAME.spacing(len(made)) - 1e-6
        made.append(at)


def test_whoever_waits_long_enough_always_gets_a_turn() -> None:
    clock = Clock()
    paced = Pace(PER_NAME, clock)
    for _ in range(10_000):
        clock.now += paced.wait("anna")
        paced.take("anna")
    assert paced.wait("anna") <= PER_NAME.most_s


def test_keys_do_not_slow_each_other() -> None:
    paced = Pace(PER_NAME, Clock())
    for _ in range(50):
        paced.take("anna")
    assert paced.wait("bob") == 0


def test_it_is_forgotten_after_a_quiet_while_and_by_the_right_password() -> None:
    clock = Clock()
    paced = Pace(PER_NAME, clock)
    for _ in range(6):
        paced.take("anna")
    assert paced.wait("anna") > 0
    paced.forgive("anna", 6)
    assert paced.wait("anna") == 0
    for _ in range(6):
        paced.take("anna")
    clock.now += QUIET_S + 60
    assert paced.wait("anna") == 0


def test_an_office_that_signs_in_at_nine_is_not_slowed() -> None:
    clock = Clock()
    paced = Pace(PER_ADDRESS, clock)
    for _ in range(500):
        assert paced.wait("office") == 0
        paced.take("office")
        clock.now += 0.1
        paced.forgive("office")


def test_memory_stays_bounded(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(pace, "MOST_KEPT", 100)
    paced = Pace(PER_NAME, Clock())
    for n in range(1000):
        paced.take(str(n))
    assert len(paced._trails) == 100
