"""Logs a run to MLflow's tracking store.

The store is contacted before the search starts, so an unreachable store cannot cost a finished search.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from loading.causes import root_cause
from train.errors import TrainError

DEFAULT_STORE = "sqlite:///mlflow.db"
# By default MLflow makes seven attempts with growing pauses, which takes minutes.
REQUEST_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
MAX_PARAMETER_LENGTH = 6000  # characters


class Tracking:
    """An experiment in the tracking store of MLFLOW_TRACKING_URI; `register` names a model in its registry."""

    def __init__(self, experiment: str, register: str | None) -> None:
        for name, value in REQUEST_LIMITS.items():
            os.environ.setdefault(name, value)
        self.uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_STORE)
        self.name = register
        logging.getLogger("mlflow").setLevel(logging.ERROR)  # it logs every table it creates
        logging.getLogger("alembic").setLevel(logging.ERROR)
        with self.store_errors():
            self.client = MlflowClient(self.uri)
            existing = self.client.get_experiment_by_name(experiment)
            self.experiment = (
                existing.experiment_id if existing else self.client.create_experiment(experiment, self._artifacts())
            )
            if register is not None:
                self.client.search_registered_models(max_results=1)

    def _artifacts(self) -> str | None:
        """Return where artifacts go: beside a SQLite file; None leaves it to a tracking server."""
        if not self.uri.startswith("sqlite:///"):
            return None
        return Path(self.uri.removeprefix("sqlite:///")).absolute().with_name("mlruns").as_uri()

    def log(
        self,
        parameters: Mapping[str, object],
        metrics: Mapping[str, float],
        history: tuple[str, list[float]],
        figures: Mapping[str, str],
        folder: Path,
    ) -> str:
        """Log a run with all files of the folder and return its id.

        `history` is a metric's name and its best value up to each generation; `figures` are SVG by title.
        """
        metric, scores = history
        values = [Metric(name.replace(" ", "_"), value, 0, 0) for name, value in metrics.items()]
        values += [Metric(f"search_{metric}".replace(" ", "_"), score, 0, step) for step, score in enumerate(scores, 1)]
        texts = [Param(name, str(value)[:MAX_PARAMETER_LENGTH]) for name, value in parameters.items()]
        with self.store_errors():
            run = self.client.create_run(self.experiment).info.run_id
            try:
                self.client.log_batch(run, values, texts)
                self.client.log_artifacts(run, str(folder))
                for title, svg in figures.items():
                    with _temporary(folder.parent / f"{title.lower().replace(' ', '_')}.svg", svg) as path:
                        self.client.log_artifact(run, str(path), "pictures")
                self.client.set_terminated(run)
            except BaseException:
                self.client.set_terminated(run, "FAILED")
                raise
        return str(run)

    @contextlib.contextmanager
    def store_errors(self) -> Iterator[None]:
        """Raise TrainError in place of any exception of the store."""
        try:
            yield
        except Exception as error:  # of MLflow, SQLAlchemy or requests, depending on the store
            raise TrainError(
                f"The MLflow store {self.uri!r} cannot be used: {root_cause(error)}. "
                "Start it, or set MLFLOW_TRACKING_URI to another one."
            ) from error


@contextlib.contextmanager
def _temporary(path: Path, content: str) -> Iterator[Path]:
    """Create a file with this content for the length of a `with` block."""
    path.write_text(content, encoding="utf-8")
    try:
        yield path
    finally:
        path.unlink()
