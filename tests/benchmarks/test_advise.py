"""The advice for a real model: complete, within Cloud Run's and BigQuery's limits, and consistent with what it shows."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bqlocal.errors import SourceError
from click.testing import CliRunner, Result
from starlette.testclient import TestClient

from benchmarks.advice import MEMORY, advise, best_batch
from benchmarks.advise import main, report
from benchmarks.trial import Point, Shape, Trial, sample_rows
from launch.prices import usd
from tests import models


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["--seconds", "0.02", *map(str, arguments)])


def test_the_advice_for_a_model_is_complete_and_says_why(saved: Callable[[str], str], tmp_path: Path) -> None:
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


@pytest.mark.parametrize("model", ["times", "categories", "optional_columns"])
def test_rows_made_up_for_a_model_without_an_example_are_answered(
    model: str, tmp_path: Path, app: Callable[..., TestClient]
) -> None:
    getattr(models, model)(tmp_path / "model", input_example=None)
    rows, made_up, files = sample_rows(str(tmp_path / "model"))
    assert made_up
    assert files == sum(file.stat().st_size for file in (tmp_path / "model").rglob("*") if file.is_file())
    reply = app(str(tmp_path / "model")).post("/", json={"calls": rows})
    assert reply.status_code == 200, reply.text
    assert None not in reply.json()["replies"]


def test_that_rows_were_made_up_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for made_up in (True, False):
        measured = dataclasses.replace(trial(shape(1, 100_000)), made_up=made_up)
        report(measured, advise(measured), 10, 1, Path("curve.svg"))
        said = capsys.readouterr().out
        assert ("has no input example, so it was measured with rows made up" in said) == made_up


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("/nowhere", 'The model URI is "/nowhere", and there is no such folder'),
        ("structured", "for its column points JSON: save it again with input_example=X.head()."),
    ],
)
def test_a_model_that_cannot_be_measured_is_refused_by_one_sentence(
    model: str, said: str, saved: Callable[[str], str], tmp_path: Path
) -> None:
    ended = run("--model", model if model.startswith("/") else saved(model), "--output", tmp_path / "advice")
    assert ended.exit_code == 1
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "advice").exists()


def trial(*shapes: Shape) -> Trial:
    curve = [Point(rows, rows / rate, 60 * rows, 12 * rows) for rows, rate in ((1, 900), (100, 80_000), (1000, 95_000))]
    return Trial("model", 8, False, 2**20, 4.0, curve, best_batch(curve), shapes)


def shape(cpu: int, rate: float, memory: int = 300 * 2**20, slowest: float = 0.05) -> Shape:
    return Shape(cpu, cpu, {8: rate, 16: 1.01 * rate}, {8: slowest, 16: slowest}, memory)


def test_the_smallest_batch_that_is_nearly_the_fastest_is_chosen() -> None:
    assert trial().batch == 100


@pytest.mark.parametrize(("second", "cpu"), [(1.8, 1), (2.1, 2)])
def test_the_cheapest_instance_per_row_is_chosen(second: float, cpu: int) -> None:
    assert advise(trial(shape(1, 100_000), shape(2, second * 100_000))).cpu == cpu


@pytest.mark.parametrize(
    ("seen", "memory", "cpu"),
    [(300 * 2**20, "512Mi", "1"), (500 * 2**20, "1Gi", "1"), (2**32, "8Gi", "2"), (9 * 2**30, "16Gi", "4")],
)
def test_memory_has_a_reserve_and_the_processors_that_cloud_run_wants_with_it(seen: int, memory: str, cpu: str) -> None:
    settings = {it.name: it.value for it in advise(trial(shape(1, 100_000, seen))).settings}
    assert (settings["memory"], settings["cpu"]) == (memory, cpu)
    assert any(int(settings["cpu"]) >= least for _, least in MEMORY)


def test_a_model_that_fits_into_no_instance_is_refused() -> None:
    with pytest.raises(SourceError, match=r"^The model at model needs 39\.0 GiB of memory, an instance has 32 at most"):
        advise(trial(shape(1, 100_000, 30 * 2**30)))


@pytest.mark.parametrize(("slowest", "timeout"), [(0.001, "60"), (10.0, "120"), (200.0, "1200")])
def test_the_timeout_leaves_time_for_the_slowest_request_and_stays_below_bigquery_s(
    slowest: float, timeout: str
) -> None:
    assert {it.name: it.value for it in advise(trial(shape(1, 1.0, slowest=slowest))).settings}["timeout"] == timeout


def test_time_and_cost_follow_from_the_rate() -> None:
    advice = advise(trial(shape(1, 100_000)))
    assert advice.seconds(10_000_000, 10) == pytest.approx(4.0 + 10.0)
    assert advice.dollars(10_000_000, 10) == pytest.approx(usd(100 + 40, 100_000, 1, 0.5))
    assert advice.dollars(20_000_000, 10) > 1.5 * advice.dollars(10_000_000, 10)
