"""A run in MLflow's tracking store, and a version in its registry when asked for.

Rule: the store is reached before the search starts, so that a run does not end at a store that is down. A version
becomes the champion only when it scores better than the present one on the same held-out rows.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import mlflow.sklearn
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from loading.causes import root_cause
from train.data import Split
from train.errors import TrainError
from train.search import Settings

CHAMPION = "champion"
DEFAULT_STORE = "sqlite:///mlflow.db"
# MLflow tries seven times with growing pauses, which takes minutes.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
LONGEST_PARAMETER = 6000  # characters


class Tracking:
    """A tracking store with an experiment for this data."""

    def __init__(self, experiment: str, register: str | None) -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        self.uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_STORE)
        self.name = register
        logging.getLogger("mlflow").setLevel(logging.ERROR)  # it reports each table that it makes
        logging.getLogger("alembic").setLevel(logging.ERROR)
        with self._reaching():
            self.client = MlflowClient(self.uri)
            found = self.client.get_experiment_by_name(experiment)
            # Beside the SQLite file; a server knows its own place for files.
            file = Path(self.uri.removeprefix("sqlite:///")).absolute()
            place = file.with_name("mlruns").as_uri() if self.uri.startswith("sqlite:///") else None
            self.experiment = found.experiment_id if found else self.client.create_experiment(experiment, place)
            if register is not None:
                self.client.search_registered_models(max_results=1)

    def log(
        self,
        parameters: Mapping[str, object],
        metrics: Mapping[str, float],
        history: tuple[str, list[float]],
        pictures: Mapping[str, bytes],
        folder: Path,
    ) -> str:
        """Log a run, with the model and all else in the folder, and return its id."""
        metric, scores = history
        values = [Metric(name.replace(" ", "_"), value, 0, 0) for name, value in metrics.items()]
        values += [Metric(f"search_{metric}".replace(" ", "_"), score, 0, step) for step, score in enumerate(scores, 1)]
        written = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in parameters.items()]
        with self._reaching():
            run = self.client.create_run(self.experiment).info.run_id
            try:
                self.client.log_batch(run, values, written)
                self.client.log_artifacts(run, str(folder))
                for title, png in pictures.items():
                    with _file(folder.parent / f"{title.lower().replace(' ', '_')}.png", png) as path:
                        self.client.log_artifact(run, str(path), "pictures")
                self.client.set_terminated(run)
            except BaseException:
                self.client.set_terminated(run, "FAILED")
                raise
        return str(run)

    def register(self, run: str, model: Pipeline, split: Split, settings: Settings) -> str:
        """Register the run's model, make it the champion if it is the best, and say either way what was done."""
        with self._reaching():
            with contextlib.suppress(MlflowException):  # it is there
                self.client.create_registered_model(self.name)
            source = self.client.get_run(run).info.artifact_uri + "/model"
            version = self.client.create_model_version(self.name, source, run).version
            try:
                champion = self.client.get_model_version_by_alias(self.name, CHAMPION)
            except MlflowException:
                self.client.set_registered_model_alias(self.name, CHAMPION, version)
                return f"{self.name} version {version} is the first {CHAMPION}."
        scorer = get_scorer(settings.scorer)
        new = scorer(model, split.test_features, split.test_target)
        this, that = f"{self.name} version {version}", f"version {champion.version}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                place = self.client.get_model_version_download_uri(self.name, champion.version)
                folder = download_artifacts(artifact_uri=place, tracking_uri=self.uri)
                present = mlflow.sklearn.load_model(folder)
                old = scorer(present, split.test_features, split.test_target)
        except Exception as error:  # a model of other columns, flavor or versions fails in many ways
            reason = root_cause(error)
            return f"{this} was registered; {that} stays the {CHAMPION}, as it cannot score these rows: {reason}."
        figures = f"{settings.metric} {settings.shown(new):.5g} against {settings.shown(old):.5g} on the held-out rows"
        if new <= old:
            return f"{this} was registered; {that} stays the {CHAMPION}: {figures}."
        with self._reaching():
            self.client.set_registered_model_alias(self.name, CHAMPION, version)
        return f"{this} is the new {CHAMPION} instead of {that}: {figures}."

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Turn whatever goes wrong with the store into a sentence."""
        try:
            yield
        except Exception as error:  # of MLflow, SQLAlchemy or requests, by the kind of store
            raise TrainError(
                f"The MLflow store {self.uri!r} cannot be used: {root_cause(error)}. "
                "Start it, or set MLFLOW_TRACKING_URI to another."
            ) from error


@contextlib.contextmanager
def _file(path: Path, content: bytes) -> Iterator[Path]:
    """Give a file with this content for a while."""
    path.write_bytes(content)
    try:
        yield path
    finally:
        path.unlink()
