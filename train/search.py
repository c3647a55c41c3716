"""The search: TPOT's evolution over train/space.py, within a time limit that holds.

TPOT checks its clock only when an evaluation ends, limits only the first evaluation of each worker, loses the
generation that Ctrl-C interrupts, and accepts no Dask cluster but its own. Here, evaluations go to the workers
directly: each has its own time limit, which ends with the search at the latest, and each score counts as soon as it
arrives.
"""

import contextlib
import dataclasses
import functools
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client, Future, wait
from func_timeout import FunctionTimedOut, func_timeout
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelEncoder
from threadpoolctl import threadpool_limits
from tpot import TPOTEstimator
from tpot.evolvers import BaseEvolver
from tpot.search_spaces.base import SearchSpace

from train.data import Task
from train.progress import SearchBar
from train.space import KnownFirst, known_pipelines, search_space
from train.workers import workers

FIVE_FOLD_ROWS = 5000  # below this many rows, pipelines are scored on five folds, otherwise on three
MIN_EVALUATION_SECONDS = 15.0  # the time limit of one pipeline is this, or
EVALUATION_SHARE = 0.1  # this share of the search, whichever is longer
GRACE_SECONDS = 5.0  # after the end, for results that are on their way
POLL_SECONDS = 0.2
SHORT_NAMES = {"mean_absolute_error": "MAE", "root_mean_squared_error": "RMSE", "r2": "R2"}

Score = np.ndarray | list[str]  # one number, or TPOT's word for why there is none


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    minutes: float
    generations: int | None
    population: int
    seed: int
    jobs: int
    scorer: str  # one of scikit-learn's
    space: str  # one of train/space.py's
    scheduler: str | None  # the address of an existing Dask cluster

    @property
    def is_error(self) -> bool:
        """Whether the scorer negates an error."""
        return self.scorer.startswith("neg_")

    @property
    def metric(self) -> str:
        """The name of what `display` returns."""
        name = self.scorer.removeprefix("neg_")
        return SHORT_NAMES.get(name, name.replace("_", " "))

    def display(self, score: float) -> float:
        """Return a scikit-learn score the way people write it: errors are positive."""
        return -score if self.is_error else score


@dataclasses.dataclass(frozen=True)
class SearchResult:
    pipeline: BaseEstimator  # TPOT's best one, fitted on the rows of the search
    labels: LabelEncoder | None  # decodes its classes
    history: list[float]  # the best cross-validated score up to each generation; empty if time ran out before any score
    evaluated: int  # pipelines that got a score


def search(
    features: pd.DataFrame, target: pd.Series, task: Task, preprocessing: Pipeline | None, settings: SearchSettings
) -> SearchResult:
    """Return the best pipeline found before the time limit, the last generation or Ctrl-C.

    If time runs out before any pipeline is scored, return the first of the known pipelines.
    """
    clock = _Clock(time.time() + settings.minutes * 60)
    labels = LabelEncoder().fit(target) if task == "classification" else None
    encoded = labels.transform(target) if labels else target
    with workers(settings.jobs, settings.scheduler) as client, SearchBar(settings.minutes, settings.metric) as bar:
        # The steps of a space depend on the number of columns that reach them.
        first = preprocessing.fit(features, target).transform(features[:1]) if preprocessing else features
        sizes = (first.shape[1], len(features), len(labels.classes_) if labels else 0, settings.seed)
        space = search_space(settings.space, task, *sizes)
        known = known_pipelines(space, task, settings.seed) if settings.space == "plain" else []
        with warnings.catch_warnings(), clock.stopped_by_ctrl_c(bar):
            warnings.simplefilter("ignore")  # about candidates; the winner is fitted again with warnings
            first_known = KnownFirst(space, known, settings.population)
            estimator = _estimator(first_known, task, len(features), preprocessing, settings, client)
            report = functools.partial(_show, bar, settings)
            estimator._evolver = functools.partial(_Evolver, clock=clock, report=report)
            try:
                estimator.fit(features, encoded)
            except Exception:
                if len(_scored(estimator)):
                    raise
                best = known_pipelines(search_space("plain", task, *sizes), task, settings.seed)[0].export_pipeline()
                best = make_pipeline(clone(preprocessing), best) if preprocessing else best
                return SearchResult(best.fit(features, encoded), labels, [], 0)
    scored = _scored(estimator)
    history = scored.groupby("Generation")[estimator.objective_names[0]].max().cummax()
    displayed = [settings.display(float(score)) for score in history]
    return SearchResult(estimator.fitted_pipeline_, labels, displayed, len(scored))


def _estimator(
    space: SearchSpace,
    task: Task,
    rows: int,
    preprocessing: Pipeline | None,
    settings: SearchSettings,
    client: Client,
) -> TPOTEstimator:
    """Return TPOT, set up to search this space on the client's workers."""
    seconds = max(MIN_EVALUATION_SECONDS, settings.minutes * 60 * EVALUATION_SHARE)
    return TPOTEstimator(
        search_space=space,
        scorers=[settings.scorer],
        scorers_weights=[1],
        classification=task == "classification",
        cv=5 if rows < FIVE_FOLD_ROWS else 3,
        preprocessing=preprocessing or False,
        population_size=settings.population,
        generations=settings.generations,
        max_time_mins=settings.minutes,
        max_eval_time_mins=seconds / 60,
        verbose=0,
        client=client,
        random_state=settings.seed,
    )


def _scored(estimator: TPOTEstimator) -> pd.DataFrame:
    """Return the pipelines that got a score."""
    evolver = estimator._evolver_instance
    columns = estimator.objective_names
    evaluated = evolver.population.evaluated_individuals if evolver else pd.DataFrame(columns=columns)
    return evaluated[evaluated[columns[0]].notna()]


def _show(bar: SearchBar, settings: SearchSettings, generation: int, scores: pd.Series) -> None:
    """Update the progress bar."""
    if len(scores):
        bar.show(generation, len(scores), settings.display(float(scores.max())))


class _Clock:
    """When the search ends: at a time, or at Ctrl-C. `end` is a Unix timestamp."""

    def __init__(self, end: float) -> None:
        self.end = end

    def seconds_left(self) -> float:
        """Return the seconds until the end, negative after it."""
        return self.end - time.time()

    @contextlib.contextmanager
    def stopped_by_ctrl_c(self, bar: SearchBar) -> Iterator[None]:
        """Let the first Ctrl-C end the search; Python handles the next one, which aborts the run."""

        def stop(*_: object) -> None:
            signal.signal(signal.SIGINT, before)
            self.end = min(self.end, time.time())
            bar.console.print("Search stopped; keeping the best pipeline so far. Press Ctrl-C again to abort.")

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class _Evolver(BaseEvolver):  # type: ignore[misc]  # TPOT has no types
    """TPOT's evolution, with evaluations that obey the clock.

    `report` is called with the generation and all scores so far whenever one is added.
    """

    def __init__(self, *, clock: _Clock, report: Callable[[int, pd.Series], None], **settings: Any) -> None:
        self.clock, self.report = clock, report
        self.max_time_mins: float
        super().__init__(**settings | {"max_time_mins": max(0.0, clock.seconds_left()) / 60})

    def evaluate_population_full(self, budget: float | None = None) -> None:  # noqa: ARG002  # TPOT's signature
        """Score the individuals that have no score yet, in TPOT's order: the last one first."""
        (name,), (objective,) = self.objective_names, self.objective_functions
        seconds, end = self.max_eval_time_mins * 60, self.clock.end
        waiting: dict[Future, Any] = {}
        for individual in reversed(self.get_unevaluated_individuals([name])):
            job = functools.partial(_score_in_time, objective, seconds, end)
            waiting[self._client.submit(job, individual, pure=False, **self.objective_kwargs)] = individual
        while waiting and self.clock.seconds_left() > (-GRACE_SECONDS if self.clock.end == end else 0):
            with contextlib.suppress(TimeoutError):
                wait(list(waiting), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
            for future in [future for future in waiting if future.done()]:
                score = future.result() if future.status == "finished" else ["INVALID"]
                self._record(waiting.pop(future), name, score)
                future.release()
        for future, individual in waiting.items():
            future.cancel()
            self._record(individual, name, ["TIMEOUT"])
        self.population.remove_invalid_from_population(column_names="Eval Error")
        self.population.remove_invalid_from_population(column_names="Eval Error", invalid_value="TIMEOUT")
        if self.clock.seconds_left() <= 0:
            self.max_time_mins = 0.0

    def _record(self, individual: Any, name: str, score: Score) -> None:
        """Store the score of an individual."""
        word = score[0] if isinstance(score[0], str) else None
        population = self.population
        population.update_column([individual], column_names=name, data=[np.nan if word else float(score[0])])
        population.update_column([individual], column_names="Eval Error", data=[word])
        self.report(self.generation + 1, population.evaluated_individuals[name].dropna())


def _score_in_time(objective: Callable[..., Any], seconds: float, end: float, individual: Any, **data: Any) -> Score:
    """Score a pipeline in a worker within a time limit; return TPOT's word for the failure if there is no score."""

    def score() -> Score:
        # OpenMP reads the limit of the thread that fits. There are as many workers as cores.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            return objective(individual, **data)  # type: ignore[no-any-return]

    left = min(seconds, end - time.time())
    if left <= 0:  # do not even start: interrupting a fit right away can kill the worker
        return ["TIMEOUT"]
    try:
        value = func_timeout(left, score)
        return value if np.isfinite(value).all() else ["INVALID"]
    except FunctionTimedOut:
        return ["TIMEOUT"]
    except Exception:  # parameters that do not fit the data, which a search runs into
        return ["INVALID"]
