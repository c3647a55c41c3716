"""A model is tried on its input example before it answers: what it returns, and whether its rows depend on each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from starlette.testclient import TestClient

from model_loader import load
from serving.errors import ModelUnusable
from tests.assertions import assert_error
from tests.models import formula, schema

App = Callable[..., TestClient]
INPUTS = schema(("string", "store"), ("double", "x"))
EXAMPLE = pd.DataFrame({"store": ["b", "a", "b"], "x": [1.0, 2.0, 3.0]})
CALLS = [["b", 1.0], ["a", 2.0], ["b", 3.0], ["c", 0.5]]
DOUBLE = schema(("double",))

# body -> what the 424 says. The answer of each for a row depends on the other rows of the batch, or on chance.
DEPENDENT = {
    "rank": ("d.x.rank()", "its rows depend on each other"),
    "mean of the batch": ("d.x - d.x.mean()", "alone: its rows depend on each other"),
    "share of a group": ("d.x / d.groupby('store').x.transform('sum')", "its rows depend on each other"),
    "number of rows": ("d.x * len(d)", "alone: its rows depend on each other"),
    "previous row": ("d.x.diff().fillna(0)", "its rows depend on each other"),
    "small share of the mean": ("d.x + 1e-3 * d.x.mean()", "its rows depend on each other"),
    "texts": ("d.store + (d.x > d.x.mean()).astype(str)", "its rows depend on each other"),
    "needs two rows": ("if len(d) < 2: raise ValueError('too few')\nreturn d.x", "fails with its rows alone"),
    "noise": ("d.x + np.random.normal(size=len(d))", "isn't deterministic"),
    "counter": ("self.n = getattr(self, 'n', 0) + 1\nreturn d.x + self.n", "isn't deterministic"),
}


@pytest.mark.parametrize(("body", "words"), DEPENDENT.values(), ids=DEPENDENT)
def test_dependent_rows_refused(body: str, words: str, app: App, tmp_path: Path) -> None:
    """A model whose answer for a row depends on its batch or on chance is a 424 that says so, for every request."""
    outputs = schema(("string",)) if "store +" in body else DOUBLE
    client = app(str(formula(tmp_path / "model", body, INPUTS, outputs, EXAMPLE)))
    for calls in (CALLS, CALLS[:1]):
        assert_error(client.post("/", json={"calls": calls}), 424, words, "ROWS_DEPEND=allow")


DISORDERED = {
    "sorted with a new index": ("d.sort_values('store').reset_index(drop=True).x", DOUBLE),
    "sums of groups": ("d.groupby('x').x.sum()[::-1]", DOUBLE),
    "sorted texts": ("d.sort_values('x').store.to_list()", schema(("string",))),
    "sorted objects": (
        "d.sort_values('x').reset_index(drop=True).rename(columns={'store': 'y'})",
        schema(("string", "y"), ("double", "x")),
    ),
}


@pytest.mark.parametrize(("body", "outputs"), DISORDERED.values(), ids=DISORDERED)
def test_other_order_refused(body: str, outputs: Schema, app: App, tmp_path: Path) -> None:
    """A model that gives the right answers in another order is not recommended to be served anyway."""
    client = app(str(formula(tmp_path / "model", body, INPUTS, outputs, EXAMPLE)))
    answer = client.post("/", json={"calls": CALLS})
    assert_error(answer, 424, "gives its answers in another order than its rows", "in the order of its rows.")
    assert "ROWS_DEPEND" not in answer.text


def test_size_of_a_group(tmp_path: Path) -> None:
    """A statistic of a group is found though each row of the example is a group of its own."""
    example = pd.DataFrame({"store": ["a", "b", "c"], "x": [1.0, 2.0, 3.0]})
    body = "d.groupby('store').x.transform('count') * d.x"
    with pytest.raises(ModelUnusable, match="each row twice: its rows depend on each other"):
        load(str(formula(tmp_path / "model", body, INPUTS, DOUBLE, example)))


def test_dependent_rows_allowed(app: App, tmp_path: Path) -> None:
    """With ROWS_DEPEND=allow such a model is served, and noted in the log."""
    folder = formula(tmp_path / "model", "d.x * len(d)", INPUTS, DOUBLE, EXAMPLE)
    client = app(str(folder), ROWS_DEPEND="allow")
    assert client.post("/", json={"calls": CALLS[:2]}).json() == {"replies": [2.0, 4.0]}
    assert "ROWS_DEPEND is allow" in " ".join(load(str(folder)).notes)


INDEPENDENT = {
    "float32 sums": "(d[['x']].to_numpy(np.float32) @ np.ones((1, 100), np.float32) / 7).sum(axis=1)",
    "in order of another index": "d.sort_values('x').x * 2",
    "groups one after the other": "pd.concat([group.x * len(store) for store, group in d.groupby('store')])",
    "not a number": "d.x.where(d.x > 2)",
    "infinite": "1 / (d.x - 2)",
}


@pytest.mark.parametrize("body", INDEPENDENT.values(), ids=INDEPENDENT)
def test_independent_rows_served(body: str, tmp_path: Path) -> None:
    """Rounding, another order of the index, NaN and infinities are no dependence."""
    load(str(formula(tmp_path / "model", body, INPUTS, DOUBLE, EXAMPLE)))


EXAMPLES = {
    "missing text": pd.DataFrame({"store": ["a", None, "b"], "x": [3.0, 1.0, 2.0]}),
    "missing text of pandas 3": pd.DataFrame({"store": pd.array(["a", None, "b"], dtype="str"), "x": [3.0, 1.0, 2.0]}),
    "missing time": pd.DataFrame({"t": pd.to_datetime(["2020-01-01", None, "2020-01-02"]), "x": [3.0, 1.0, 2.0]}),
    "nanoseconds": pd.DataFrame({"t": pd.to_datetime([1, 2, 3]), "x": [3.0, 1.0, 2.0]}),
    "bytes": pd.DataFrame({"b": [b"a", b"bc" * 60, b"d"], "x": [3.0, 1.0, 2.0]}),
}
TYPES = {"store": "string", "t": "datetime", "b": "binary", "x": "double"}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_example_is_read(example: pd.DataFrame, tmp_path: Path) -> None:
    """An example with missing values, nanoseconds or bytes is used: the dependence of rows is found with it."""
    inputs = Schema([ColSpec(TYPES[name], name, required=name == "x") for name in example])
    with pytest.raises(ModelUnusable, match="depend on each other"):
        load(str(formula(tmp_path / "model", "d.x.rank()", inputs, DOUBLE, example)))


def test_index_of_ids(app: App, tmp_path: Path) -> None:
    """An index made of a column is no order of rows, even where its numbers look like one."""
    example = pd.DataFrame({"id": [30, 10, 20]})
    folder = formula(tmp_path / "model", "pd.Series(d.id * 10.0).set_axis(d.id.to_numpy())", schema(("long", "id")),
                     DOUBLE, example)  # fmt: skip
    assert app(str(folder)).post("/", json={"calls": [[1], [0]]}).json() == {"replies": [10.0, 0.0]}


def test_allowed_rows_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ROWS_DEPEND=allow doesn't admit a model that returns another number of values than it gets rows."""
    monkeypatch.setenv("ROWS_DEPEND", "allow")
    example = pd.DataFrame({"text": ["good film"]})
    with pytest.raises(ModelUnusable, match="expected one value per row"):
        load(str(formula(tmp_path / "model", "[len(t) * 1.0 for t in d]", schema(("string", "text")), DOUBLE, example)))


@pytest.mark.parametrize("example", [None, EXAMPLE[:1]], ids=["no example", "one row"])
def test_too_few_rows_are_noted(example: Any, tmp_path: Path) -> None:
    """With fewer than two rows a dependence can't be found, and the log says so."""
    model = load(str(formula(tmp_path / "model", "d.x * 2", INPUTS, DOUBLE, example)))
    assert any("could not be checked" in note for note in model.notes)


# body, inputs, calls: the model goes through the columns instead of the rows.
COLUMN_WISE = {
    "one text column": ("[len(text) for text in d]", schema(("string", "text")), [["good film"]]),
    "two columns": ("[len(text) for text in d]", schema(("string", "a"), ("string", "b")), [["x", "y"], ["z", "z"]]),
    "text and bytes": (
        "[len(name) * 1.0 for name in d]",
        schema(("string", "a"), ("binary", "b")),
        [["x", "YQ=="], ["z", "YQ=="]],
    ),
    "sums of columns": ("d.sum().to_numpy()", schema(("double", "a"), ("double", "b")), [[1.0, 2.0], [3.0, 4.0]]),
}


@pytest.mark.parametrize("with_example", [True, False], ids=["example", "no example"])
@pytest.mark.parametrize(("body", "inputs", "calls"), COLUMN_WISE.values(), ids=COLUMN_WISE)
def test_values_per_column_refused(body: str, inputs: Schema, calls: Any, with_example: bool, tmp_path: Path) -> None:
    """A model that returns one value per column is refused, though a batch may have as many rows as columns."""
    example = pd.DataFrame(calls, columns=inputs.input_names()) if with_example else None
    if example is not None and "binary" in str(inputs):
        example["b"] = b"a"
    folder = formula(tmp_path / "model", body, inputs, schema(("double",)), example)
    with pytest.raises(ModelUnusable, match=r"expected one value per row|fails with"):
        load(str(folder))


def test_long_output_with_fractions(app: App, tmp_path: Path) -> None:
    """An output declared as long whose example has fractions is FLOAT64 in SQL and in replies, and this is noted."""
    folder = formula(tmp_path / "model", "d.x + 0.5", INPUTS, schema(("long",)), EXAMPLE)
    model = load(str(folder))
    assert model.sql_type == "FLOAT64"
    assert any("served as FLOAT64" in note for note in model.notes)
    assert app(str(folder)).post("/", json={"calls": CALLS}).json() == {"replies": [1.5, 2.5, 3.5, 1.0]}


@pytest.mark.parametrize("with_example", [True, False])
def test_labels_declared_as_numbers(with_example: bool, app: App, tmp_path: Path) -> None:
    """Labels that are declared as numbers, whose library returns them all the same, are STRING, and this is noted."""
    from sklearn.linear_model import LogisticRegression

    from tests import models

    X = models.numbers()
    folder = tmp_path / "model"
    signature = ModelSignature(schema(*(("double", name) for name in X)), schema(("double",)))
    example = X.head() if with_example else None
    estimator = LogisticRegression().fit(X, (X.a > 0).map({True: "yes", False: "no"}))
    mlflow.sklearn.save_model(estimator, folder, signature=signature, input_example=example, pip_requirements=[])
    model = load(str(folder))
    assert model.sql_type == "STRING"
    assert any("FLOAT64, but the model returned texts when it was tried" in note for note in model.notes)
    calls = [[9.0, *([0.0] * (X.shape[1] - 1))]]
    assert app(str(folder)).post("/", json={"calls": calls}).json() == {"replies": ["yes"]}


def test_whole_long_output_stays(tmp_path: Path) -> None:
    """An output declared as long stays INT64 if its example has none but whole numbers and NaN."""
    body = "d.x.where(d.x > 1)"
    assert load(str(formula(tmp_path / "model", body, INPUTS, schema(("long",)), EXAMPLE))).sql_type == "INT64"


def test_probabilities_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Class probabilities that depend on the other rows are found too."""
    from sklearn.linear_model import LogisticRegression

    from tests import models

    X = models.numbers()
    folder = models.save(tmp_path / "model", LogisticRegression().fit(X, X.a > 0), X)
    plain = LogisticRegression.predict_proba
    monkeypatch.setattr(LogisticRegression, "predict_proba", lambda self, X: plain(self, X) / plain(self, X).max())
    with pytest.raises(ModelUnusable, match="depend on each other"):
        load(str(folder))
