"""Saves a model in the environment of another year: `python saver.py KIND FOLDER DAY`, run by Python 3.8 and later.

FOLDER gets `model` and answers.json: `rows` as BigQuery sends them, and the `predictions` of the saver's own library.
A kind that ends with "-unpinned" names no NumPy in requirements.txt, one with "-conda" has only a conda.yaml.
"""

import json
import re
import sys
import warnings
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd

ROWS = 60
RANDOM = np.random.RandomState(3)
X = pd.DataFrame(RANDOM.normal(size=(300, 3)), columns=["a", "b", "c"])
Y = X["a"] * 2 - X["b"] + RANDOM.normal(size=300)
LABELS = np.where(Y > 0, "yes", "no")
FLAGS = (Y > 0).astype(int)
TEXTS = X.assign(city=RANDOM.choice(["Bern", "Genf", "Z\u00fcrich", None], 300))
TEXTS.loc[::7, "b"] = np.nan
WORDS = ["good", "bad", "fine", "awful", "day", "night"]
REVIEWS = pd.DataFrame({"text": [" ".join(RANDOM.choice(WORDS, 4)) for _ in range(ROWS)]})


def linear(model):
    from sklearn.linear_model import LinearRegression

    mlflow.sklearn.save_model(LinearRegression().fit(X, Y), model)
    return X


def forest_on_array(model):
    from sklearn.ensemble import RandomForestRegressor

    estimator = RandomForestRegressor(20, n_jobs=-1, random_state=0).fit(X.values, Y)
    mlflow.sklearn.save_model(estimator, model)
    return X.values


def texts(model):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    filled = SimpleImputer(missing_values=None, strategy="constant", fill_value="?")
    steps = [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b", "c"]),
        ("texts", make_pipeline(filled, OneHotEncoder(handle_unknown="ignore")), ["city"]),
    ]
    mlflow.sklearn.save_model(make_pipeline(ColumnTransformer(steps), LogisticRegression()).fit(TEXTS, LABELS), model)
    return TEXTS


def forest(model):
    from mlflow.models.signature import infer_signature
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(20, random_state=0).fit(X, LABELS)
    signature = infer_signature(X, estimator.predict(X))
    mlflow.sklearn.save_model(estimator, model, signature=signature, input_example=X[:5])
    return X


CODE = """
import mlflow
from mlflow.pyfunc import PythonModel


class Doubled(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.sum(axis=1) * 2
"""


def own_code(model):
    from mlflow.models.signature import infer_signature

    file = Path(model).parent / "doubled.py"
    file.write_text(CODE)
    sys.path.insert(0, str(file.parent))
    from doubled import Doubled

    signature = infer_signature(X, Y)
    if hasattr(mlflow.models, "set_model"):  # since MLflow 2.12, a script
        file.write_text(f"{CODE}\n\nmlflow.models.set_model(Doubled())\n")
        mlflow.pyfunc.save_model(model, python_model=str(file), signature=signature)
    else:
        mlflow.pyfunc.save_model(model, python_model=Doubled(), code_path=[str(file)], signature=signature)
    return X


def xgboost_booster(model):
    import xgboost

    mlflow.xgboost.save_model(xgboost.train({}, xgboost.DMatrix(X, Y), 10), model)
    return X


def xgboost_wrapper(model):
    import xgboost

    mlflow.xgboost.save_model(xgboost.XGBClassifier(n_estimators=20).fit(X, FLAGS), model)
    return X


def lightgbm(model):
    import lightgbm

    mlflow.lightgbm.save_model(lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(X, LABELS), model)
    return X


def catboost(model):
    import catboost

    quiet = {"verbose": 0, "allow_writing_files": False}
    mlflow.catboost.save_model(catboost.CatBoostClassifier(iterations=20, **quiet).fit(X, FLAGS), model)
    return X


def statsmodels(model):
    import statsmodels.api
    from mlflow.models.signature import infer_signature

    mlflow.statsmodels.save_model(statsmodels.api.OLS(Y, X).fit(), model, signature=infer_signature(X, Y))
    return X


def prophet(model):
    import prophet
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, Schema

    days = pd.DataFrame({"ds": pd.date_range("2023-01-01", periods=300), "y": Y})
    fitted = prophet.Prophet(uncertainty_samples=0).fit(days)
    signature = ModelSignature(Schema([ColSpec("datetime", "ds")]))
    mlflow.prophet.save_model(fitted, model, signature=signature, input_example=days[["ds"]][:5])
    return days[["ds"]]


def onnx(model):
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.array([[1.0], [2.0], [3.0]], np.float32), "W")
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "W"], ["y"])], "g", [given], [result], [weights])
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    mlflow.onnx.save_model(found, model)
    return X.values.astype(np.float32)


def spacy(model):
    import spacy
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, Schema
    from spacy.training import Example

    language = spacy.blank("en")
    categorizer = language.add_pipe("textcat")
    for label in ("positive", "negative"):
        categorizer.add_label(label)
    examples = []
    for text in REVIEWS["text"]:
        is_good = float("good" in text)
        wanted = {"cats": {"positive": is_good, "negative": 1 - is_good}}
        examples.append(Example.from_dict(language.make_doc(text), wanted))
    optimizer = language.initialize(lambda: examples)
    language.update(examples, sgd=optimizer)
    signature = ModelSignature(Schema([ColSpec("string", "text")]))
    mlflow.spacy.save_model(language, model, signature=signature, input_example=REVIEWS[:5])
    return REVIEWS


def plain(value):
    """Return a value as JSON: NaN is NULL in a row, and a prediction keeps it."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat() + "Z"
    return value.item() if hasattr(value, "item") else value


def json_rows(given):
    cells = pd.DataFrame(given).astype(object).values.tolist()
    return [[None if value is None or value != value else plain(value) for value in row] for row in cells]


def json_predictions(found):
    if isinstance(found, dict):
        found = next(iter(found.values()))
    if isinstance(found, pd.DataFrame) and found.shape[1] > 1:
        return json.loads(found.to_json(orient="records", double_precision=15))
    return np.asarray(found).reshape(len(found), -1)[:, 0].tolist()


def save(kind, folder, day):
    model = Path(folder) / "model"
    model.parent.mkdir(parents=True)
    name, _, files = kind.partition("-")
    given = globals()[name](str(model))[:ROWS]
    mlmodel, requirements = model / "MLmodel", model / "requirements.txt"
    saved = f"utc_time_created: '{day} 12:00:00.000000'"
    mlmodel.write_text(re.sub(r"utc_time_created: .*", saved, mlmodel.read_text()))
    if files == "unpinned":
        lines = requirements.read_text().splitlines()
        requirements.write_text("\n".join(line for line in lines if not line.startswith("numpy")))
    elif files == "conda":
        requirements.unlink()
    predictions = json_predictions(mlflow.pyfunc.load_model(str(model)).predict(given))
    answers = {"rows": json_rows(given), "predictions": predictions}
    (Path(folder) / "answers.json").write_text(json.dumps(answers, default=plain))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    save(*sys.argv[1:])
