"""One training run, from split rows to the files of the output folder.

model/           the MLflow model
pipeline.py      a script that builds and fits the same pipeline
report.html      scores, figures, the pipeline, and the SQL to call it
rows.parquet     all rows of a file or table, as training read them
heldout.parquet  the rows that training never saw, with the target as the last column
scores.json      the scores on those rows, and the details of the run
"""

import dataclasses
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import click
from threadpoolctl import threadpool_limits

from train.data import Data
from train.diagnosis import HeldOut, diagnose
from train.figures import figures
from train.learn import Trained, learn
from train.numbers import number
from train.output import ROWS, SCORES
from train.package import ModelFormat, save
from train.registry import Candidate, register
from train.report import Files, report
from train.scores import Scores, evaluate, fit_baselines, table
from train.script import script
from train.search import SearchResult, SearchSettings, leaderboard
from train.split import Split
from train.tracking import Tracking
from train.verdict import verdict


def run(
    data: Data,
    rows: Split,
    settings: SearchSettings,
    model_format: ModelFormat,
    folder: Path,
    model_uri: str,
    tracking: Tracking,
    *,
    refit_all: bool,
) -> None:
    """Train a model, write the output folder, and track the run; print the results to stdout.

    `model_uri` is where the model will be served from, for the SQL in the report. With `refit_all`, the saved model is
    fitted again on all rows once it is scored.
    """
    # One OpenMP thread, as in the workers: on cores that other processes use too, gradient boosting with two threads
    # took up to ten times as long as with one, because its threads wait for each other by spinning.
    with threadpool_limits(1):
        started = time.monotonic()
        trained = learn(data, rows, settings, refit_all=refit_all)
        models = {"model": trained.pipeline, **fit_baselines(rows, data.task, data.integers)}
        scores = {
            name: evaluate(model, rows.test_features, rows.test_target, data.task) for name, model in models.items()
        }
        errors = {name: values["RMSE"] for name, values in scores.items()} if data.task == "regression" else None
        expected = settings.display(trained.search.best.score)
        found = verdict(models, rows.test_features, rows.test_target, data.task, settings, expected, errors)
        lead = (
            f"{data.name}: {len(rows.train_features):,} training rows, {len(rows.test_features):,} held-out rows"
            f"{', ' + rows.description if rows.column else ''}. "
            f"{_summary(trained.search, settings)}"
        )
        integer_notes = [
            f"{name} holds integers; the model takes it as an optional double, since its values may be missing later."
            for name in data.integers
            if name in rows.train_features
        ]
        click.echo("\n".join([lead, str(trained.pipeline), "", table(scores), "", found.sentence, *integer_notes]))

        details = _details(data, rows, settings, trained, time.monotonic() - started)
        results = scores | {
            "verdict": found.to_dict(),
            "leaderboard": leaderboard(trained.search, settings),
            "data_check": data.card(),
        }
        _write(trained, data, rows, settings, model_format, folder, details, results)
        heldout = HeldOut.of(trained.pipeline, rows, data.task)
        diagnosis = diagnose(trained.pipeline, heldout, settings)
        svgs = figures(heldout, diagnosis, trained.search.history, settings)
        page = report(
            title=f"{data.target.name} of {data.name}",
            lead=lead,
            results=results,
            notes=[*integer_notes, *trained.notes],
            figures=svgs,
            diagnosis=diagnosis,
            loss_name=heldout.loss_name,
            pipeline=trained.pipeline,
            files=Files(folder / "model", model_uri, folder / "heldout.parquet"),
            target=str(data.target.name),
            details=details,
        )
        (folder / "report.html").write_text(page, encoding="utf-8")

        history = (settings.metric, trained.search.history)
        run_id = tracking.log(details, _metrics(scores), history, svgs, folder)
        click.echo(f"Tracked: run {run_id} in {tracking.uri}")
        if tracking.name is not None:
            candidate = Candidate(run_id, trained.pipeline, trained.refitted is not None, found.worse_than_guessing)
            click.echo(register(tracking, candidate, rows, settings))


def _details(data: Data, rows: Split, settings: SearchSettings, trained: Trained, seconds: float) -> dict[str, object]:
    """Return what describes the run in scores.json, the model's metadata, the report and the tracking store."""
    return {
        "data": data.path.name if data.path else data.name,
        "target": str(data.target.name),
        "task": data.task,
        "train_rows": len(rows.train_features),
        "heldout_rows": len(rows.test_features),
        "split": rows.description,
        "refit_all": trained.refitted is not None,
        "seed": settings.seed,
        "minutes": settings.minutes,
        "scorer": settings.scorer,
        "search_space": settings.space,
        "pipelines": trained.search.evaluated,
        "generations": len(trained.search.history),
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
    results: dict[str, Any],
) -> None:
    """Write the model, its script, the held-out rows and the results."""
    learned = dataclasses.replace(data, features=rows.train_features, target=rows.train_target)
    metadata = details | {"scores": results["model"], "reading": data.reading.to_json()}
    saved = save(trained.saved, learned, folder / "model", model_format, metadata)
    if saved != model_format:
        click.echo(
            f"Saved with {saved}: the pipeline holds types that the loader does not trust in {model_format} files.",
            err=True,
        )
    if not data.is_bundled:
        every = data.features.assign(**{str(data.target.name): data.target})
        every.to_parquet(folder / ROWS, index=False)
    heldout = rows.test_features.assign(**{str(data.target.name): rows.test_target})
    heldout.to_parquet(folder / "heldout.parquet", index=False)
    source = script(trained.saved, data, rows, settings.seed, trained.sample, refit_all=trained.refitted is not None)
    (folder / "pipeline.py").write_text(source, encoding="utf-8")
    text = json.dumps(details | results, indent=2, ensure_ascii=False)
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
    if result.few_rows:
        return (
            f"The search was too short for all rows; the best of {result.evaluated} known pipelines, measured on "
            f"{result.few_rows:,} rows (cross-validated {settings.metric} {number(result.history[-1])})."
        )
    count = len(result.history)
    searched = f"{result.evaluated} pipelines in {count} generation{'s' if count > 1 else ''}"
    return f"The best of {searched} (cross-validated {settings.metric} {number(result.history[-1])})."


def _commit() -> str | None:
    """Return the commit of this code, marked if files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
