"""A bucket or an MLmodel file that names what is not the model's: refused before it is opened."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from local.storage import Storage
from model_loader import ModelLoader, load
from serving.errors import ModelUnusable
from tests.assertions import assert_error
from tests.faults.conftest import URI
from tests.faults.proxy import Proxy, put_object

ROW = [0.5, -0.25, 1, 2]


@pytest.fixture
def folder(saved: Callable[[str], str], tmp_path: Path) -> Path:
    """Return a model's folder that a test may spoil."""
    return Path(shutil.copytree(saved("tree_regressor"), tmp_path / "model"))


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    change(mlmodel)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


NAMES = {
    "up": "m/../../escaped",
    "up further down": "m/a/../../../escaped",
    "up at the end": "m/a/..",
    "absolute": "m//etc/passwd",
    "an empty part": "m/a//b",
    "a dot": "m/a/./b",
    "a backslash": "m/..\\..\\escaped",
    "a line break": "m/a\nb",
    "NUL": "m/a\0b",
    "a colour": "m/\x1b[31mred",
    "another direction": "m/\u202egpj.exe",
    "no character": "m/\ud800",
    "a long part": "m/" + "x" * 256,
    "a long part of emoji": "m/" + "🦆" * 64,
    "long as a whole": "m/" + "/".join(["x" * 200] * 12),
    "a file and a folder": "m/model.pkl/data",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_object_whose_name_is_unfit_for_a_file_is_a_424_before_anything_is_downloaded(
    proxy: Proxy, name: str, files: Path
) -> None:
    def listed_too(handler: Any, answer: Callable[[], Any]) -> None:
        whole = answer()
        listing = json.loads(whole.body)
        listing["items"].append({**listing["items"][0], "name": name})
        whole.body = json.dumps(listing).encode()
        handler.send(whole)

    proxy.plan = lambda _: listed_too
    with pytest.raises(ModelUnusable, match=r'has an object ".*, whose name (leads|has|is)|has an object a str'):
        asyncio.run(ModelLoader(URI).model())
    assert [asked.name for asked in proxy.asked] == [""]
    assert list(files.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_unusual_names_that_are_fit_for_files_are_files(proxy: Proxy, emulator: Storage) -> None:
    with httpx.Client(base_url=emulator.url, trust_env=False) as client:
        for name in ("Zürich/a b", "🦆", "..a", "a..", "-rf", "Ａ", "x" * 255, "a:b*<>|"):
            put_object(client, f"m/{name}", b"x")
    assert load(URI).info.digest


PATHS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pickled_model": lambda m: m["flavors"]["sklearn"].update(pickled_model="../../model.pkl"),
    "pickled_model absolute": lambda m: m["flavors"]["sklearn"].update(pickled_model="/etc/passwd"),
    "code": lambda m: m["flavors"]["sklearn"].update(code="a/../../code"),
    "code of pyfunc": lambda m: m["flavors"]["python_function"].update(code="/tmp"),
    "data": lambda m: m["flavors"]["python_function"].update(loader_module="mlflow.lightgbm", data="../x"),
    "artifacts": lambda m: m["flavors"]["python_function"].update(
        artifacts={"table": {"path": "../../x", "uri": "/x"}}
    ),
    "input example": lambda m: m["saved_input_example_info"].update(artifact_path="../../../etc/passwd"),
    "input example absolute": lambda m: m["saved_input_example_info"].update(artifact_path="/etc/passwd"),
}


@pytest.mark.parametrize("change", PATHS.values(), ids=PATHS)
def test_a_path_in_mlmodel_that_leads_out_of_the_folder_is_a_424(
    app: Callable[..., TestClient], folder: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    edit(folder, change)
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, "leads out of its folder")


def test_where_an_author_had_his_files_is_no_path_of_the_model(folder: Path) -> None:
    def change(mlmodel: dict[str, Any]) -> None:
        mlmodel["artifact_path"] = "/home/ana/mlruns/0/artifacts"
        mlmodel["flavors"]["python_function"] |= {
            "config": {"table": "/data/x"},
            "model_code_path": "/home/ana/model.py",
        }

    edit(folder, change)
    assert load(str(folder)).info.digest


BOMB = "flavors: {}\nmetadata:\n a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f" {name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
UNREADABLE = {
    "empty": ("", "no mapping `flavors`"),
    "a list": ("- 1", "no mapping `flavors`"),
    "no flavors": ("signature: {}", "no mapping `flavors`"),
    "flavors a list": ("flavors: [sklearn]", "no mapping `flavors`"),
    "a flavor a text": ("flavors: {sklearn: yes please}", "no mapping `flavors`"),
    "not YAML": ("flavors: {", "is no YAML"),
    "an object of Python": ("flavors: !!python/object/apply:os.system ['touch x']", "is no YAML"),
    "a name of Python": ("flavors: !!python/name:os.system", "is no YAML"),
    "deep": ("[" * 5_000, "is no YAML"),
    "a bomb of references": (BOMB, "holds more than"),
    "a circle": ("flavors: {}\nmetadata: &m [*m]", "holds more than"),
    "large": ("flavors: {}\n" + "#" * 2_000_000, "more than 2000000"),
    "another encoding": ("flavors: {}".encode("utf-16").decode("latin-1"), "is no YAML"),
}


@pytest.mark.parametrize(("text", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_mlmodel_file_that_is_no_plain_data_is_a_424(
    app: Callable[..., TestClient], folder: Path, text: str, words: str
) -> None:
    (folder / "MLmodel").write_text(text, "latin-1")
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, words)


@pytest.mark.parametrize("asked", [[None], ["sklearn.tree", 1], True, {"a": "b"}])
def test_trusted_types_that_are_no_list_of_names_are_a_424(
    app: Callable[..., TestClient], folder: Path, asked: Any
) -> None:
    edit(folder, lambda mlmodel: mlmodel["flavors"]["sklearn"].update(skops_trusted_types=asked))
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, "expected a list of the names of types")


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mlmodel_file_is_our_fault(saved: Callable[[str], str], folder: Path, data: st.DataObject) -> None:
    """Any part of the file replaced by anything: the model that was saved, or a 424."""
    mlmodel = yaml.safe_load((Path(saved("tree_regressor")) / "MLmodel").read_text())
    place, key = mlmodel, data.draw(st.sampled_from(sorted(mlmodel)))
    while type(place[key]) is dict and place[key] and data.draw(st.booleans()):
        place, key = place[key], data.draw(st.sampled_from(sorted(place[key])))
    place[key] = data.draw(JSON_LIKE)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    with contextlib.suppress(ModelUnusable):
        asyncio.run(ModelLoader(str(folder)).model())
