"""Predicts rows in the environment in which a model was saved: `python own_library.py MODEL ROWS OUTPUT`.

This file is run by its path, by Pythons that can't import the rest of the project, so it imports nothing of it.
"""

import json
import os
import sys
from typing import Any, Dict, List  # Python 3.6 to 3.8 run this file


class SklearnAlone:
    """A model with the flavor sklearn and no python_function, which `mlflow.pyfunc` doesn't load, used like its own."""

    def __init__(self, folder: str) -> None:
        """Load the model by its flavor."""
        import mlflow.models
        import mlflow.sklearn

        self.metadata = mlflow.models.Model.load(os.path.join(folder, "MLmodel"))
        self._estimator = mlflow.sklearn.load_model(folder)

    def get_raw_model(self) -> Any:
        """Return the estimator."""
        return self._estimator

    def predict(self, rows: Any) -> Any:
        """Return what the estimator predicts."""
        return self._estimator.predict(rows)


def load_library(folder: str) -> Any:
    """Return the model in a folder as MLflow loads it, without the project's own loader."""
    import mlflow.models
    import mlflow.pyfunc

    flavors = mlflow.models.Model.load(os.path.join(folder, "MLmodel")).flavors
    alone = "sklearn" in flavors and "python_function" not in flavors
    return SklearnAlone(folder) if alone else mlflow.pyfunc.load_model(folder)


def predict(model: str, rows: Dict[str, Any]) -> List[Any]:
    """Return the predictions as JSON values: a list, or a list per column."""
    import pandas as pd

    library = load_library(model)
    columns = [pd.Series(values, dtype=dtype) for _, dtype, values in rows["columns"]]
    frame = pd.concat(columns, axis=1)
    frame.columns = [label for label, _, _ in rows["columns"]]
    found = library.predict(frame if rows["named"] else frame.values)
    found = getattr(found, "values", found)
    if hasattr(found, "tolist"):
        found = found.tolist()
    return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in found]


if __name__ == "__main__":
    with open(sys.argv[2]) as stream:
        given = json.load(stream)
    with open(sys.argv[3], "w") as stream:
        json.dump(predict(sys.argv[1], given), stream)
