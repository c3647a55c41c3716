"""What the demo and `up` must know of a saved model: its columns and one row that it accepts."""

import json
from pathlib import Path
from typing import Any

from local.errors import SourceError


def columns(folder: Path) -> list[str]:
    """Return the names of the model's input columns."""
    signature = _load(folder).signature
    if signature is None or signature.inputs is None or not signature.inputs.has_input_names():
        raise SourceError(f"The model in {str(folder)!r} has no named input columns; save it with a signature.")
    return list(signature.inputs.input_names())


def example_call(folder: Path) -> str:
    """Return one row of the model's input example as the JSON of a call, `[]` where the model has none."""
    example = _load(folder).load_input_example(str(folder))
    if example is None:
        return "[]"
    return json.dumps(json.loads(example.head(1).to_json(orient="values", date_format="iso", date_unit="us"))[0])


def _load(folder: Path) -> Any:
    if not (folder / "MLmodel").is_file():
        raise SourceError(f"{str(folder)!r} holds no MLflow model: there is no file MLmodel in it.")
    # Only here: MLflow takes seconds to import, which a query need not wait for.
    from mlflow.models import Model

    return Model.load(str(folder))
