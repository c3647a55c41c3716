"""`python -m train`: from a table to an MLflow model in a folder, and into a bucket when asked."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click

from train.errors import TrainError
from train.workers import prepare


@click.command()
@click.option(
    "--data", "source", required=True, help="california, diabetes, breast_cancer, or a .csv or .parquet file."
)
@click.option("--target", help="The column of the file that the model shall predict.")
@click.option(
    "--task", type=click.Choice(["regression", "classification"]), help="Instead of what the target looks like."
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="For the search.",
)
@click.option(
    "--generations",
    type=click.IntRange(min=1),
    help="End the search after so many generations, if there is time for them.",
)
@click.option(
    "--population",
    type=click.IntRange(min=2),
    default=20,
    show_default=True,
    help="Pipelines per generation.",
)
@click.option("--scorer", help="What the search optimizes, by its name in scikit-learn.")
@click.option(
    "--search-space",
    "space",
    type=click.Choice(["plain", "linear", "linear-light"]),
    default="plain",
    show_default=True,
    help="What is searched: scikit-learn's steps, or TPOT's template of this name.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=42,
    show_default=True,
    help="For the split and the search.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=os.cpu_count(),
    show_default="all cores",
    help="Pipelines at a time.",
)
@click.option("--dask-scheduler", "scheduler", metavar="tcp://...", help="An existing Dask cluster to search on.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["skops", "cloudpickle"]),
    default="skops",
    show_default=True,
    help="How the pipeline is saved.",
)
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the model, its report and script, the held-out rows and the scores.",
)
@click.option("--register", metavar="NAME", help="Register the model; the better one is the `champion`.")
@click.option("--publish", "uri", help="gs://BUCKET/PREFIX to upload the model to.")
def main(
    source: str,
    target: str | None,
    task: Literal["regression", "classification"] | None,
    minutes: float,
    generations: int | None,
    population: int,
    scorer: str | None,
    space: str,
    seed: int,
    jobs: int,
    scheduler: str | None,
    form: Literal["skops", "cloudpickle"],
    folder: Path,
    register: str | None,
    uri: str | None,
) -> None:
    """Search for the best pipeline, measure it on held-out rows and save it as an MLflow model.

    Ctrl-C ends the search and keeps the best pipeline so far. Runs are tracked in MLFLOW_TRACKING_URI, else in
    mlflow.db in the current folder.
    """
    # Imported here and below, so that --help and a wrong call are answered at once.
    from train.data import load, split
    from train.output import output

    if uri is not None:
        from loading.publish import check_bucket

        with _publish_errors():
            check_bucket(uri)
    with output(folder) as draft:
        data = load(source, target, task)
        if scheduler is None:
            prepare()
        from train.scores import scorer_for

        scorer = scorer_for(data, scorer)
        rows = split(data, seed)
        from train.tracking import Tracking

        tracking = Tracking(data.name, register)
        from train.run import run
        from train.search import Settings

        settings = Settings(minutes, generations, population, seed, jobs, scorer, space, scheduler)
        run(data, rows, settings, form, draft, uri or str(folder / "model"), tracking)
    click.echo(f"Model: {folder / 'model'}\nReport: {folder / 'report.html'}")
    if uri is not None:
        from loading.publish import publish
        from model_loader import folder_digest

        with _publish_errors():
            publish(folder / "model", uri)
        digest = folder_digest(folder / "model")
        click.echo(f"Published: {uri}\nDigest: {digest}\n\nNext, serve it and write its SQL:")
        click.echo(f"  MODEL_URI={uri} MODEL_DIGEST={digest} functions-framework --target predict")
        click.echo(f"  python -m sql.render --model {uri} --help")


@contextlib.contextmanager
def _publish_errors() -> Iterator[None]:
    """Raise TrainError in place of PublishError."""
    from loading.publish import PublishError

    try:
        yield
    except PublishError as error:
        raise TrainError(str(error)) from error


if __name__ == "__main__":
    main()
