"""The search: TPOT's evolution over train/space.py, within a time limit that holds.

TPOT looks at its clock only when an evaluation ends, and limits the time only of the first evaluation on each
worker. Here every evaluation carries its own limit, which never reaches beyond the end of the search.
"""

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
from func_timeout import FunctionTimedOut, func_timeout
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelEncoder
from tpot import TPOTEstimator
from tpot.evolvers import BaseEvolver

from train.data import Task
from train.progress import SearchBar
from train.space import KnownFirst, known, space
from train.workers import workers

SCORERS = {"regression": "neg_mean_absolute_error", "classification": "neg_log_loss"}
METRICS = {"regression": "MAE", "classification": "log loss"}

SMALL = 5000  # rows; fewer are scored on five folds, more on three
MIN_SECONDS_EACH = 15.0  # what one pipeline may take at least
SHARE_EACH = 0.1  # of the whole search: what one pipeline may take at most


@dataclasses.dataclass(frozen=True)
class Settings:
    minutes: float
    generations: int | None
    population: int
    seed: int
    jobs: int


@dataclasses.dataclass(frozen=True)
class Found:
    """TPOT's best pipeline, fitted on the training rows, and what the search did."""

    pipeline: BaseEstimator
    labels: LabelEncoder | None
    metric: str
    score: float | None  # cross-validated on the training rows; None when there was no time for it
    pipelines: int
    generations: int


def search(
    features: pd.DataFrame, target: pd.Series, task: Task, preparation: Pipeline | None, settings: Settings
) -> Found:
    """Return the best pipeline that TPOT finds before the time or the generations are over."""
    end = time.time() + settings.minutes * 60
    labels = LabelEncoder().fit(target) if task == "classification" else None
    with workers(settings.jobs) as client, SearchBar(settings.minutes, METRICS[task]) as bar:
        # What the steps of the space look like depends on the columns that reach them.
        width = preparation.fit(features, target).transform(features[:1]).shape[1] if preparation else features.shape[1]
        classes = len(labels.classes_) if labels else 0
        whole = space(task, width, len(features), classes, settings.seed)
        start = known(whole, task, settings.seed)
        strongest = start[0].export_pipeline()
        estimator = TPOTEstimator(
            search_space=KnownFirst(whole, start, settings.population),
            scorers=[SCORERS[task]],
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
        estimator._evolver = functools.partial(_Evolver, end=end, bar=bar)
        encoded = labels.transform(target) if labels else target
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pipelines that are tried; the chosen one is fitted again, aloud
            try:
                estimator.fit(features, encoded)
            except Exception:
                if len(_scored(estimator)):
                    raise
                return _unsearched(features, encoded, preparation, strongest, labels, task)
    tried = _scored(estimator)
    return Found(
        pipeline=estimator.fitted_pipeline_,
        labels=labels,
        metric=METRICS[task],
        score=-float(tried[estimator.objective_names[0]].max()),
        pipelines=len(tried),
        generations=int(tried["Generation"].max()) + 1,
    )


def _unsearched(
    features: pd.DataFrame,
    target: pd.Series,
    preparation: Pipeline | None,
    strongest: Pipeline,
    labels: LabelEncoder | None,
    task: Task,
) -> Found:
    """Return the strongest known pipeline, for want of time to compare it with any other."""
    pipeline = make_pipeline(clone(preparation), strongest) if preparation else strongest
    return Found(pipeline.fit(features, target), labels, METRICS[task], None, 0, 0)


def _scored(estimator: TPOTEstimator) -> pd.DataFrame:
    """Return the pipelines that got a score."""
    tried = estimator._evolver_instance.population.evaluated_individuals
    return tried[tried[estimator.objective_names[0]].notna()]


class _Evolver(BaseEvolver):  # type: ignore[misc]  # TPOT has no types
    """TPOT's evolution with a time limit on every evaluation, reporting each generation."""

    def __init__(
        self,
        *,
        end: float,
        bar: SearchBar,
        objective_functions: list[Callable[..., Any]],
        max_eval_time_mins: float,
        **settings: Any,
    ) -> None:
        self.bar = bar
        limited = [
            functools.partial(_in_time, function, max_eval_time_mins * 60, end) for function in objective_functions
        ]
        settings["max_time_mins"] = max(0.0, end - time.time()) / 60
        # TPOT's own limit stays as the second line, for a worker that does not answer.
        super().__init__(objective_functions=limited, max_eval_time_mins=2 * max_eval_time_mins, **settings)

    def evaluate_population(self) -> None:
        super().evaluate_population()
        scores = self.population.evaluated_individuals[self.objective_names[0]].dropna()
        if len(scores):
            self.bar.found(self.generation + 1, len(scores), -float(scores.max()))


def _in_time(function: Callable[..., Any], seconds: float, end: float, *arguments: Any, **keywords: Any) -> Any:
    """Call the function in a worker, and answer with TPOT's word for a timeout when the limit is over."""
    try:
        return func_timeout(max(0.01, min(seconds, end - time.time())), function, arguments, keywords)
    except FunctionTimedOut:  # must not get out: TPOT's own func_timeout around this takes it for None
        return ["TIMEOUT"]
