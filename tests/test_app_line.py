"""The line before the API's threads: order, limits, a share for everybody, and places that are free again."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.web.line import FullError, GreedyError, Line, with_beats


def held(gate: threading.Event, cancel: threading.Event) -> Iterator[int]:
    """Gives 1, then 2 once the gate is open; ends when it is cancelled."""
    yield 1
    while not gate.wait(0.005):
        if cancel.is_set():
            return
    yield 2


async def every(line: Line, gate: threading.Event, who: str = "anna") -> list[int]:
    cancel = threading.Event()
    return [item async for item in line.run(lambda: held(gate, cancel), cancel, who)]


def make(at_once: int, waiting: int, wait_s: float, each: int = 99) -> Line:
    return Line(at_once, waiting, wait_s, each)


async def until(holds) -> None:
    async with asyncio.timeout(3):
        while not holds():
            await asyncio.sleep(0.005)


def test_what_is_computed_comes_out_in_order() -> None:
    async def check() -> None:
        line = make(1, 0, 1.0)
        assert [n async for n in line.run(lambda: iter(range(1000)), threading.Event(), "anna")] == list(range(1000))
        assert await line.call(lambda: 7, "anna") == 7
        assert (line.running, line.waiting) == (0, 0)

    asyncio.run(check())


def test_as_many_run_as_may_as_many_wait_as_may_and_the_next_is_turned_away() -> None:
    async def check() -> None:
        line, gate = make(2, 3, 5.0), threading.Event()
        tasks = [asyncio.create_task(every(line, gate)) for _ in range(5)]
        await until(lambda: (line.running, line.waiting) == (2, 3))
        with pytest.raises(FullError):
            await every(line, gate)
        gate.set()
        assert await asyncio.gather(*tasks) == [[1, 2]] * 5
        assert (line.running, line.waiting) == (0, 0)

    asyncio.run(check())


def test_nobody_waits_longer_than_is_said() -> None:
    async def check() -> None:
        line, gate = make(1, 1, 0.05), threading.Event()
        first = asyncio.create_task(every(line, gate))
        await until(lambda: line.running == 1)
        with pytest.raises(FullError):
            await every(line, gate)
        gate.set()
        assert await first == [1, 2]

    asyncio.run(check())


def test_what_fails_fails_for_the_caller_and_frees_its_place() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("x")

    async def check() -> None:
        line = make(1, 0, 1.0)
        items = line.run(failing, threading.Event(), "anna")
        assert await anext(items) == 1
        with pytest.raises(KeyError):
            await anext(items)
        assert await line.call(lambda: 7, "anna") == 7

    asyncio.run(check())


def test_a_caller_who_leaves_cancels_and_the_place_is_free_when_the_work_has_ended() -> None:
    async def check() -> None:
        line, gate, cancel = make(1, 1, 3.0), threading.Event(), threading.Event()
        async with aclosing(line.run(lambda: held(gate, cancel), cancel, "anna")) as items:
            assert await anext(items) == 1
        assert cancel.is_set()
        await until(lambda: line.running == 0)
        assert await line.call(lambda: 7, "anna") == 7

    asyncio.run(check())


def test_a_caller_who_leaves_the_line_takes_nobodys_place() -> None:
    async def check() -> None:
        line, gate = make(1, 1, 3.0), threading.Event()
        first = asyncio.create_task(every(line, gate))
        await until(lambda: line.running == 1)
        waiting = asyncio.create_task(every(line, gate))
        await until(lambda: line.waiting == 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (line.running, line.waiting) == (1, 0)
        gate.set()
        assert await first == [1, 2]

    asyncio.run(check())


def test_one_who_asks_for_everything_leaves_the_others_their_places() -> None:
    async def check() -> None:
        line, gate = make(2, 10, 5.0, each=4), threading.Event()
        greedy = [asyncio.create_task(every(line, gate, "greedy")) for _ in range(200)]
        await until(lambda: sum(task.done() for task in greedy) == 196)
        others = [asyncio.create_task(every(line, gate, f"other {n}")) for n in range(8)]
        await until(lambda: (line.running, line.waiting) == (2, 10))
        gate.set()
        assert await asyncio.gather(*others) == [[1, 2]] * 8
        ends = await asyncio.gather(*greedy, return_exceptions=True)
        assert sum(end == [1, 2] for end in ends) == 4
        assert sum(isinstance(end, GreedyError) for end in ends) == 196
        assert await every(line, gate, "greedy") == [1, 2]  # once they are answered, one may ask again

    asyncio.run(check())


arrivals = st.sampled_from("abc")
departures = st.integers(0, 9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(0, 3), st.integers(1, 4), st.lists(arrivals | departures, max_size=14))
def test_whoever_comes_and_goes_the_line_is_as_long_as_it_may_be(
    at_once: int, waiting: int, each: int, steps: list[str | int]
) -> None:
    async def check() -> None:
        line = make(at_once, waiting, 60.0, each)
        inside: list[tuple[str, threading.Event, asyncio.Task[list[int]]]] = []  # in the order in which they came
        for step in steps:
            if isinstance(step, str):
                gate = threading.Event()
                task = asyncio.create_task(every(line, gate, step))
                await asyncio.sleep(0)
                if sum(who == step for who, *_ in inside) >= each:
                    with pytest.raises(GreedyError):
                        await task
                elif len(inside) >= at_once + waiting:
                    with pytest.raises(FullError):
                        await task
                else:
                    inside.append((step, gate, task))
            elif inside:
                _, gate, task = inside.pop(step % min(len(inside), at_once))
                gate.set()
                assert await task == [1, 2]
            await until(lambda: (line.running, line.running + line.waiting) == (min(len(inside), at_once), len(inside)))
        for _, gate, _ in inside:
            gate.set()
        assert await asyncio.gather(*(task for *_, task in inside)) == [[1, 2]] * len(inside)
        assert (line.running, line.waiting) == (0, 0)

    asyncio.run(check())


def test_silence_is_filled_with_beats_and_nothing_is_lost() -> None:
    async def check() -> None:
        line, gate, cancel = make(1, 0, 1.0), threading.Event(), threading.Event()
        items = with_beats(line.run(lambda: held(gate, cancel), cancel, "anna"), 0.02)
        assert [await anext(items) for _ in range(3)] == [1, None, None]
        gate.set()
        assert [item async for item in items if item] == [2]
        assert line.running == 0

    asyncio.run(check())


def test_beats_that_nobody_hears_any_more_cancel_the_work() -> None:
    async def check() -> None:
        line, cancel = make(1, 0, 1.0), threading.Event()
        items = line.run(lambda: held(threading.Event(), cancel), cancel, "anna")
        async with aclosing(with_beats(items, 0.02)) as items:
            assert [await anext(items) for _ in range(2)] == [1, None]
        assert cancel.is_set()
        await until(lambda: line.running == 0)

    asyncio.run(check())
