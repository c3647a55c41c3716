"""One training run, from split rows to the files of the output folder.

model/           the MLflow model
pipeline.py      a script that builds and fits the same pipeline
report.html      scores, figures, the pipeline, and the SQL to call it
heldout.parquet  the rows that training never saw, with the target as the last column
scores.json      the scores on those rows, and the details of the run
"""

import dataclasses
import json
import subprocess
import time
from pathlib import Path

import click
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from train.data import Data, Split
from train.features import preprocessor
from train.figures import figures
from train.output import SCORES
from train.package import ModelFormat, save
from train.report import report
from train.rewrite import check_predictions, to_sklearn
from train.scores import Scores, evaluate, evaluate_baselines, table
from train.script import script
from train.search import SearchResult, SearchSettings, search
from train.tracking import Tracking

SEARCH_ROWS = 30_000  # more rows make a search slower and hardly better
MAX_FIT_SECONDS = 60.0  # for the final fit on all rows, unless the search takes longer


@dataclasses.dataclass(frozen=True)
class Trained:
    pipeline: Pipeline
    search: SearchResult
    sample: int | None  # rows that it was fitted on, None for all training rows
    notes: list[str]


def run(
    data: Data,
    rows: Split,
    settings: SearchSettings,
    model_format: ModelFormat,
    folder: Path,
    model_uri: str,
    tracking: Tracking,
) -> None:
    """Train a model, write the output folder, and track the run; print the results to stdout.

    `model_uri` is where the model will be served from, for the SQL in the report.
    """
    # One OpenMP thread, as in the workers: on cores that other processes use too, gradient boosting with two threads
    # took up to ten times as long as with one, because its threads wait for each other by spinning.
    with threadpool_limits(1):
        started = time.monotonic()
        trained = train(data, rows, settings)
        scores = {
            "model": evaluate(trained.pipeline, rows.test_features, rows.test_target, data.task),
            **evaluate_baselines(rows, data.task, data.integers),
        }
        lead = (
            f"{data.name}: {len(rows.train_features):,} training rows, {len(rows.test_features):,} held-out rows. "
            f"{_summary(trained.search, settings)}"
        )
        integer_notes = [
            f"{name} holds integers; the model takes it as an optional double, since its values may be missing later."
            for name in data.integers
        ]
        click.echo("\n".join([lead, str(trained.pipeline), "", table(scores), *integer_notes]))

        details = _details(data, rows, settings, trained.search, time.monotonic() - started)
        _write(trained, data, rows, settings, model_format, folder, details, scores)
        pngs = figures(trained.pipeline, rows, data.task, trained.search.history, settings)
        page = report(
            title=f"{data.target.name} of {data.name}",
            lead=lead,
            scores=scores,
            notes=[*integer_notes, *trained.notes],
            figures=pngs,
            pipeline=trained.pipeline,
            model=folder / "model",
            model_uri=model_uri,
            target=str(data.target.name),
            details=details,
        )
        (folder / "report.html").write_text(page, encoding="utf-8")

        history = (settings.metric, trained.search.history)
        run_id = tracking.log(details, _metrics(scores), history, pngs, folder)
        click.echo(f"Tracked: run {run_id} in {tracking.uri}")
        if tracking.name is not None:
            click.echo(tracking.register(run_id, trained.pipeline, rows, settings))


def train(data: Data, rows: Split, settings: SearchSettings) -> Trained:
    """Search on at most SEARCH_ROWS rows, rewrite the best pipeline, and fit it on all rows if time allows."""
    features, target, notes = rows.train_features, rows.train_target, []
    total = len(features)
    if total > SEARCH_ROWS:
        features = features.sample(SEARCH_ROWS, random_state=settings.seed)
        target = target[features.index]
        notes.append(f"The search used a sample of {SEARCH_ROWS:,} of the {total:,} training rows.")
        click.echo(notes[-1])
    result = search(features, target, data.task, preprocessor(features, data.integers), settings)

    started = time.monotonic()
    pipeline = to_sklearn(result.pipeline, features).fit(features, target)
    seconds = time.monotonic() - started
    check_predictions(pipeline, result.pipeline, result.labels, rows.test_features[:SEARCH_ROWS])
    if total <= SEARCH_ROWS:
        return Trained(pipeline, result, None, notes)

    expected = seconds * total / SEARCH_ROWS
    if expected > max(MAX_FIT_SECONDS, settings.minutes * 60):
        notes.append(f"The model is fitted on the sample only: all rows would take about {expected / 60:.0f} minutes.")
        click.echo(notes[-1])
        return Trained(pipeline, result, SEARCH_ROWS, notes)
    notes.append("The model is fitted on all training rows.")
    click.echo(notes[-1])
    return Trained(pipeline.fit(rows.train_features, rows.train_target), result, None, notes)


def _details(
    data: Data, rows: Split, settings: SearchSettings, result: SearchResult, seconds: float
) -> dict[str, object]:
    """Return what describes the run in scores.json, the model's metadata, the report and the tracking store."""
    return {
        "data": data.path.name if data.path else data.name,
        "target": str(data.target.name),
        "task": data.task,
        "train_rows": len(rows.train_features),
        "heldout_rows": len(rows.test_features),
        "seed": settings.seed,
        "minutes": settings.minutes,
        "scorer": settings.scorer,
        "search_space": settings.space,
        "pipelines": result.evaluated,
        "generations": len(result.history),
        "seconds": round(seconds, 1),
        "git_commit": _commit(),
    }


def _write(
    trained: Trained,
    data: Data,
    rows: Split,
    settings: SearchSettings,
    model_format: ModelFormat,
    folder: Path,
    details: dict[str, object],
    scores: dict[str, Scores],
) -> None:
    """Write the model, its script, the held-out rows and the scores."""
    learned = dataclasses.replace(data, features=rows.train_features, target=rows.train_target)
    saved = save(trained.pipeline, learned, folder / "model", model_format, details | {"scores": scores["model"]})
    if saved != model_format:
        click.echo(
            f"Saved with {saved}: the pipeline holds types that the loader does not trust in {model_format} files.",
            err=True,
        )
    heldout = rows.test_features.assign(**{str(data.target.name): rows.test_target})
    heldout.to_parquet(folder / "heldout.parquet", index=False)
    source = script(trained.pipeline, data, settings.seed, trained.sample)
    (folder / "pipeline.py").write_text(source, encoding="utf-8")
    text = json.dumps(details | scores, indent=2, ensure_ascii=False)
    (folder / SCORES).write_text(text + "\n", encoding="utf-8")


def _metrics(scores: dict[str, Scores]) -> dict[str, float]:
    """Return the scores by one name each; those of the baselines begin with the baseline's name."""
    return {
        measure if model == "model" else f"{model}_{measure}": value
        for model, measures in scores.items()
        for measure, value in measures.items()
    }


def _summary(result: SearchResult, settings: SearchSettings) -> str:
    """Return the outcome of the search in a sentence."""
    if not result.history:
        return "The search was too short to compare pipelines; this one does well on most data."
    count = len(result.history)
    searched = f"{result.evaluated} pipelines in {count} generation{'s' if count > 1 else ''}"
    return f"The best of {searched} (cross-validated {settings.metric} {result.history[-1]:.5g})."


def _commit() -> str | None:
    """Return the commit of this code, marked if files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
