"""Who is computed for, and who waits: a few threads, a short line before them, and the way from a thread to the loop.

Knows neither HTTP nor answers. What is computed is an iterator; what comes out is the same, asynchronous.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class FullError(Exception):
    """Too many are waiting, or one waited too long."""


class GreedyError(FullError):
    """One asker has as many waiting or computed as one may have."""


class Line:
    """At most `at_once` things are computed, each in a thread; at most `waiting` wait behind them, none too long.

    Nobody has more than `each` of them, so that one who asks a lot leaves places to the others.
    """

    def __init__(self, at_once: int, waiting: int, wait_s: float, each: int) -> None:
        """Set the limits; threads start with the first work.

        Args:
            at_once: threads.
            waiting: how many may wait for one.
            wait_s: longest wait in seconds.
            each: how many of one asker may be computed or wait.
        """
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="deskmate-api")
        self._places = asyncio.Semaphore(at_once)
        self._most, self._wait_s, self._each = waiting, wait_s, each
        self._of = Counter[str]()  # how many there are by asker
        self.waiting = 0
        self.running = 0

    async def run(self, work: Callable[[], Iterator[T]], cancel: threading.Event, who: str) -> AsyncGenerator[T, None]:
        """Compute in a thread and yield what comes, in order; raises what the work raises.

        Args:
            work: makes the iterator; called in the thread.
            cancel: is set when the caller stops listening, so that the work can stop too. The place is taken until it
                has.
            who: asks.

        Raises:
            GreedyError: they have as many as one may have.
            FullError: there was no place, and none to wait at.
        """
        await self._enter(who)
        loop = asyncio.get_running_loop()
        came: asyncio.Queue[Any] = asyncio.Queue()

        def compute() -> None:
            for item in work():
                loop.call_soon_threadsafe(came.put_nowait, item)

        def ended(future: asyncio.Future[None]) -> None:
            self.running -= 1
            self._leave(who)
            self._places.release()
            if not future.cancelled():
                future.exception()  # nobody may be left to look at it
            came.put_nowait(_END)

        try:
            future = loop.run_in_executor(self._threads, compute)
            future.add_done_callback(ended)
            while (item := await came.get()) is not _END:
                yield item
            await future
        finally:
            cancel.set()

    async def call(self, work: Callable[[], T], who: str) -> T:
        """Compute one thing in a thread; see `run`."""
        [result] = [one async for one in self.run(lambda: iter([work()]), threading.Event(), who)]
        return result

    async def _enter(self, who: str) -> None:
        if self._of[who] >= self._each:
            raise GreedyError
        if self._places.locked() and self.waiting >= self._most:
            raise FullError
        self._of[who] += 1
        self.waiting += 1
        entered = False
        try:
            async with asyncio.timeout(self._wait_s):
                entered = await self._places.acquire()
        except TimeoutError:
            raise FullError from None
        finally:
            self.waiting -= 1
            if not entered:
                self._leave(who)
        self.running += 1

    def _leave(self, who: str) -> None:
        self._of[who] -= 1
        if not self._of[who]:
            del self._of[who]


async def with_beats(items: AsyncGenerator[T, None], seconds: float) -> AsyncGenerator[T | None, None]:
    """Pass items on, and a None whenever none came for so long."""
    coming = asyncio.ensure_future(anext(items, _END))
    try:
        while True:
            if not (await asyncio.wait((coming,), timeout=seconds))[0]:
                yield None
                continue
            item = coming.result()
            if item is _END:
                return
            yield item
            coming = asyncio.ensure_future(anext(items, _END))
    finally:
        coming.cancel()
        await asyncio.wait((coming,))
        await items.aclose()


_END: Any = object()
