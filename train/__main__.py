"""`python -m train`: from a table to an MLflow model in a folder and, on request, in a bucket."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launch.processes import exit_on_sigterm
from train.errors import OptionError, TrainError
from train.workers import start_forkserver

if TYPE_CHECKING:
    from train.data import Task
    from train.package import ModelFormat

EXAMPLES = """\b
Examples:
  python -m train --data diabetes --minutes 1 --output model-output
  python -m train --data houses.csv --target price --output model-output --publish gs://my-bucket/houses
  python -m train --data houses.csv --target price --output model-output --register houses --minutes 30
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--data",
    "source",
    required=True,
    metavar="NAME|FILE|bigquery:TABLE",
    help="california, diabetes, breast_cancer; the path of a .csv, .tsv, .jsonl or .parquet file; or "
    "bigquery:PROJECT.DATASET.TABLE.",
)
@click.option("--target", metavar="COLUMN", help="Target column of the file or table.")
@click.option(
    "--read",
    "read_options",
    multiple=True,
    metavar="OPTION=VALUE",
    help="How to read the file: delimiter, encoding, decimal, thousands, dayfirst=true or false, null-marker=TEXT, "
    "number=COLUMN for numbers with a currency, a unit or other texts; repeatable.",
)
@click.option("--exclude", "excluded", multiple=True, metavar="COLUMN", help="Leave out a column; repeatable.")
@click.option(
    "--include", "included", multiple=True, metavar="COLUMN", help="Keep a column that looks like an ID; repeatable."
)
@click.option("--strict", is_flag=True, help="Stop before the search if the check of the data finds anything.")
@click.option(
    "--task", type=click.Choice(["regression", "classification"]), help="Override the task inferred from the target."
)
@click.option("--time", metavar="COLUMN", help="Hold out the last rows by this column, instead of random ones.")
@click.option("--group", metavar="COLUMN", help="Keep rows with the same value together when holding out rows.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Time limit of the search.",
)
@click.option("--generations", type=click.IntRange(min=1), help="Stop the search after this many generations.")
@click.option(
    "--population",
    type=click.IntRange(min=2),
    default=20,
    show_default=True,
    help="Number of pipelines per generation.",
)
@click.option(
    "--scorer",
    metavar="NAME",
    help="scikit-learn scorer to optimize.  [default: neg_mean_absolute_error or neg_log_loss]",
)
@click.option(
    "--search-space",
    "space",
    type=click.Choice(["plain", "boosting", "linear", "linear-light"]),
    default="plain",
    show_default=True,
    help="Space to search: scikit-learn's steps, these with XGBoost and LightGBM, or the TPOT template of this name.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=42,
    show_default=True,
    help="Random seed of the split and the search.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=os.cpu_count(),
    show_default="all cores",
    help="Number of pipelines evaluated in parallel.",
)
@click.option("--dask-scheduler", "scheduler", metavar="tcp://...", help="Address of a Dask cluster to search on.")
@click.option(
    "--format",
    "model_format",
    type=click.Choice(["skops", "cloudpickle"]),
    default="skops",
    show_default=True,
    help="Serialization format of the pipeline.",
)
@click.option("--refit-all", is_flag=True, help="Fit the saved model on all rows, after scoring it on held-out rows.")
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the model, report, script, held-out rows and scores; replaces an earlier run.",
)
@click.option("--register", metavar="NAME", help="Register the model; it becomes the `champion` if it scores best.")
@click.option("--publish", "uri", metavar="gs://BUCKET/PREFIX", help="Upload the model to Cloud Storage.")
def main(
    source: str,
    target: str | None,
    read_options: tuple[str, ...],
    excluded: tuple[str, ...],
    included: tuple[str, ...],
    strict: bool,
    task: "Task | None",
    time: str | None,
    group: str | None,
    minutes: float,
    generations: int | None,
    population: int,
    scorer: str | None,
    space: str,
    seed: int,
    jobs: int,
    scheduler: str | None,
    model_format: "ModelFormat",
    refit_all: bool,
    folder: Path,
    register: str | None,
    uri: str | None,
) -> None:
    """Search for the best pipeline, evaluate it on held-out rows and save it as an MLflow model.

    Ctrl-C ends the search and keeps the best pipeline so far. Runs are tracked in MLFLOW_TRACKING_URI, or in mlflow.db
    in the current folder.

    \b
    Examples:
      python -m train --data diabetes --minutes 1 --output model-output
      python -m train --data orders.csv --target price --output model-output --publish gs://my-bucket/orders
    """
    exit_on_sigterm()
    # Imports that take seconds come as late as possible, so that --help and errors in the options are quick.
    from train.output import output

    if uri is not None:
        from loading.publish import check_bucket

        with _publish_errors(OptionError):
            check_bucket(uri)
    with output(folder) as draft:
        from train.data import Options, load
        from train.sources import parse_reading

        options = Options(parse_reading(read_options), excluded, included, [it for it in (time, group) if it], strict)
        data = load(source, target, task, options)
        if scheduler is None:
            start_forkserver()
        from train.scores import choose_scorer

        scorer = choose_scorer(data, scorer)
        from train.split import split

        rows = split(data, seed, time, group)
        from train.tracking import Tracking

        tracking = Tracking(data.name, register)
        from train.run import run
        from train.search import SearchSettings

        settings = SearchSettings(minutes, generations, population, seed, jobs, scorer, space, scheduler)
        model_uri = uri or str(folder / "model")
        run(data, rows, settings, model_format, draft, model_uri, tracking, refit_all=refit_all)
    click.echo(f"Model: {folder / 'model'}\nReport: {folder / 'report.html'}")
    if uri is not None:
        _publish(folder / "model", uri)


def _publish(model: Path, uri: str) -> None:
    """Upload the model and print how to go on."""
    from loading.publish import publish
    from model_loader import folder_digest

    with _publish_errors(TrainError):
        publish(model, uri)
    digest = folder_digest(model)
    click.echo(f"Published: {uri}\nDigest: {digest}\n\nNext, serve it and write its SQL:")
    click.echo(f"  MODEL_URI={uri} MODEL_DIGEST={digest} .venv/bin/functions-framework --target predict")
    click.echo(f"  .venv/bin/python -m sql.render --model {uri} --help")


@contextlib.contextmanager
def _publish_errors(raised: type[TrainError]) -> Iterator[None]:
    """Raise another error in place of PublishError."""
    from loading.publish import PublishError

    try:
        yield
    except PublishError as error:
        raise raised(str(error)) from error


if __name__ == "__main__":
    main()
