"""Everything that is wrong with a model's files, as far as it shows before any of them is deserialized.

A model may have several faults that have nothing to do with each other. Whoever saved it should hear of all at once.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loading.failures import git_lfs_pointers, loading_errors, missing, pointers_instead
from loading.flavors import check_trusted, named_files
from loading.mlmodel import read_mlmodel
from loading.signature import read_signature
from serving.errors import ModelBlocked, ModelUnusable, describe_error, join_names


class Faults:
    """Collects what is wrong with the model at a URI, to raise all of it as one error."""

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder = folder
        self._uri = uri
        self._errors: list[ModelUnusable] = []

    @property
    def reasons(self) -> list[str]:
        """A sentence or two for each fault."""
        return list(dict.fromkeys(reason for error in self._errors for reason in error.reasons))

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Collect what the block raises about the model's files; go on after the block."""
        try:
            with loading_errors(self._folder, self._uri):
                yield
        except ModelUnusable as error:
            self._errors.append(error)

    def raise_any(self) -> None:
        """Raise ModelUnusable if there is any fault."""
        if not self._errors:
            return
        for error in self._errors:
            if isinstance(error, ModelBlocked):  # it may load later, whatever else this try found
                raise error
        first, *others = self.reasons
        if not others:
            raise self._errors[0]
        # An error that BigQuery shows is short.
        told = [reason.replace(f"The model at {self._uri} ", "It ", 1) for reason in others]
        raise ModelUnusable(" ".join([first, *told]), [first, *others]) from self._errors[0]


def find_faults(folder: Path, uri: str) -> Faults:
    """Return the faults that show in the project's own environment, without the packages that the model needs."""
    faults = Faults(folder, uri)
    with faults.collected():
        collect_faults(folder, read_mlmodel(folder, uri), uri, faults)
    return faults


def collect_faults(folder: Path, mlmodel: Mapping[str, Any], uri: str, faults: Faults) -> None:
    """Collect the faults of the MLmodel file, and of the files that it names."""
    flavors = mlmodel["flavors"]
    with faults.collected():
        _check_signature(mlmodel, uri)
    with faults.collected():
        check_trusted(flavors, uri)
    with faults.collected():
        _check_predicts(flavors, uri)
    names = named_files(flavors)
    if absent := [name for name in names if not (folder / name).exists()]:
        with faults.collected():
            raise ModelUnusable(f"The model at {uri} {missing(absent)}")
    if pointers := [name for name in git_lfs_pointers(folder) if any(Path(name).is_relative_to(it) for it in names)]:
        with faults.collected():
            raise ModelUnusable(f"The model at {uri} {pointers_instead(pointers)}")


def _check_signature(mlmodel: Mapping[str, Any], uri: str) -> None:
    """Raise ModelUnusable for a signature that can't be served; without one, the loaded model may tell its columns."""
    try:
        read_signature(mlmodel, uri)
    except ModelUnusable:
        raise
    except Exception as cause:  # anybody may have written it
        raise ModelUnusable(
            f"The model at {uri} has a signature that cannot be read ({describe_error(cause)}): save it again with "
            "signature=infer_signature(X, model.predict(X))."
        ) from cause


def _check_predicts(flavors: Mapping[str, Any], uri: str) -> None:
    """Raise ModelUnusable for a model that Python can't call, such as one of R or of transformers alone."""
    if not {"python_function", "sklearn"} & flavors.keys():
        raise ModelUnusable(
            f"The model at {uri} cannot predict: its MLmodel file has {join_names(sorted(flavors)) or 'no flavors'}, "
            "but no python_function. Save it with mlflow.<flavor>.save_model in Python."
        )
