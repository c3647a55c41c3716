"""The search: TPOT's evolution over train/space.py, within a time limit that holds.

TPOT checks its clock only when an evaluation ends, limits only the first evaluation of each worker, loses the
generation that Ctrl-C interrupts, encodes once for all folds, and accepts no Dask cluster but its own. So only its
spaces and its evolution are used (train/evolver.py), and a score counts as soon as it arrives.
"""

import contextlib
import dataclasses
import functools
import time
import warnings

import pandas as pd
from func_timeout import FunctionTimedOut, func_timeout
from sklearn.pipeline import Pipeline

from train.evolver import Clock, Evolver
from train.features import Columns
from train.known import KnownFirst, known_pipelines
from train.measure import FEW_ROWS, Measured, best_of, measure_alone
from train.progress import SearchBar
from train.rewrite import to_sklearn
from train.space import Table, search_space
from train.split import Folding, sample
from train.workers import workers

FEW_SECONDS = 4.0  # for the known pipelines on a few rows, where time ran out before any score
LEADERBOARD = 20  # pipelines
SHORT_NAMES = {"mean_absolute_error": "MAE", "root_mean_squared_error": "RMSE", "r2": "R2"}


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
    best: Measured
    tried: list[Measured]  # every pipeline with a score, in the order of arrival
    history: list[float]  # the best cross-validated score up to each generation
    few_rows: int | None  # that the best one was measured on because time ran out; None for all rows of the search

    @property
    def evaluated(self) -> int:
        """The number of pipelines that got a score."""
        return len(self.tried)


def search(
    features: pd.DataFrame,
    target: pd.Series,
    columns: Columns,
    folding: Folding,
    settings: SearchSettings,
    scale: float = 1.0,
) -> SearchResult:
    """Return the best pipeline found before the time limit, the last generation or Ctrl-C.

    The final fit will be on `scale` times these rows, and is part of the time limit. If time runs out before any
    pipeline is scored, the known ones are measured on a few rows.
    """
    clock = Clock(time.time() + settings.minutes * 60)
    table = Table.of(features, target, folding.task, columns, settings.seed)
    known = known_pipelines(search_space("plain", table), table, settings.scorer)
    with (
        workers(settings.jobs, settings.scheduler) as client,
        SearchBar(settings.minutes, settings.metric) as bar,
        warnings.catch_warnings(),
        clock.stopped_by_ctrl_c(bar),
    ):
        warnings.simplefilter("ignore")  # about candidates
        cv = folding.folds(target)
        evolver = Evolver(
            KnownFirst(
                search_space(settings.space, table),
                known if settings.space in ("plain", "boosting") else [],
                settings.population,
            ),
            clock=clock,
            report=functools.partial(_show, bar, settings),
            client=client,
            rows=client.scatter([features, target, cv], hash=False, broadcast=True),
            scorer=settings.scorer,
            scale=scale * len(target) / len(cv[-1][0]),
            population_size=settings.population,
            generations=settings.generations,
            rng=settings.seed,
        )
        evolver.optimize_in_time()
    if not evolver.tried:
        pipelines = [to_sklearn(each.export_pipeline(), features, target) for each in known]
        return _on_few_rows(features, target, pipelines, folding, settings)
    scores = pd.Series([each.score for each in evolver.tried], [each.generation for each in evolver.tried])
    history = [settings.display(float(score)) for score in scores.groupby(level=0).max().cummax()]
    return SearchResult(best_of(evolver.tried), evolver.tried, history, None)


def leaderboard(result: SearchResult, settings: SearchSettings) -> list[dict[str, object]]:
    """Return the best pipelines that were tried, the best first: steps, cross-validated score, seconds, generation."""
    best = sorted(result.tried, key=lambda each: each.score, reverse=True)[:LEADERBOARD]
    return [
        {
            "pipeline": " -> ".join(type(step).__name__ for _, step in each.pipeline.steps),
            settings.metric: settings.display(each.score),
            "seconds": round(each.seconds, 2),
            "generation": each.generation,
        }
        for each in best
    ]


def _on_few_rows(
    features: pd.DataFrame, target: pd.Series, known: list[Pipeline], folding: Folding, settings: SearchSettings
) -> SearchResult:
    """Measure the known pipelines on at most FEW_ROWS rows; the first, a linear model, takes as long as it takes."""
    if len(features) > FEW_ROWS:
        features, target = sample(features, target, FEW_ROWS, folding.task, settings.seed)
    rows = (features, target, folding.folds(target), settings.scorer)
    first, *others = known
    tried = [measure_alone(first, *rows)]
    end = time.monotonic() + FEW_SECONDS
    for pipeline in others:
        if (left := end - time.monotonic()) > 0:
            with contextlib.suppress(FunctionTimedOut):
                tried.append(func_timeout(left, measure_alone, (pipeline, *rows)))
    best = best_of(tried)
    return SearchResult(best, tried, [settings.display(best.score)], len(features))


def _show(bar: SearchBar, settings: SearchSettings, tried: list[Measured]) -> None:
    """Update the progress bar."""
    bar.show(tried[-1].generation, len(tried), settings.display(best_of(tried).score))
