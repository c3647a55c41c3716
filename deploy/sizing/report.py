"""Print a sizing, and write the files that deploy.sh and a person read."""

from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from deploy.sizing.measure import Measurements
from deploy.sizing.recommend import Sizing
from serving.errors import quantity


def write_files(folder: Path, measured: Measurements, sizing: Sizing) -> Path:
    """Write `options` (a line per deploy.sh option: name, value, reason) and `curve.svg`; return the picture's path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{setting.name} {setting.value} {setting.reason}\n" for setting in sizing.settings]
    (folder / "options").write_text("".join(lines))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([point.rows for point in measured.curve], [point.rate for point in measured.curve], marker="o")
    axes.axvline(measured.batch, linestyle="--", color="grey", label=f"max_batching_rows = {measured.batch:,}")
    axes.set(xscale="log", xlabel="rows per request", ylabel="rows per second, one caller, one CPU", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "curve.svg", metadata={"Date": None})
    return folder / "curve.svg"


def print_report(measured: Measurements, sizing: Sizing, rows: int, instances: int, picture: Path) -> None:
    """Print the measurements, the settings, and the time and price to expect for `rows` rows on `instances`."""
    console = Console(width=160)
    if measured.made_up:
        console.print(
            f"The model at {measured.uri} has no input example, so it was measured with rows made up from its column "
            "types; real rows may take more or less time.",
            soft_wrap=True,
        )
    curve = Table("rows per request", "rows/s", "milliseconds", "bytes sent", "bytes received")
    for point in measured.curve:
        curve.add_row(
            f"{point.rows:,}",
            f"{point.rate:,.0f}",
            f"{point.seconds * 1000:.2f}",
            f"{point.request_bytes:,}",
            f"{point.reply_bytes:,}",
        )
    console.print(curve)
    settings = Table("option", "value", "why")
    for setting in sizing.settings:
        settings.add_row(f"--{setting.name}", setting.value, setting.reason)
    console.print(settings)
    options = " ".join(f"--{setting.name} {setting.value}" for setting in sizing.settings)
    for line in (
        f"For the deployment: ./deploy.sh {options} ...",
        f"For the DDL: OPTIONS (max_batching_rows = {sizing.batch}, ...)",
        f"Expected of an instance: {sizing.rate:,.0f} rows/s on CPUs like this machine's. {quantity(rows, 'row')} with "
        f"{quantity(instances, 'instance')}: {sizing.seconds(rows, instances):,.1f} s, including a cold start of "
        f"{sizing.cold_start:.1f} s, and {sizing.dollars(rows, instances):.4f} USD on Cloud Run.",
        f"Picture: {picture}",
    ):
        console.print(line, soft_wrap=True)
