"""The search: TPOT's evolution over train/space.py, within a time limit that holds.

TPOT looks at its clock only when an evaluation ends, limits the time only of the first evaluation on each worker,
forgets a generation that Ctrl-C breaks off, and knows Dask clusters of its own making only. So what it evaluates
is sent to the workers here: every evaluation carries its own limit, which never reaches beyond the end of the
search, and every score counts as soon as it is there.
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
from distributed import Future, wait
from func_timeout import FunctionTimedOut, func_timeout
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelEncoder
from threadpoolctl import threadpool_limits
from tpot import TPOTEstimator
from tpot.evolvers import BaseEvolver

from train.data import Task
from train.progress import SearchBar
from train.space import KnownFirst, known, space
from train.workers import workers

SMALL = 5000  # rows; fewer are scored on five folds, more on three
MIN_SECONDS_EACH = 15.0  # what one pipeline may take at least
SHARE_EACH = 0.1  # of the whole search: what one pipeline may take at most
GRACE = 5.0  # seconds after the end for results that are on their way
SHORT = {"mean_absolute_error": "MAE", "root_mean_squared_error": "RMSE", "r2": "R2"}
LOOK = 0.2  # seconds between two looks at the clock

Score = np.ndarray | list[str]  # one number, or TPOT's word for why there is none


@dataclasses.dataclass(frozen=True)
class Settings:
    minutes: float
    generations: int | None
    population: int
    seed: int
    jobs: int
    scorer: str  # one of scikit-learn's
    space: str  # one of train/space.py's
    scheduler: str | None  # the address of an existing Dask cluster

    @property
    def metric(self) -> str:
        """Return the name of what `shown` shows."""
        name = self.scorer.removeprefix("neg_")
        return SHORT.get(name, name.replace("_", " "))

    def shown(self, score: float) -> float:
        """Return a score of scikit-learn, of which more is better, as people write it: an error is positive."""
        return -score if self.scorer.startswith("neg_") else score


@dataclasses.dataclass(frozen=True)
class Found:
    """TPOT's best pipeline, fitted on the rows of the search, and what the search did."""

    pipeline: BaseEstimator
    labels: LabelEncoder | None
    history: list[float]  # the best score, cross-validated, up to each generation; empty when there was no time
    pipelines: int


def search(
    features: pd.DataFrame, target: pd.Series, task: Task, preparation: Pipeline | None, settings: Settings
) -> Found:
    """Return the best pipeline that TPOT finds before the time or the generations are over, or until Ctrl-C."""
    end = time.time() + settings.minutes * 60
    labels = LabelEncoder().fit(target) if task == "classification" else None
    with workers(settings.jobs, settings.scheduler) as client, SearchBar(settings.minutes, settings.metric) as bar:
        # What the steps of the space look like depends on the columns that reach them.
        width = preparation.fit(features, target).transform(features[:1]).shape[1] if preparation else features.shape[1]
        classes = len(labels.classes_) if labels else 0
        whole = space(settings.space, task, width, len(features), classes, settings.seed)
        start = known(whole, task, settings.seed) if settings.space == "plain" else []
        clock = _Clock(end)
        shown = functools.partial(_show, bar, settings)
        encoded = labels.transform(target) if labels else target
        with warnings.catch_warnings(), clock.stopped_by_ctrl_c(bar):
            warnings.simplefilter("ignore")  # of pipelines that are tried; the chosen one is fitted again, aloud
            estimator = TPOTEstimator(
                search_space=KnownFirst(whole, start, settings.population),
                scorers=[settings.scorer],
                scorers_weights=[1],
                classification=task == "classification",
                cv=5 if len(features) < SMALL else 3,
                preprocessing=preparation or False,
                population_size=settings.population,
                generations=settings.generations,
                max_time_mins=settings.minutes,
                max_eval_time_mins=max(MIN_SECONDS_EACH, settings.minutes * 60 * SHARE_EACH) / 60,
                verbose=0,
                client=client,
                random_state=settings.seed,
            )
            estimator._evolver = functools.partial(_Evolver, clock=clock, shown=shown)
            try:
                estimator.fit(features, encoded)
            except Exception:
                if len(_scored(estimator)):
                    raise
                strongest = known(
                    space("plain", task, width, len(features), classes, settings.seed), task, settings.seed
                )
                pipeline = strongest[0].export_pipeline()
                pipeline = make_pipeline(clone(preparation), pipeline) if preparation else pipeline
                return Found(pipeline.fit(features, encoded), labels, [], 0)
    tried = _scored(estimator)
    best = tried.groupby("Generation")[estimator.objective_names[0]].max().cummax()
    return Found(estimator.fitted_pipeline_, labels, [settings.shown(float(score)) for score in best], len(tried))


def _scored(estimator: TPOTEstimator) -> pd.DataFrame:
    """Return the pipelines that got a score."""
    evolver = estimator._evolver_instance
    tried = evolver.population.evaluated_individuals if evolver else pd.DataFrame(columns=estimator.objective_names)
    return tried[tried[estimator.objective_names[0]].notna()]


def _show(bar: SearchBar, settings: Settings, generation: int, scores: pd.Series) -> None:
    if len(scores):
        bar.found(generation, len(scores), settings.shown(float(scores.max())))


class _Clock:
    """When the search ends: at a time, or at once when a person presses Ctrl-C."""

    def __init__(self, end: float) -> None:
        self.end = end

    def left(self) -> float:
        return self.end - time.time()

    @contextlib.contextmanager
    def stopped_by_ctrl_c(self, bar: SearchBar) -> Iterator[None]:
        """Let the first Ctrl-C end the search; the next one is Python's again and aborts the run."""

        def stop(*_: object) -> None:
            signal.signal(signal.SIGINT, before)
            self.end = min(self.end, time.time())
            bar.console.print("Stopped: the best pipeline so far is kept. Ctrl-C again aborts.")

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class _Evolver(BaseEvolver):  # type: ignore[misc]  # TPOT has no types
    """TPOT's evolution with evaluations that keep to the clock."""

    def __init__(self, *, clock: _Clock, shown: Callable[[int, pd.Series], None], **settings: Any) -> None:
        self.clock, self.shown = clock, shown
        self.max_time_mins: float
        super().__init__(**settings | {"max_time_mins": max(0.0, clock.left()) / 60})

    def evaluate_population_full(self, budget: float | None = None) -> None:  # noqa: ARG002  # TPOT's signature
        """Score what has no score yet, the last of it first, as TPOT does."""
        (name,), (objective,) = self.objective_names, self.objective_functions
        seconds, end = self.max_eval_time_mins * 60, self.clock.end
        waiting: dict[Future, Any] = {}
        for individual in reversed(self.get_unevaluated_individuals([name])):
            job = functools.partial(_in_time, objective, seconds, end)
            waiting[self._client.submit(job, individual, pure=False, **self.objective_kwargs)] = individual
        while waiting and self.clock.left() > (-GRACE if self.clock.end == end else 0):
            with contextlib.suppress(TimeoutError):
                wait(list(waiting), timeout=LOOK, return_when="FIRST_COMPLETED")
            for future in [future for future in waiting if future.done()]:
                self._count(waiting.pop(future), name, future.result() if future.status == "finished" else ["INVALID"])
                future.release()
        for future, individual in waiting.items():
            future.cancel()
            self._count(individual, name, ["TIMEOUT"])
        self.population.remove_invalid_from_population(column_names="Eval Error")
        self.population.remove_invalid_from_population(column_names="Eval Error", invalid_value="TIMEOUT")
        if self.clock.left() <= 0:
            self.max_time_mins = 0.0

    def _count(self, individual: Any, name: str, score: Score) -> None:
        """Give an individual its score."""
        word = score[0] if isinstance(score[0], str) else None
        population = self.population
        population.update_column([individual], column_names=name, data=[np.nan if word else float(score[0])])
        population.update_column([individual], column_names="Eval Error", data=[word])
        self.shown(self.generation + 1, population.evaluated_individuals[name].dropna())


def _in_time(objective: Callable[..., Any], seconds: float, end: float, individual: Any, **data: Any) -> Score:
    """Score a pipeline in a worker, and answer with TPOT's word for a timeout when the limit is over."""

    def score() -> Score:
        # Set in the very thread that fits, where OpenMP looks: there are as many workers as cores.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            return objective(individual, **data)  # type: ignore[no-any-return]

    left = min(seconds, end - time.time())
    if left <= 0:  # not even begun: a fit that is broken off at once can take the worker with it
        return ["TIMEOUT"]
    try:
        found = func_timeout(left, score)
        return found if np.isfinite(found).all() else ["INVALID"]
    except FunctionTimedOut:
        return ["TIMEOUT"]
    except Exception:  # settings that do not fit the data, as happens in a search
        return ["INVALID"]
