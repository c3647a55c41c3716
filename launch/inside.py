"""The program that runs in a model's own environment: it examines the model there, or predicts rows by its library.

    python -m launch.inside examine FOLDER URI OUTPUT
    python -m launch.inside predict FOLDER ROWS OUTPUT
    python -m launch.inside probabilities FOLDER ROWS OUTPUT
    python -m launch.inside sample FOLDER URI OUTPUT
    python -m launch.inside fitted-on FOLDER URI OUTPUT

OUTPUT is a JSON file: `errors`, one sentence each, or what was asked for. The environment has the function's packages
and the model's, and no others of this project.
"""

import contextlib
import copy
import dataclasses
import gc
import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

from launch.description import Description
from launch.expected import Expected, class_probabilities, frame_of, input_example, portable, predict_rows
from launch.made_rows import made_rows
from launch.own_library import load_library
from loading.category_columns import check_first_steps
from loading.failures import loading_errors
from loading.fitted import takes_text_series
from loading.flavors import flavor_of
from loading.made_signature import check_takes_columns, column_count, column_names
from loading.memory import return_freed
from loading.mlmodel import read_mlmodel
from model_loader import load
from serving.decoding import from_arguments
from serving.errors import ServingError, describe_error
from serving.json_type import encode
from serving.model import Model

MAX_REASON = 300  # characters of an error of somebody else's code; MLflow's can hold a whole table


def examine(folder: Path, uri: str) -> Description:
    """Load a model and let its own library predict its input example, or rows made from its signature."""
    model = load(str(folder), plan="thorough")
    memory = own_memory()
    model.info = dataclasses.replace(model.info, uri=uri)
    rows, expected = input_example(folder, model) if model.example else ([], Expected([]))
    made_up = not rows
    if made_up:
        rows = made_rows(model)
        library = load_library(str(folder))
        try:
            expected = predict_rows(library, copy.deepcopy(rows), model)  # MLflow converts values of objects in place
        except Exception as error:  # a model may refuse values that it never saw
            model.notes = [
                *model.notes,
                f"The model cannot predict rows made from its signature: {_reason(error)}",
            ]
            rows = []
    return Description(model, rows, expected.predictions, made_up, expected.float32, memory)


def own_memory() -> int:
    """Return the bytes of memory that only this process has, without what it has freed; 0 on a system but Linux.

    A function with the model needs at least as much. Files and libraries, which processes share, don't count.
    """
    gc.collect()
    return_freed()
    with contextlib.suppress(OSError):
        if found := re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE):
            return 1024 * int(found[1])
    return 0


def main(command: str, folder: str, second: str, output: str) -> None:
    """Write the answer, or the errors, to a file."""
    answer: dict[str, Any]
    try:
        if command == "examine":
            answer = {"description": examine(Path(folder), second).to_json()}
        elif command == "sample":
            answer = _sample(Path(folder))
        elif command == "fitted-on":
            answer = _fitted_on(Path(folder), second)
        elif command == "probabilities":
            answer = _probabilities(Path(folder), Path(second))
        else:
            answer = _predict(Path(folder), Path(second))
    except ServingError as error:
        answer = {"errors": error.reasons}
    except Exception as error:  # anything the model's own library raises
        answer = {"errors": [f"The model at {folder} cannot predict the rows that it is tried on: {_reason(error)}"]}
    Path(output).write_text(json.dumps(answer, default=encode))


def _reason(error: Exception) -> str:
    """Return a description of an error as one line of at most MAX_REASON characters."""
    text = " ".join(describe_error(error).split())
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…"


def _sample(folder: Path) -> dict[str, Any]:
    """Return rows made from the signature as `columns`, and the predictions for them; no columns if there are none."""
    model = load(str(folder), plan="off")
    rows = [] if model.signature.tensors else made_rows(model)
    if not rows or (columns := portable(frame_of(rows, model))) is None:
        return {"columns": None}
    try:
        expected = predict_rows(load_library(str(folder)), rows, model)
    except Exception:  # a model may refuse values that it never saw
        return {"columns": None}
    return {
        "columns": columns,
        "named": model.signature.named,
        "predictions": expected.predictions,
        "float32": expected.float32,
    }


def _fitted_on(folder: Path, uri: str) -> dict[str, Any]:
    """Return the names of the columns that the model was fitted on, and their number, as far as it tells."""
    mlmodel = read_mlmodel(folder, uri)
    with loading_errors(folder, uri):
        estimator = flavor_of(mlmodel["flavors"]).load(folder, mlmodel["flavors"], uri)["estimator"]
    check_takes_columns(estimator, uri)
    check_first_steps(estimator, uri)
    count = 1 if takes_text_series(estimator) else column_count(estimator)
    return {"names": column_names(estimator), "count": count}


def _predict(folder: Path, file: Path) -> dict[str, Any]:
    """Return the predictions for the rows and parameters in a file, which `launch.examine` wrote."""
    model: Model = load(str(folder), plan="off")
    rows, params = pickle.loads(file.read_bytes())
    if params:  # which the function may not be able to hand on
        model.predict(from_arguments(model.signature, rows), params)
    expected = predict_rows(load_library(str(folder)), rows, model, params)
    return {"predictions": expected.predictions, "float32": expected.float32}


def _probabilities(folder: Path, file: Path) -> dict[str, Any]:
    """Return the probabilities of a class for the rows in a file, which `launch.examine` wrote with the class."""
    rows, label = pickle.loads(file.read_bytes())
    model = load(str(folder), plan="off")
    return dataclasses.asdict(class_probabilities(load_library(str(folder)), rows, model, label))


if __name__ == "__main__":
    main(*sys.argv[1:])
