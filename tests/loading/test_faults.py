"""A model with several faults is one answer that has all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.linear_model import LinearRegression
from starlette.testclient import TestClient

from loading.faults import find_faults
from model_loader import load
from serving.errors import ModelUnusable
from tests import models
from tests.assertions import assert_error

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
URI = "gs://models/houses"


def spoil(folder: Path) -> None:
    """Let a model be of another scikit-learn, ask for a type, have no signature, and miss its file."""
    models.edit(
        folder, lambda it: it["flavors"]["sklearn"].update(sklearn_version="0.24.2", skops_trusted_types=["a.B"])
    )
    models.edit(folder, lambda it: it.pop("signature"))
    (folder / "model.pkl").unlink()


def test_all_faults_in_one_answer(app: Callable[..., TestClient], folder: Path) -> None:
    """The function's 424 has another scikit-learn, an untrusted type and a missing file."""
    spoil(folder)
    answer = app(str(folder)).post("/", json={"calls": [[1, 2, 3, 4]]})
    words = ("was saved with scikit-learn 0.24.2", "trusted_types.py does not list: a.B", "has no file model.pkl")
    assert_error(answer, 424, *words)
    assert "signature" not in answer.text  # a missing one is no fault: the loaded model may tell its columns
    assert answer.text.count(str(folder)) == 1


def test_reasons(folder: Path) -> None:
    """The error holds each reason as a sentence that can stand alone."""
    spoil(folder)
    with pytest.raises(ModelUnusable) as refused:
        load(str(folder))
    assert len(refused.value.reasons) == 3
    assert all(reason.startswith(f"The model at {folder} ") for reason in refused.value.reasons)


def test_single_fault_stays_alone(folder: Path) -> None:
    """One fault of a model with a signature is one reason: the error is that of the check that found it."""
    (folder / "model.pkl").unlink()
    with pytest.raises(ModelUnusable) as refused:
        load(str(folder))
    assert refused.value.reasons == (str(refused.value),)
    assert str(refused.value).endswith("has no file model.pkl, which its MLmodel file names: upload the whole folder.")


def test_unreadable_signature_and_file(folder: Path) -> None:
    """A signature that isn't JSON doesn't hide what is wrong with the files."""
    models.edit(folder, lambda it: it["signature"].update(inputs="["))
    (folder / "model.pkl").write_bytes(POINTER)
    signature, pointer = find_faults(folder, URI).reasons
    assert signature.startswith(f"The model at {URI} has a signature that cannot be read (JSONDecodeError: ")
    assert pointer.startswith(f"The model at {URI} has a Git LFS pointer in place of model.pkl: run `git lfs pull`")


UNABLE = {
    "an R crate": {"crate": {"model": "crate.bin"}},
    "transformers alone": {"transformers": {"task": "fill-mask"}},
}


@pytest.mark.parametrize("flavors", UNABLE.values(), ids=UNABLE)
def test_model_that_cannot_predict(flavors: dict[str, Any], folder: Path) -> None:
    """A model of flavors that Python can't call is named with them."""
    models.edit(folder, lambda it: it.update(flavors=flavors))
    with pytest.raises(ModelUnusable, match=f"cannot predict: its MLmodel file has {next(iter(flavors))}, but no pyth"):
        load(str(folder))


def test_other_pointers_are_no_fault(folder: Path) -> None:
    """A pointer in place of a file that loading doesn't open is none of the model's faults."""
    (folder / "picture.png").write_bytes(POINTER)
    assert find_faults(folder, URI).reasons == []
    assert load(str(folder)).info.digest


def test_missing_file_of_a_library(tmp_path: Path) -> None:
    """The file of a model that MLflow loads is named too."""
    folder = models.boosted(tmp_path / "model")
    name = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]["data"]
    (folder / name).unlink()
    assert find_faults(folder, URI).reasons == [
        f"The model at {URI} has no file {name}, which its MLmodel file names: upload the whole folder."
    ]


@pytest.mark.parametrize("content", [b"not a pickle", b"", b"\x80\x05"], ids=["other", "empty", "truncated"])
def test_failure_without_signature(content: bytes, tmp_path: Path) -> None:
    """A model that can't be loaded hears of that alone: its signature might have been made."""
    folder = models.save(tmp_path / "model", LinearRegression().fit(*_rows()), models.numbers())
    models.edit(folder, lambda it: it.pop("signature"))
    (folder / "model.pkl").write_bytes(content)
    with pytest.raises(ModelUnusable, match=r"damaged or incomplete: upload the whole folder again\.") as refused:
        load(str(folder))
    assert refused.value.reasons == (str(refused.value),)


def _rows() -> Any:
    X = models.numbers()
    return X, X.sum(axis=1)
