"""Predicts rows in the environment in which a model was saved: `python own_library.py MODEL ROWS OUTPUT`.

This file is run by its path, by Pythons that can't import the rest of the project, so it imports nothing of it.
"""

import json
import sys


def predict(model, rows):  # type: ignore[no-untyped-def]  # Python 3.6 to 3.9 run this
    """Return the predictions as JSON values: a list, or a list per column."""
    import mlflow.pyfunc
    import pandas as pd

    library = mlflow.pyfunc.load_model(model)
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
        json.dump(predict(sys.argv[1], given), stream)  # type: ignore[no-untyped-call]
