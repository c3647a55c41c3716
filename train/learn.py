"""From split rows to a fitted pipeline: the search, the fit that is scored, and the one on all rows."""

import dataclasses

import click
from sklearn.pipeline import Pipeline

from train.data import Data
from train.evolver import FINAL_SHARE
from train.features import Columns
from train.measure import fit_in_time, fit_on_all
from train.package import beyond_sklearn
from train.search import SearchResult, SearchSettings, search
from train.split import Split, sample

SEARCH_ROWS = 30_000  # more rows make a search slower and hardly better
MIN_SEARCH_ROWS = 2_000
ROWS_PER_SECOND = 500  # of the time limit; a short search measures little on many rows
NEARLY_ALL = 1.25  # times the sample; up to here, the search uses all rows
MIN_FIT_SECONDS = 10.0  # for the final fit; with a long search, a share of it


@dataclasses.dataclass(frozen=True)
class Trained:
    pipeline: Pipeline
    search: SearchResult
    sample: int | None  # rows that it was fitted on, None for all training rows
    notes: list[str]
    refitted: Pipeline | None  # the same, fitted again on all rows

    @property
    def saved(self) -> Pipeline:
        """The pipeline to save; `pipeline` is the one to score."""
        return self.refitted or self.pipeline


def learn(data: Data, rows: Split, settings: SearchSettings, *, refit_all: bool) -> Trained:
    """Search, on a sample if there are many rows, and fit the best pipeline on all training rows if time allows.

    With `refit_all`, fit it again on all rows, the held-out ones included.
    """
    features, target, notes = rows.train_features, rows.train_target, []
    total = len(features)
    count = int(min(SEARCH_ROWS, max(MIN_SEARCH_ROWS, settings.minutes * 60 * ROWS_PER_SECOND)))
    if total > count * NEARLY_ALL:
        features, target = sample(features, target, count, data.task, settings.seed)
        notes.append(f"The search used a sample of {count:,} of the {total:,} training rows.")
        click.echo(notes[-1])
    optional = [name for name in data.integers if name in features]
    fits = total + (total + len(rows.test_target) if refit_all else 0)
    columns = Columns.of(rows.train_features, optional)
    result = search(features, target, columns, rows.folding, settings, fits / len(features))

    # A fit takes about as many times longer as it has more rows.
    limit = max(MIN_FIT_SECONDS, settings.minutes * 60 * FINAL_SHARE)
    affordable = int((result.few_rows or len(features)) * limit / max(result.best.fit_seconds, 1e-3))
    pipeline, fitted = fit_in_time(
        result.best.pipeline, rows.train_features, rows.train_target, affordable, limit, settings.seed
    )
    said = len(notes)
    if fitted < total:
        notes.append(f"The model is fitted on {fitted:,} of the {total:,} training rows; all would take too long.")
    notes += beyond_sklearn(pipeline)
    refitted = None
    if refit_all and fitted == total:
        refitted = fit_on_all(pipeline, *rows.everything, limit, settings.seed)
    if refitted is not None:
        count = total + len(rows.test_target)
        notes.append(f"The saved model is fitted on all {count:,} rows; the one that is scored, on the training rows.")
    elif refit_all:
        notes.append("The saved model is not fitted on all rows, which would take too long.")
    for note in notes[said:]:
        click.echo(note)
    return Trained(pipeline, result, fitted if fitted < total else None, notes, refitted)
