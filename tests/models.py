"""Small models, saved by MLflow the way users save them; each function saves one and returns its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import yaml
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

RANDOM = np.random.default_rng(7)
PINS = ["scikit-learn"]  # MLflow would spend ten seconds on inferring them


def save(folder: Path, estimator: Any, X: Any, *, outputs: bool = True, **options: Any) -> Path:
    """Save a scikit-learn model with its signature and an input example; `options` are for MLflow's save_model."""
    signature = infer_signature(X, estimator.predict(X) if outputs else None)
    arguments = {"serialization_format": "cloudpickle", "signature": signature, "input_example": X[:5], **options}
    mlflow.sklearn.save_model(estimator, str(folder), pip_requirements=PINS, **arguments)
    return folder


def numbers(rows: int = 200, columns: int = 4) -> pd.DataFrame:
    """Return normally distributed double columns a, b, c, ... or, if more than 26, column_0, column_1, ..."""
    names = [chr(ord("a") + at) if columns <= 26 else f"column_{at}" for at in range(columns)]
    return pd.DataFrame(RANDOM.normal(size=(rows, columns)), columns=names)


def tree_regressor(folder: Path, **options: Any) -> Path:
    """Four double columns, double output."""
    X = numbers()
    y = X.sum(axis=1).to_numpy() + RANDOM.normal(size=len(X))
    return save(folder, make_pipeline(StandardScaler(), DecisionTreeRegressor(random_state=1)).fit(X, y), X, **options)


def classifier(folder: Path, **options: Any) -> Path:
    """Four double columns, string output."""
    X = numbers()
    y = np.where(X.a + X.b > 0, "yes", "no")
    return save(folder, DecisionTreeClassifier(max_depth=5, random_state=1).fit(X, y), X, **options)


def categories(folder: Path, **options: Any) -> Path:
    """A double, two strings with one-hot encoding, a long and a boolean."""
    X = numbers(columns=1).assign(
        city=RANDOM.choice(["Bern", "Zürich", "Genf"], 200),
        size=RANDOM.choice(["S", "M", "L"], 200),
        rooms=RANDOM.integers(1, 9, 200),
        lift=RANDOM.integers(0, 2, 200).astype(bool),
    )
    encode = ColumnTransformer(
        [("strings", OneHotEncoder(handle_unknown="ignore"), ["city", "size"])], remainder="passthrough"
    )
    model = make_pipeline(encode, DecisionTreeRegressor(random_state=1)).fit(X, X.a * X.rooms + X.lift)
    return save(folder, model, X, **options)


def calendar(frame: pd.DataFrame) -> pd.DataFrame:
    """Return features of the timestamps in column `at`."""
    moment = frame["at"].dt
    return pd.DataFrame(
        {"year": moment.year, "day": moment.day_of_year, "hour": moment.hour, "micro": moment.microsecond}
    )


def times(folder: Path, **options: Any) -> Path:
    """A timestamp column."""
    start = np.datetime64("2015-01-01", "us").astype(np.int64)
    X = pd.DataFrame({"at": (start + RANDOM.integers(0, 3 * 10**14, 300)).astype("datetime64[us]")})
    X["at"] = X["at"].astype("datetime64[ns]")
    model = make_pipeline(FunctionTransformer(calendar), DecisionTreeRegressor(random_state=1))
    return save(folder, model.fit(X, X["at"].dt.hour + X["at"].dt.microsecond / 1e6), X, **options)


def optional_columns(folder: Path, **options: Any) -> Path:
    """A double, a long and a boolean column, all with missing values."""
    X = pd.DataFrame(
        {
            "a": np.where(RANDOM.random(300) < 0.2, np.nan, RANDOM.normal(size=300)),
            "n": pd.array(np.where(RANDOM.random(300) < 0.2, None, RANDOM.integers(0, 50, 300)), dtype="Int64"),
            "b": pd.array(np.where(RANDOM.random(300) < 0.2, None, RANDOM.random(300) < 0.5), dtype="boolean"),
        }
    )
    y = X.a.fillna(0) + X.n.fillna(-5).astype(float) + X.b.fillna(False).astype(float)
    return save(folder, HistGradientBoostingRegressor(max_iter=20).fit(X, y), X, **options)


def tensor(folder: Path, **options: Any) -> Path:
    """A model fitted on an array: its columns have no names."""
    X = numbers().to_numpy()
    return save(folder, DecisionTreeRegressor(random_state=1).fit(X, X.sum(axis=1)), X, **options)


def two_outputs(folder: Path) -> Path:
    """Four double columns, outputs `low` and `high`."""
    X = numbers()
    model = DecisionTreeRegressor(random_state=1).fit(X, X[["a", "b"]])
    predicted = pd.DataFrame(model.predict(X), columns=["low", "high"])
    return save(folder, model, X, signature=infer_signature(X, predicted))


def wide(folder: Path, **options: Any) -> Path:
    """300 columns: more than a SQL function can have arguments."""
    X = numbers(columns=300)
    return save(folder, DecisionTreeRegressor(random_state=1).fit(X, X.column_1), X, **options)


def boosted(folder: Path) -> Path:
    """A LightGBM classifier: not the sklearn flavor, but with scikit-learn's interface."""
    from lightgbm import LGBMClassifier

    X = numbers()
    model = LGBMClassifier(n_estimators=10, verbose=-1).fit(X, np.where(X.a > X.b, "up", "down"))
    signature = infer_signature(X, model.predict(X))
    mlflow.lightgbm.save_model(model, str(folder), signature=signature, input_example=X[:5], pip_requirements=PINS)
    return folder


PREPARE = '''
"""Pre-processing code that is saved with the model."""


def scale(frame, factor):
    return frame.assign(total=(frame["a"] + frame["n"]) * factor)
'''


class Priced(mlflow.pyfunc.PythonModel):
    """A formula with pre- and post-processing and an inference parameter; fails for the text "boom"."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        import prepare

        if (model_input["text"] == "boom").any():
            raise ValueError("no price for boom")
        frame = prepare.scale(model_input, (params or {}).get("factor", 1.0))
        return [f"{text}: {total:.3f}" for text, total in zip(frame["text"], frame["total"], strict=True)]


def python_model(folder: Path) -> Path:
    """A custom PythonModel with code_paths, inference params and string output."""
    code = folder.parent / f"{folder.name}-code" / "prepare.py"
    code.parent.mkdir(parents=True)
    code.write_text(PREPARE)
    X = pd.DataFrame({"a": [1.5, 2.5], "n": [1, 2], "text": ["x", "y"]})
    signature = infer_signature(X, ["x: 2.500"], params={"factor": 1.0})
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=Priced(),
        signature=signature,
        input_example=X,
        code_paths=[str(code)],
        pip_requirements=PINS,
    )
    return folder


def odd_names(folder: Path) -> Path:
    """Columns whose names are not SQL identifiers."""
    X = numbers().set_axis(["mean radius", "select", "Höhe (m)", "1st"], axis=1)
    return save(folder, DecisionTreeRegressor(random_state=1).fit(X, X["select"]), X)


def california(folder: Path) -> Path:
    """The columns of California Housing."""
    names = ["MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude"]
    X = numbers(columns=8).set_axis(names, axis=1)
    return save(folder, DecisionTreeRegressor(random_state=1).fit(X, X.MedInc), X)


class Structured(mlflow.pyfunc.PythonModel):
    """Takes an array, an object and an optional integer; returns what it received."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        rows = zip(model_input["points"], model_input["who"], model_input["n"], strict=True)
        return [
            {"sum": float(sum(points)), "name": who["name"], "n": None if pd.isna(n) else int(n)}
            for points, who, n in rows
        ]


def structured(folder: Path) -> Path:
    """An array, an object and an optional long column; no declared outputs."""
    X = pd.DataFrame(
        {
            "points": [[1.0, 2.0], [3.0]],
            "who": [{"name": "a", "age": 1}, {"name": "b", "age": 2}],
            "n": pd.array([1, None], dtype="Int64"),
        }
    )
    signature = infer_signature(X)
    mlflow.pyfunc.save_model(str(folder), python_model=Structured(), signature=signature, pip_requirements=PINS)
    return folder


class Optionals(mlflow.pyfunc.PythonModel):
    """Takes optional columns; returns their dtypes and values as a string."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        dtypes = "/".join(map(str, model_input.dtypes))
        return [
            f"{dtypes}: {' '.join('-' if pd.isna(value) else str(value) for value in row)}"
            for row in model_input.itertuples(index=False)
        ]


def optionals(folder: Path) -> Path:
    """An optional column of each of five types."""
    X = pd.DataFrame(
        {
            "n": pd.array([1, None], dtype="Int64"),
            "b": pd.array([True, None], dtype="boolean"),
            "x": [0.5, None],
            "s": ["a", None],
            "t": pd.to_datetime(["2020-01-01", None]),
        }
    )
    mlflow.pyfunc.save_model(
        str(folder), python_model=Optionals(), signature=infer_signature(X, ["x"]), pip_requirements=PINS
    )
    return folder


FORMULA = """
import datetime

import mlflow
import numpy as np
import pandas as pd


class Formula(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        d = model_input
{body}


mlflow.models.set_model(Formula())
"""


def formula(folder: Path, body: str, inputs: Schema, outputs: Schema | None, example: Any = None) -> Path:
    """A model from code that calculates with its input `d`; `body` is an expression, or statements that return."""
    lines = (body if "return" in body else f"return {body}").splitlines()
    return from_code(
        folder, FORMULA.format(body="\n".join(f"        {line}" for line in lines)), inputs, outputs, example
    )


def from_code(folder: Path, source: str, inputs: Schema, outputs: Schema | None, example: Any = None) -> Path:
    """A model from code: a script that ends with mlflow.models.set_model."""
    code = folder.with_suffix(".py")
    code.write_text(source)
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(code),
        signature=ModelSignature(inputs, outputs),
        pip_requirements=PINS,
        **({} if example is None else {"input_example": example}),
    )
    return folder


def schema(*specs: tuple[Any, ...]) -> Schema:
    """Return a schema of columns, each given as the arguments of a ColSpec, a type and a name."""
    return Schema([ColSpec(*spec) for spec in specs])


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Apply a change to the MLmodel file."""
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    change(mlmodel)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
