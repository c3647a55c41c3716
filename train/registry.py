"""Registers a run's model. It becomes the champion if it scores better than the current one on the held-out rows.

A model is never scored on rows that it was fitted on. Each run keeps the hashes of the rows that its saved model was
fitted on. The new model is compared as it was before a refit on all rows. If the champion was fitted on some of these
held-out rows, because it was refitted or had another seed, its pipeline is fitted anew on this run's training rows.
"""

import contextlib
import dataclasses
import tempfile
import warnings
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from sklearn.pipeline import Pipeline

from loading.causes import root_cause
from train.evolver import FINAL_SHARE
from train.measure import fit_on_all, score
from train.search import SearchSettings
from train.split import Split
from train.tracking import Tracking

CHAMPION = "champion"
FITTED_ROWS = "fitted_rows.npy"  # in a run's artifacts: a 64-bit hash of each row
REFIT_TAG = "refit_all"  # of a version: the fingerprint of all rows that it was fitted on
MIN_SECONDS = 60.0  # for fitting the champion's pipeline


@dataclasses.dataclass(frozen=True)
class Candidate:
    run: str
    model: Pipeline  # fitted on the training rows
    refit_all: bool  # whether the saved model is fitted on all rows
    worse_than_guessing: bool


def register(tracking: Tracking, candidate: Candidate, split: Split, settings: SearchSettings) -> str:
    """Register the candidate's model, and return a sentence that says whether it becomes the champion."""
    client, name = tracking.client, tracking.name
    trained = _hashes(split.train_features, split.train_target)
    heldout = _hashes(split.test_features, split.test_target)
    with tracking.store_errors():
        fitted = np.concatenate([trained, heldout]) if candidate.refit_all else trained
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / FITTED_ROWS, fitted)
            client.log_artifact(candidate.run, str(Path(folder) / FITTED_ROWS))
        with contextlib.suppress(MlflowException):  # it exists
            client.create_registered_model(name)
        tags = {REFIT_TAG: _fingerprint(fitted)} if candidate.refit_all else {}
        source = client.get_run(candidate.run).info.artifact_uri + "/model"
        version = client.create_model_version(name, source, candidate.run, tags).version
        if candidate.worse_than_guessing:
            kept = f"worse than guessing, it doesn't become the {CHAMPION}"
            return f"Registered {name} version {version}; {kept}."
        try:
            champion = client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException:
            client.set_registered_model_alias(name, CHAMPION, version)
            return f"{name} version {version} is the first {CHAMPION}."
    kept = f"Registered {name} version {version}; version {champion.version} remains the {CHAMPION}"
    new = score(candidate.model, split.test_features, split.test_target, settings.scorer)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = _load(tracking, champion.version)
            known = np.isin(heldout, _fitted_rows(tracking, champion.run_id)).any()
            how = ""
            if known:
                model = _fitted_anew(model, split, settings)
                how = f", version {champion.version} fitted anew on this run's training rows"
            if model is None:
                return f"{kept}: it was fitted on some of these held-out rows, and fitting it anew takes too long."
            old = score(model, split.test_features, split.test_target, settings.scorer)
    except Exception as error:  # a model with other columns, flavor or versions fails in many ways
        return f"{kept}, but it cannot score these rows: {root_cause(error)}."
    scores = f"{settings.metric} {settings.display(new):.5g} against {settings.display(old):.5g} on held-out rows{how}"
    if new <= old:
        return f"{kept}: {scores}."
    with tracking.store_errors():
        client.set_registered_model_alias(name, CHAMPION, version)
    return f"{name} version {version} replaces version {champion.version} as the {CHAMPION}: {scores}."


def _load(tracking: Tracking, version: str) -> Any:
    """Return a registered scikit-learn model."""
    uri = tracking.client.get_model_version_download_uri(tracking.name, version)
    return mlflow.sklearn.load_model(download_artifacts(artifact_uri=uri, tracking_uri=tracking.uri))


def _fitted_anew(model: Pipeline, split: Split, settings: SearchSettings) -> Pipeline | None:
    """Return a copy of the pipeline, fitted on this run's training rows; None if that takes too long."""
    seconds = max(MIN_SECONDS, settings.minutes * 60 * FINAL_SHARE)
    return fit_on_all(model, split.train_features, split.train_target, seconds, settings.seed)


def _fitted_rows(tracking: Tracking, run: str) -> np.ndarray:
    """Return the hashes of the rows that a run's model was fitted on; none if it kept none."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Exception):  # stores differ in what they raise
        path = tracking.client.download_artifacts(run, FITTED_ROWS, folder)
        return np.asarray(np.load(path))
    return np.empty(0, np.uint64)


def _hashes(features: pd.DataFrame, target: pd.Series) -> np.ndarray:
    """Return a hash of each row that depends on its values alone."""
    rows = features.reindex(columns=sorted(features.columns)).assign(**{"": target.to_numpy()})
    return np.asarray(pd.util.hash_pandas_object(rows, index=False), np.uint64)


def _fingerprint(hashes: np.ndarray) -> str:
    """Return a hash of rows in any order."""
    return f"{len(hashes)}-{int(hashes.sum(dtype=np.uint64)):016x}"
