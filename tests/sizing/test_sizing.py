"""The sizing of a real model: complete, within Cloud Run's and BigQuery's limits, and consistent with its report."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from starlette.testclient import TestClient

from deploy.sizes import size_problems
from deploy.sizing.__main__ import main
from deploy.sizing.measure import Measurements, Point, Shape
from deploy.sizing.recommend import choose_batch, recommend
from deploy.sizing.report import print_report
from deploy.sizing.sample import SizingError, sample_rows
from launch.description import Description
from launch.environment import Environment
from launch.examine import Examined, examine
from launch.lock import Lock
from launch.prices import usd
from serving.model import Model, ModelInfo
from serving.signature import Signature
from tests import models


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["--seconds", "0.02", *map(str, arguments)])


@pytest.mark.check
def test_report_is_complete(saved: Callable[[str], str], tmp_path: Path) -> None:
    """Every option has a value within its limits, in the report, in the file for deploy.sh and in the DDL."""
    ended = run("--model", saved("tree_regressor"), "--output", tmp_path, "--rows", 2_000_000, "--instances", 4)
    assert ended.exit_code == 0, ended.output
    lines = (tmp_path / "options").read_text().splitlines()
    settings = {name: value for name, value, _ in (line.split(maxsplit=2) for line in lines)}
    assert list(settings) == ["max-batching-rows", "memory", "cpu", "workers", "concurrency", "timeout"]
    for name, value in settings.items():
        assert f"--{name} {value} " in ended.stdout
    assert f"OPTIONS (max_batching_rows = {settings['max-batching-rows']}, ...)" in ended.stdout
    assert re.fullmatch(r"(512Mi|(1|2|4|8|16|32)Gi)", settings["memory"])
    assert 60 <= int(settings["timeout"]) <= 1200
    assert settings["cpu"] == settings["workers"]
    assert "2,000,000 rows with 4 instances: " in ended.stdout
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    assert f"Picture: {tmp_path}/curve.svg" in ended.stdout


@pytest.mark.check
@pytest.mark.parametrize("model", ["times", "categories", "optional_columns", "structured"])
def test_made_up_rows(model: str, tmp_path: Path, app: Callable[..., TestClient]) -> None:
    """A model without an input example gets rows that it can score."""
    folder = getattr(models, model)(tmp_path / "model", **({} if model == "structured" else {"input_example": None}))
    sample = sample_rows(examine(folder, str(folder)))
    assert sample.made_up
    files = [file for file in (tmp_path / "model").rglob("*") if file.is_file()]
    assert sample.model_bytes == sum(file.stat().st_size for file in files)
    reply = app(str(tmp_path / "model")).post("/", content=sample.body(len(sample.rows)))
    assert reply.status_code == 200, reply.text
    assert len(reply.json()["replies"]) == len(sample.rows)
    assert None not in reply.json()["replies"]


@pytest.mark.parametrize("made_up", [True, False])
def test_report_mentions_made_up_rows(made_up: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The report says so if, and only if, the rows were made up."""
    measured = dataclasses.replace(measurements(shape(1, 100_000)), made_up=made_up)
    print_report(measured, recommend(measured), 10, 1, Path("curve.svg"))
    printed = capsys.readouterr().out
    assert ("has no input example, so it was measured with rows made up" in printed) == made_up


def test_missing_model(tmp_path: Path) -> None:
    """A model that doesn't exist is one sentence on stderr, and no file is written."""
    ended = run("--model", "/nowhere", "--output", tmp_path / "advice")
    assert ended.exit_code == 2
    assert ended.stderr.count("\n") == 1
    assert 'The model URI is "/nowhere", but there is no such folder' in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "advice").exists()


def test_no_rows(tmp_path: Path) -> None:
    """A model without rows can't be measured, and the error says how to save it."""
    model = Model(ModelInfo("m"), Signature((), None), lambda *_: None)
    lock = Lock("3.11", "")
    found = Examined(tmp_path, "gs://b/m", Description(model, [], []), Environment(tmp_path / "python", lock))
    with pytest.raises(SizingError, match=r"^The model at gs://b/m has no input example.*input_example=X\.head\(\)\.$"):
        sample_rows(found)


def measurements(*shapes: Shape) -> Measurements:
    curve = [Point(rows, rows / rate, 60 * rows, 12 * rows) for rows, rate in ((1, 900), (100, 80_000), (1000, 95_000))]
    return Measurements("model", False, 2**20, 4.0, curve, choose_batch(curve), shapes)


def shape(cpu: int, rate: float, memory: int = 300 * 2**20, p99: float = 0.05) -> Shape:
    return Shape(cpu, cpu, {8: rate, 16: 1.01 * rate}, {8: p99, 16: p99}, memory)


def settings(measured: Measurements) -> dict[str, str]:
    return {setting.name: setting.value for setting in recommend(measured).settings}


def test_batch() -> None:
    """The smallest batch whose rate is close to the best is chosen."""
    assert measurements().batch == 100


@pytest.mark.parametrize(("speedup", "cpu"), [(1.8, 1), (2.1, 2)])
def test_cheapest_shape(speedup: float, cpu: int) -> None:
    """Two CPUs are chosen only if they more than double the rate."""
    assert recommend(measurements(shape(1, 100_000), shape(2, speedup * 100_000))).cpu == cpu


@pytest.mark.parametrize(
    ("peak", "memory", "cpu"),
    [(300 * 2**20, "512Mi", "1"), (500 * 2**20, "1Gi", "1"), (2**32, "8Gi", "2"), (9 * 2**30, "16Gi", "4")],
)
def test_memory(peak: int, memory: str, cpu: str) -> None:
    """Memory has a reserve, and as many CPUs as Cloud Run requires with it."""
    chosen = settings(measurements(shape(1, 100_000, peak)))
    assert (chosen["memory"], chosen["cpu"]) == (memory, cpu)
    assert not list(size_problems(chosen))


def test_model_too_large() -> None:
    """A model that fits no instance raises an error with both sizes."""
    with pytest.raises(
        SizingError, match=r"^The model at model needs 39\.0 GiB of memory, but an instance has at most 32"
    ):
        recommend(measurements(shape(1, 100_000, 30 * 2**30)))


@pytest.mark.parametrize(("p99", "timeout"), [(0.001, "60"), (10.0, "120"), (200.0, "1200")])
def test_timeout(p99: float, timeout: str) -> None:
    """The timeout leaves room for the slowest request and stays within BigQuery's."""
    assert settings(measurements(shape(1, 1.0, p99=p99)))["timeout"] == timeout


def test_time_and_price() -> None:
    """Time and price follow from the rate."""
    sizing = recommend(measurements(shape(1, 100_000)))
    assert sizing.seconds(10_000_000, 10) == pytest.approx(4.0 + 10.0)
    assert sizing.dollars(10_000_000, 10) == pytest.approx(usd(100 + 40, 100_000, 1, 0.5))
    assert sizing.dollars(20_000_000, 10) > 1.5 * sizing.dollars(10_000_000, 10)
