"""One training run, from split rows to the files of the output folder.

model/           the MLflow model
heldout.parquet  the rows that the search never saw, with the target as the last column
scores.json      what was measured on them, and how the model came about
"""

import json
from pathlib import Path

import click
from threadpoolctl import threadpool_limits

from train.data import Data, Split
from train.features import preparation
from train.output import SCORES
from train.package import Format, save
from train.plain import check, plain
from train.scores import baseline, measure, table
from train.search import Settings, search


def run(data: Data, rows: Split, settings: Settings, form: Format, folder: Path) -> None:
    """Search, rewrite, measure and save; the figures go to stdout."""
    # One OpenMP thread, as in the workers: on cores that others use as well, gradient boosting on two threads
    # was seen to take ten times as long as on one, since its threads wait for each other by spinning.
    with threadpool_limits(1):
        _run(data, rows, settings, form, folder)


def _run(data: Data, rows: Split, settings: Settings, form: Format, folder: Path) -> None:
    train, target = rows.train_features, rows.train_target
    found = search(train, target, data.task, preparation(train), settings)
    pipeline = plain(found.pipeline, train).fit(train, target)
    check(pipeline, found.pipeline, found.labels, rows.test_features)

    model = measure(pipeline, rows.test_features, rows.test_target, data.task)
    base = baseline(rows, data.task)
    click.echo(f"{data.name}: {len(train)} rows to learn from, {len(rows.test_features)} held out.")
    if found.score is None:
        click.echo("The time was too short to compare pipelines; this one is known to be strong:")
    else:
        tried = f"{found.pipelines} pipelines in {found.generations} generations"
        click.echo(f"The best of {tried} (cross-validated {found.metric} {found.score:.5g}):")
    click.echo(f"{pipeline}\n")
    click.echo(table(model, base))

    saved = save(pipeline, train, target, folder / "model", form)
    if saved != form:
        click.echo(f"Saved with {saved}: the pipeline holds types that are not loaded from {form} files.", err=True)
    rows.test_features.assign(**{str(target.name): rows.test_target}).to_parquet(
        folder / "heldout.parquet", index=False
    )
    report = {
        "data": data.name,
        "target": str(target.name),
        "task": data.task,
        "rows": {"train": len(train), "heldout": len(rows.test_features)},
        "seed": settings.seed,
        "minutes": settings.minutes,
        "pipelines": found.pipelines,
        "generations": found.generations,
        "model": model,
        "baseline": base,
    }
    (folder / SCORES).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
