"""The line before the API's threads: order, limits, and places that are free again however it ends."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from app.web.line import FullError, Line, with_beats


def held(gate: threading.Event, cancel: threading.Event) -> Iterator[int]:
    """Gives 1, then 2 once the gate is open; ends when it is cancelled."""
    yield 1
    while not gate.wait(0.005):
        if cancel.is_set():
            return
    yield 2


async def every(line: Line, gate: threading.Event) -> list[int]:
    cancel = threading.Event()
    return [item async for item in line.run(lambda: held(gate, cancel), cancel)]


async def until(holds) -> None:
    async with asyncio.timeout(3):
        while not holds():
            await asyncio.sleep(0.005)


def test_what_is_computed_comes_out_in_order() -> None:
    async def check() -> None:
        line = Line(1, 0, 1.0)
        assert [n async for n in line.run(lambda: iter(range(1000)), threading.Event())] == list(range(1000))
        assert await line.call(lambda: 7) == 7
        assert (line.running, line.waiting) == (0, 0)

    asyncio.run(check())


def test_as_many_run_as_may_as_many_wait_as_may_and_the_next_is_turned_away() -> None:
    async def check() -> None:
        line, gate = Line(2, 3, 5.0), threading.Event()
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
        line, gate = Line(1, 1, 0.05), threading.Event()
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
        line = Line(1, 0, 1.0)
        items = line.run(failing, threading.Event())
        assert await anext(items) == 1
        with pytest.raises(KeyError):
            await anext(items)
        assert await line.call(lambda: 7) == 7

    asyncio.run(check())


def test_a_caller_who_leaves_cancels_and_the_place_is_free_when_the_work_has_ended() -> None:
    async def check() -> None:
        line, gate, cancel = Line(1, 1, 3.0), threading.Event(), threading.Event()
        async with aclosing(line.run(lambda: held(gate, cancel), cancel)) as items:
            assert await anext(items) == 1
        assert cancel.is_set()
        await until(lambda: line.running == 0)
        assert await line.call(lambda: 7) == 7

    asyncio.run(check())


def test_a_caller_who_leaves_the_line_takes_nobodys_place() -> None:
    async def check() -> None:
        line, gate = Line(1, 1, 3.0), threading.Event()
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


def test_silence_is_filled_with_beats_and_nothing_is_lost() -> None:
    async def check() -> None:
        line, gate, cancel = Line(1, 0, 1.0), threading.Event(), threading.Event()
        items = with_beats(line.run(lambda: held(gate, cancel), cancel), 0.02)
        assert [await anext(items) for _ in range(3)] == [1, None, None]
        gate.set()
        assert [item async for item in items if item] == [2]
        assert line.running == 0

    asyncio.run(check())


def test_beats_that_nobody_hears_any_more_cancel_the_work() -> None:
    async def check() -> None:
        line, cancel = Line(1, 0, 1.0), threading.Event()
        async with aclosing(with_beats(line.run(lambda: held(threading.Event(), cancel), cancel), 0.02)) as items:
            assert [await anext(items) for _ in range(2)] == [1, None]
        assert cancel.is_set()
        await until(lambda: line.running == 0)

    asyncio.run(check())
