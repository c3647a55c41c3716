"""Logs a run to MLflow's tracking store and, on request, registers its model.

The store is contacted before the search starts, so an unreachable store cannot cost a finished search. A version
becomes the champion only if it scores better than the current champion on the same held-out rows.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow.sklearn
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from loading.causes import root_cause
from train.errors import TrainError
from train.search import SearchSettings
from train.split import Split

CHAMPION = "champion"
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
        with self._store_errors():
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
        figures: Mapping[str, bytes],
        folder: Path,
    ) -> str:
        """Log a run with all files of the folder and return its id.

        `history` is a metric's name and its best value up to each generation; `figures` are PNG bytes by title.
        """
        metric, scores = history
        values = [Metric(name.replace(" ", "_"), value, 0, 0) for name, value in metrics.items()]
        values += [Metric(f"search_{metric}".replace(" ", "_"), score, 0, step) for step, score in enumerate(scores, 1)]
        texts = [Param(name, str(value)[:MAX_PARAMETER_LENGTH]) for name, value in parameters.items()]
        with self._store_errors():
            run = self.client.create_run(self.experiment).info.run_id
            try:
                self.client.log_batch(run, values, texts)
                self.client.log_artifacts(run, str(folder))
                for title, png in figures.items():
                    with _temporary(folder.parent / f"{title.lower().replace(' ', '_')}.png", png) as path:
                        self.client.log_artifact(run, str(path), "pictures")
                self.client.set_terminated(run)
            except BaseException:
                self.client.set_terminated(run, "FAILED")
                raise
        return str(run)

    def register(
        self, run: str, model: Pipeline, split: Split, settings: SearchSettings, *, worse_than_guessing: bool
    ) -> str:
        """Register the run's model, make it the champion if it scores best, and return a sentence that says so.

        A model that is `worse_than_guessing` never becomes the champion.
        """
        with self._store_errors():
            with contextlib.suppress(MlflowException):  # it exists
                self.client.create_registered_model(self.name)
            source = self.client.get_run(run).info.artifact_uri + "/model"
            version = self.client.create_model_version(self.name, source, run).version
            if worse_than_guessing:
                kept = f"worse than guessing, it doesn't become the {CHAMPION}"
                return f"Registered {self.name} version {version}; {kept}."
            try:
                champion = self.client.get_model_version_by_alias(self.name, CHAMPION).version
            except MlflowException:
                self.client.set_registered_model_alias(self.name, CHAMPION, version)
                return f"{self.name} version {version} is the first {CHAMPION}."
        kept = f"Registered {self.name} version {version}; version {champion} remains the {CHAMPION}"
        scorer = get_scorer(settings.scorer)
        new = scorer(model, split.test_features, split.test_target)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                old = scorer(self._load(champion), split.test_features, split.test_target)
        except Exception as error:  # a model with other columns, flavor or versions fails in many ways
            return f"{kept}, but it cannot score these rows: {root_cause(error)}."
        scores = f"{settings.metric} {settings.display(new):.5g} against {settings.display(old):.5g} on held-out rows"
        if new <= old:
            return f"{kept}: {scores}."
        with self._store_errors():
            self.client.set_registered_model_alias(self.name, CHAMPION, version)
        return f"{self.name} version {version} replaces version {champion} as the {CHAMPION}: {scores}."

    def _load(self, version: str) -> Any:
        """Return a registered scikit-learn model."""
        uri = self.client.get_model_version_download_uri(self.name, version)
        return mlflow.sklearn.load_model(download_artifacts(artifact_uri=uri, tracking_uri=self.uri))

    @contextlib.contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Raise TrainError in place of any exception of the store."""
        try:
            yield
        except Exception as error:  # of MLflow, SQLAlchemy or requests, depending on the store
            raise TrainError(
                f"The MLflow store {self.uri!r} cannot be used: {root_cause(error)}. "
                "Start it, or set MLFLOW_TRACKING_URI to another one."
            ) from error


@contextlib.contextmanager
def _temporary(path: Path, content: bytes) -> Iterator[Path]:
    """Create a file with this content for the length of a `with` block."""
    path.write_bytes(content)
    try:
        yield path
    finally:
        path.unlink()
