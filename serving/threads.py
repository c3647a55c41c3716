"""The threads that load models and score rows.

A thread of concurrent.futures is waited for when the process exits, so a prediction that hangs would keep the process
alive. And code that others wrote for a script expects to stay in the thread that loaded it: connections of sqlite3
refuse to work in another one.
"""

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Call = tuple[Future[Any], Callable[[], Any]]
_STACK = 2**15  # values, of 8 bytes each


class ModelThread(Executor):
    """One thread, which runs calls in their order, and ends with this object.

    Like the main thread of a script, it has an event loop that isn't running, and context variables that one call sets
    are there for the next: its `context` begins as a copy of the creator's.
    """

    def __init__(self) -> None:
        self.context: Context = copy_context()
        self._calls: deque[_Call | None] = deque()
        self._added: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=_run, args=(self._calls, self._added), name="model", daemon=True).start()
        weakref.finalize(self, _add, None, self._calls, self._added).atexit = False

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run a call after those before it; its future gets whatever it raises, BaseException included."""
        future: Future[T] = Future()
        run = self.context.run  # the call must not keep this object alive
        _add((future, lambda: run(function, *args, **kwargs)), self._calls, self._added)
        return future


def _add(call: _Call | None, calls: deque[_Call | None], added: SimpleQueue[None]) -> None:
    calls.append(call)
    added.put(None)


def _run(calls: deque[_Call | None], added: SimpleQueue[None]) -> None:
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        while True:
            # A timeout that a model sets for itself may hit the thread after its prediction has ended. No call is lost
            # then, since each is removed only after it has run.
            with contextlib.suppress(BaseException):
                _run_calls(calls, added)
                return


# From 3.11 on, CPython maps the memory of its frames in chunks of 16 KB, and unmaps one when its first frame returns. A
# loop that calls across the end of a chunk maps it again each time: loading scikit-learn did so 16,500 times, 7% of a
# start. A frame that asks for more than a chunk gets a larger one, and what it calls has the rest of it, here 256 KB.
_run.__code__ = _run.__code__.replace(co_stacksize=_STACK)


def _run_calls(calls: deque[_Call | None], added: SimpleQueue[None]) -> None:
    while True:
        while calls:
            call = calls[0]
            if call is None:
                return
            _run_call(*call)
            del call  # the thread may wait for long: it must not keep a model or its rows alive
            calls.popleft()
        added.get()


def _run_call(future: Future[Any], function: Callable[[], Any]) -> None:
    if future.done():
        return
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
