"""Hostile buckets and MLmodel files: names and paths outside the model's folder are rejected before they are used."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from local.storage import Storage
from model_loader import ModelLoader, load
from serving.errors import ModelUnusable
from tests import models
from tests.assertions import assert_error
from tests.faults.conftest import URI
from tests.faults.proxy import Handler, Proxy, Response, plain_client, upload

ROW = [0.5, -0.25, 1, 2]


NAMES = {
    "parent": "m/../../escaped",
    "parent of subfolder": "m/a/../../../escaped",
    "trailing parent": "m/a/..",
    "absolute": "m//etc/passwd",
    "empty part": "m/a//b",
    "dot": "m/a/./b",
    "backslash": "m/..\\..\\escaped",
    "line break": "m/a\nb",
    "NUL": "m/a\0b",
    "terminal colour": "m/\x1b[31mred",
    "right to left": "m/\u202egpj.exe",
    "lone surrogate": "m/\ud800",
    "long part": "m/" + "x" * 256,
    "long part of emoji": "m/" + "🦆" * 64,
    "long path": "m/" + "/".join(["x" * 200] * 12),
    "file and folder": "m/model.pkl/data",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_bad_object_name(proxy: Proxy, name: str, temp_dir: Path) -> None:
    """An object whose name cannot be a file's in the model's folder is a 424 before anything is downloaded."""

    def add_to_listing(handler: Handler, fetch: Callable[[], Response]) -> None:
        response = fetch()
        listing = json.loads(response.body)
        listing["items"].append({**listing["items"][0], "name": name})
        response.body = json.dumps(listing).encode()
        handler.send(response)

    proxy.plan = lambda _: add_to_listing
    with pytest.raises(ModelUnusable, match=r'has an object ".*, whose name (leads|has|is)|has an object a str'):
        asyncio.run(ModelLoader(URI).model())
    assert [request.name for request in proxy.requests] == [""]
    assert list(temp_dir.iterdir()) == []


@pytest.mark.usefixtures("fast_retries")
def test_unusual_object_names_accepted(proxy: Proxy, emulator: Storage) -> None:
    """Unusual names that a file can have are accepted."""
    with plain_client(emulator.url) as client:
        for name in ("Zürich/a b", "🦆", "..a", "a..", "-rf", "Ａ", "x" * 255, "a:b*<>|"):
            upload(client, f"m/{name}", b"x")
    assert load(URI).info.digest


PATHS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pickled_model": lambda m: m["flavors"]["sklearn"].update(pickled_model="../../model.pkl"),
    "absolute pickled_model": lambda m: m["flavors"]["sklearn"].update(pickled_model="/etc/passwd"),
    "code": lambda m: m["flavors"]["sklearn"].update(code="a/../../code"),
    "absolute code of pyfunc": lambda m: m["flavors"]["python_function"].update(code="/tmp"),
    "data": lambda m: m["flavors"]["python_function"].update(loader_module="mlflow.lightgbm", data="../x"),
    "artifacts": lambda m: m["flavors"]["python_function"].update(
        artifacts={"table": {"path": "../../x", "uri": "/x"}}
    ),
    "input example": lambda m: m["saved_input_example_info"].update(artifact_path="../../../etc/passwd"),
    "absolute input example": lambda m: m["saved_input_example_info"].update(artifact_path="/etc/passwd"),
}


@pytest.mark.parametrize("change", PATHS.values(), ids=PATHS)
def test_mlmodel_path_outside_folder(
    app: Callable[..., TestClient], folder: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    """A path in MLmodel that leads out of the model's folder is a 424."""
    models.edit(folder, change)
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, "leads out of the model's folder")


def test_author_paths_ignored(folder: Path) -> None:
    """Paths in MLmodel that say where the author had files are not opened and may be anything."""

    def change(mlmodel: dict[str, Any]) -> None:
        mlmodel["artifact_path"] = "/home/ana/mlruns/0/artifacts"
        mlmodel["flavors"]["python_function"] |= {
            "config": {"table": "/data/x"},
            "model_code_path": "/home/ana/model.py",
        }

    models.edit(folder, change)
    assert load(str(folder)).info.digest


BOMB = "flavors: {}\nmetadata:\n a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f" {name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
UNREADABLE = {
    "empty": ("", "no mapping `flavors`"),
    "list": ("- 1", "no mapping `flavors`"),
    "no flavors": ("signature: {}", "no mapping `flavors`"),
    "flavors is a list": ("flavors: [sklearn]", "no mapping `flavors`"),
    "flavor is a string": ("flavors: {sklearn: yes please}", "no mapping `flavors`"),
    "not YAML": ("flavors: {", "is not YAML"),
    "Python object": ("flavors: !!python/object/apply:os.system ['touch x']", "is not YAML"),
    "Python name": ("flavors: !!python/name:os.system", "is not YAML"),
    "deeply nested": ("[" * 5_000, "is not YAML"),
    "alias bomb": (BOMB, "holds more than"),
    "alias cycle": ("flavors: {}\nmetadata: &m [*m]", "holds more than"),
    "large": ("flavors: {}\n" + "#" * 2_000_000, "more than 2000000"),
    "UTF-16": ("flavors: {}".encode("utf-16").decode("latin-1"), "is not YAML"),
}


@pytest.mark.parametrize(("text", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_mlmodel_not_plain_data(app: Callable[..., TestClient], folder: Path, text: str, message: str) -> None:
    """An MLmodel file that is not plain YAML of bounded size is a 424."""
    (folder / "MLmodel").write_text(text, "latin-1")
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, message)


@pytest.mark.parametrize("types", [[None], ["sklearn.tree", 1], True, {"a": "b"}])
def test_trusted_types_not_a_list_of_names(app: Callable[..., TestClient], folder: Path, types: Any) -> None:
    """skops_trusted_types that are not a list of names are a 424."""
    models.edit(folder, lambda mlmodel: mlmodel["flavors"]["sklearn"].update(skops_trusted_types=types))
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, "expected a list of type names")


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_mlmodel(saved: Callable[[str], str], folder: Path, data: st.DataObject) -> None:
    """Whatever replaces a part of MLmodel, the model loads or is a 424: never an internal error."""
    mlmodel = yaml.safe_load((Path(saved("tree_regressor")) / "MLmodel").read_text())
    place, key = mlmodel, data.draw(st.sampled_from(sorted(mlmodel)))
    while type(place[key]) is dict and place[key] and data.draw(st.booleans()):
        place, key = place[key], data.draw(st.sampled_from(sorted(place[key])))
    place[key] = data.draw(JSON_LIKE)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    with contextlib.suppress(ModelUnusable):
        asyncio.run(ModelLoader(str(folder)).model())
