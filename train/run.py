"""One training run, from split rows to the files of the output folder.

model/           the MLflow model
pipeline.py      a script that builds and fits the same pipeline
report.html      what to look at
heldout.parquet  the rows that the search never saw, with the target as the last column
scores.json      what was measured on them, and how the model came about
"""

import dataclasses
import json
import subprocess
import time
from pathlib import Path

import click
from threadpoolctl import threadpool_limits

from train.data import Data, Split
from train.features import preparation
from train.figures import figures
from train.output import SCORES
from train.package import Format, save
from train.plain import check, plain
from train.report import report
from train.scores import beside, measure, table
from train.script import script
from train.search import Found, Settings, search
from train.tracking import Tracking

SEARCH_ROWS = 30_000  # more of them make a search slower and hardly better
MOST_SECONDS = 60.0  # that fitting on all rows may take, or as long as the search if that is longer


def run(
    data: Data, rows: Split, settings: Settings, form: Format, folder: Path, shown_as: str, tracking: Tracking
) -> None:
    """Search, rewrite, measure, save and track; the figures go to stdout."""
    # One OpenMP thread, as in the workers: on cores that others use as well, gradient boosting on two threads
    # was seen to take ten times as long as on one, since its threads wait for each other by spinning.
    with threadpool_limits(1):
        _run(data, rows, settings, form, folder, shown_as, tracking)


def _run(
    data: Data, rows: Split, settings: Settings, form: Format, folder: Path, shown_as: str, tracking: Tracking
) -> None:
    started = time.monotonic()
    notes = [
        f"{name} holds whole numbers; it is an optional double of the model, since a gap makes doubles of them."
        for name in data.integers
    ]
    sample = len(rows.train_features) > SEARCH_ROWS
    features = rows.train_features.sample(SEARCH_ROWS, random_state=settings.seed) if sample else rows.train_features
    target = rows.train_target[features.index]
    if sample:
        notes.append(f"The search saw a sample of {SEARCH_ROWS:,} of the {len(rows.train_features):,} training rows.")
        click.echo(notes[-1])
    found = search(features, target, data.task, preparation(features, data.integers), settings)

    begin = time.monotonic()
    pipeline = plain(found.pipeline, features).fit(features, target)
    seconds = time.monotonic() - begin
    check(pipeline, found.pipeline, found.labels, rows.test_features[:SEARCH_ROWS])
    if sample:
        expected = seconds * len(rows.train_features) / SEARCH_ROWS
        sample = expected > max(MOST_SECONDS, settings.minutes * 60)
        notes.append(
            f"The model is fitted on the sample alone: all rows would take about {expected / 60:.0f} minutes."
            if sample
            else "The model is fitted on all training rows."
        )
        click.echo(notes[-1])
        pipeline = pipeline if sample else pipeline.fit(rows.train_features, rows.train_target)

    scores = {
        "model": measure(pipeline, rows.test_features, rows.test_target, data.task),
        **beside(rows, data.task, data.integers),
    }
    lead = (
        f"{data.name}: {len(rows.train_features):,} rows to learn from, {len(rows.test_features):,} held out. "
        f"{_result(found, settings)}"
    )
    click.echo(f"{lead}\n{pipeline}\n\n{table(scores)}")
    for note in notes[: len(data.integers)]:
        click.echo(note)

    facts = {
        "data": data.path.name if data.path else data.name,
        "target": str(data.target.name),
        "task": data.task,
        "train_rows": len(rows.train_features),
        "heldout_rows": len(rows.test_features),
        "seed": settings.seed,
        "minutes": settings.minutes,
        "scorer": settings.scorer,
        "search_space": settings.space,
        "pipelines": found.pipelines,
        "generations": len(found.history),
        "seconds": round(time.monotonic() - started, 1),
        "git_commit": _commit(),
    }
    metadata = facts | {"scores": scores["model"]}
    trained = dataclasses.replace(data, features=rows.train_features, target=rows.train_target)
    saved = save(pipeline, trained, folder / "model", form, metadata)
    if saved != form:
        click.echo(f"Saved with {saved}: the pipeline holds types that are not loaded from {form} files.", err=True)
    held_out = rows.test_features.assign(**{str(data.target.name): rows.test_target})
    held_out.to_parquet(folder / "heldout.parquet", index=False)
    fitted_on = SEARCH_ROWS if sample else None
    (folder / "pipeline.py").write_text(script(pipeline, data, settings.seed, fitted_on), encoding="utf-8")
    (folder / SCORES).write_text(json.dumps(facts | scores, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    pictures = figures(pipeline, rows, data.task, found.history, settings)
    page = report(
        title=f"{data.target.name} of {data.name}",
        lead=lead,
        scores=scores,
        notes=notes,
        pictures=pictures,
        pipeline=pipeline,
        model=folder / "model",
        shown_as=shown_as,
        target=str(data.target.name),
        facts=facts,
    )
    (folder / "report.html").write_text(page, encoding="utf-8")

    measured = {
        f"{model}_{name}" if model != "model" else name: v for model, m in scores.items() for name, v in m.items()
    }
    run_id = tracking.log(facts, measured, (settings.metric, found.history), pictures, folder)
    click.echo(f"Tracked: run {run_id} in {tracking.uri}")
    if tracking.name is not None:
        click.echo(tracking.register(run_id, pipeline, rows, settings))


def _result(found: Found, settings: Settings) -> str:
    """Return in a sentence what the search came to."""
    if not found.history:
        return "The time was too short to compare pipelines; this one is known to be strong."
    count = len(found.history)
    tried = f"{found.pipelines} pipelines in {count} generation{'s' if count > 1 else ''}"
    return f"The best of {tried} (cross-validated {settings.metric} {found.history[-1]:.5g})."


def _commit() -> str | None:
    """Return the commit of the code that trains, marked when files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
