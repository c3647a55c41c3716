"""TPOT's evolution with evaluations that obey a clock.

Evaluations go to the workers directly. Each scores the pipeline that would be saved, and has its own time limit, which
ends with the search at the latest.
"""

import contextlib
import dataclasses
import itertools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client, Future, wait
from func_timeout import FunctionTimedOut, func_timeout
from tpot.evolvers import BaseEvolver

from train.known import KnownFirst
from train.measure import Measured, best_of, measure_alone
from train.progress import SearchBar
from train.rewrite import to_sklearn
from train.split import Folds

MIN_EVALUATION_SECONDS = 15.0  # the time limit of one pipeline is this, or
EVALUATION_SHARE = 0.1  # this share of the search, whichever is longer
KNOWN_SHARE = 0.5  # the same for the known pipelines
FINAL_SHARE = 0.4  # of the time limit that the final fit may take
GRACE_SECONDS = 2.0  # after the end, for results that are on their way
POLL_SECONDS = 0.2


class Clock:
    """When the search ends: at a time, or at Ctrl-C. `end` is a Unix timestamp."""

    def __init__(self, end: float) -> None:
        self.end = self._limit = end
        self.seconds = end - time.time()  # of the whole search
        self._interrupted = False

    def reserve(self, seconds: float) -> None:
        """End the search earlier by the seconds that the final fit will take."""
        if not self._interrupted:
            self.end = self._limit - min(seconds, FINAL_SHARE * self.seconds)

    def accepts_results(self) -> bool:
        """Return whether to wait for scores; results of the last moment have some seconds to arrive."""
        return self.seconds_left() > (0 if self._interrupted else -GRACE_SECONDS)

    def seconds_left(self) -> float:
        """Return the seconds until the end, negative after it."""
        return self.end - time.time()

    @contextlib.contextmanager
    def stopped_by_ctrl_c(self, bar: SearchBar) -> Iterator[None]:
        """Let the first Ctrl-C end the search; Python handles the next one, which aborts the run."""

        def stop(*_: object) -> None:
            signal.signal(signal.SIGINT, before)
            self.end, self._interrupted = min(self.end, time.time()), True
            bar.console.print("Search stopped; keeping the best pipeline so far. Press Ctrl-C again to abort.")

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class Evolver(BaseEvolver):  # type: ignore[misc]  # TPOT has no types
    """TPOT's evolution, with evaluations that obey the clock.

    `rows` are the features, the target and the folds, at the workers. The final fit will be on `scale` times the rows
    of a fold. `report` is called with all that was measured so far whenever a score arrives.
    """

    def __init__(
        self,
        source: KnownFirst,
        *,
        clock: Clock,
        report: Callable[[list[Measured]], None],
        client: Client,
        rows: list[Future],
        scorer: str,
        scale: float,
        **settings: Any,
    ) -> None:
        self.clock, self.report, self.rows, self.scorer, self.scale = clock, report, rows, scorer, scale
        self.known_left = len(source.known)
        self.tried: list[Measured] = []
        self.max_time_mins: float
        super().__init__(
            individual_generator=(source.generate(self.rng) for _ in itertools.count()),
            objective_functions=[None],
            objective_function_weights=[1],
            objective_names=["score"],
            max_time_mins=max(0.0, clock.seconds_left()) / 60,
            client=client,
            **settings,
        )

    def optimize_in_time(self) -> None:
        """Evolve until the time is over, or the last generation. TPOT raises an error if nothing got a score."""
        try:
            self.optimize()
        except Exception as error:
            if self.tried or type(error) is not Exception:
                raise

    def evaluate_population_full(self, budget: float | None = None) -> None:  # noqa: ARG002  # TPOT's signature
        """Score the individuals that have no score yet, in TPOT's order: the last one first."""
        waiting: dict[Future, Any] = {}
        for individual in reversed(self.get_unevaluated_individuals(["score"])):
            share = KNOWN_SHARE if self.known_left > 0 else EVALUATION_SHARE
            self.known_left -= 1
            seconds = max(MIN_EVALUATION_SECONDS, self.clock.seconds * share)
            job = self._client.submit(
                _score_in_time, individual, *self.rows, self.scorer, seconds, self.clock.end, pure=False
            )
            waiting[job] = individual
        while waiting and self.clock.accepts_results():
            with contextlib.suppress(TimeoutError):
                wait(list(waiting), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
            for future in [future for future in waiting if future.done()]:
                self._record(waiting.pop(future), future.result() if future.status == "finished" else "INVALID")
                future.release()
        for future, individual in waiting.items():
            future.cancel()
            self._record(individual, "TIMEOUT")
        self.population.remove_invalid_from_population(column_names="Eval Error")
        self.population.remove_invalid_from_population(column_names="Eval Error", invalid_value="TIMEOUT")
        if self.clock.seconds_left() <= 0:
            self.max_time_mins = 0.0

    def _record(self, individual: Any, found: Measured | str) -> None:
        """Store the score of an individual, or TPOT's word for why there is none."""
        word = found if isinstance(found, str) else None
        value = np.nan if isinstance(found, str) else found.score
        self.population.update_column([individual], column_names="score", data=[value])
        self.population.update_column([individual], column_names="Eval Error", data=[word])
        if not isinstance(found, str):
            self.tried.append(dataclasses.replace(found, generation=self.generation + 1))
            self.clock.reserve(best_of(self.tried).fit_seconds * self.scale)
            self.report(self.tried)


def _score_in_time(
    individual: Any, features: pd.DataFrame, target: pd.Series, rows: Folds, scorer: str, seconds: float, end: float
) -> Measured | str:
    """Score a pipeline in a worker within a time limit; return TPOT's word for the failure if there is no score."""
    left = min(seconds, end - time.time())
    if left <= 0:  # do not even start: interrupting a fit right away can kill the worker
        return "TIMEOUT"
    try:
        pipeline = to_sklearn(individual.export_pipeline(), features, target)
        found: Measured = func_timeout(left, measure_alone, (pipeline, features, target, rows, scorer))
    except FunctionTimedOut:
        return "TIMEOUT"
    except Exception:  # parameters that do not fit the data, which a search runs into
        return "INVALID"
    return found if np.isfinite(found.score) else "INVALID"
