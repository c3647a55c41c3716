"""RESULTS.md, written from what was measured and from nothing else."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import pictures
from benchmarks.cold_start import Starts, median
from benchmarks.contestants import OURS, Contestant
from benchmarks.generator import Limit
from benchmarks.instances import CALLERS, IN_USE, Callers, Growth, Memory
from benchmarks.measurements import BARE, Plan, Result
from benchmarks.stages import STAGES, Profile
from benchmarks.targets import Target

PACKAGES = (
    *("functions-framework", "gunicorn", "uvicorn", "fastapi", "pydantic", "mlflow", "scikit-learn", "numpy", "pandas"),
    "orjson", "pysimdjson",
)  # fmt: skip
SHARES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Findings:
    """Everything that one run measured."""

    plan: Plan
    contestants: Sequence[Contestant]
    missing: Mapping[str, str]
    results: Sequence[Result]
    targets: Sequence[Target]
    starts: Starts
    memories: Mapping[str, tuple[Memory, Memory]]
    callers: Callers
    growth: Growth | None
    flatness: Mapping[int, float]
    profile: Sequence[Profile]
    limits: Sequence[Limit]


def write(found: Findings, file: Path) -> None:
    """Write the report and its pictures, which go into the folder `pictures` beside it."""
    names = [contestant.name for contestant in found.contestants]
    numeric = [it for it in found.results if it.cell.workload == found.results[0].cell.workload]
    folder = file.parent / "pictures"
    four = [it for it in numeric if it.cell.connections == 4]
    shown = {
        "throughput": pictures.write(folder, "throughput", pictures.throughput(four, names)),
        "latency": pictures.write(folder, "latency", pictures.latencies(four[0], names, SHARES)),
        "cold": pictures.write(folder, "cold-start", pictures.cold_starts(found.starts), height=2.8),
        "memory": pictures.write(folder, "memory", pictures.memory(found.memories), width=5),
    }
    parts = [
        "# Measured\n",
        "Written by `make bench`; do not edit.\n",
        _machine(found.plan),
        "## Wanted and measured\n\nRatios are medians over the rounds, with the smallest and the largest.\n",
        _table(
            ["what", "wanted", "measured", "met"],
            [[it.what, it.wanted, it.measured, it.verdict] for it in found.targets],
        ),
        "## Who is compared\n",
        "\n".join(f"- **{it.name}**: {it.about}." for it in found.contestants),
        "- **bare predict**: the model alone on one thread, an array for FLOAT64 columns; the limit.\n",
        *[f"{name} is missing: {why}\n" for name, why in found.missing.items()],
        "Each is one process with its own defaults, on the same model and rows. Before it is timed, every reply is "
        "compared with the bare prediction; while it is timed, every reply must be the same bytes again. A row with "
        "NULL may be answered by NULL (this function's default) or by what the bare model makes of NaN; 5% of the "
        "values are NULL, so a third of the rows has one.\n",
        "## Rows per second, numeric, tree pipeline, 8 FLOAT64 columns\n",
        _rates(numeric, names),
        f"![rows per second at 4 connections](pictures/{shown['throughput']})\n",
        "## Other rows and models, 4 connections\n",
        _rates([it for it in found.results if it not in numeric], names),
        "## Latency, numeric\n",
        _latencies(numeric, names),
        f"![latency of one row at 4 connections](pictures/{shown['latency']})\n",
        "## Cold start\n",
        _table(
            ["process start to first right reply", "median", "range"],
            [
                [name, f"{median(found.starts, name):.2f} s", f"{min(times):.2f} to {max(times):.2f} s"]
                for name, times in found.starts.items()
            ],
        ),
        f"![cold start](pictures/{shown['cold']})\n",
        "## Memory\n",
        _memory(found.memories),
        f"![memory](pictures/{shown['memory']})\n",
        "## Single rows, processes, many rows\n",
        _callers(found.callers),
        _growth(found.growth),
        f"Time per row, one caller, 1,000 rows per request, after {IN_USE} requests on the connection: "
        + ", ".join(f"{rows:,} rows {value:.2f} µs" for rows, value in found.flatness.items())
        + ".\n",
        "## Where the time goes\n",
        "Microseconds per request of a lone caller, by stage (`python -m benchmarks.stages`).\n",
        _table(
            ["rows of", "rows", *STAGES],
            [[kind, f"{rows:,}", *(f"{stages[name]:,.0f}" for name in STAGES)] for kind, rows, stages in found.profile],
        ),
        "## Whether the load generator was the bottleneck\n",
        _generator(found),
    ]
    file.write_text("\n".join(parts))


def _machine(plan: Plan) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {psutil.cpu_count()} CPUs ({_processor()}), "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; {versions}. The load generator runs on the same CPUs.\n\n"
        f"`make bench`: {plan.rounds} interleaved rounds of {plan.seconds:g} s each; `make bench QUICK=1` measures the "
        "first table alone.\n"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rates(results: Sequence[Result], names: Sequence[str]) -> str:
    """Return rows per second of each, and under a rival how many times as fast this function is."""
    rows = []
    for result in results:
        cells = []
        for name in [*names, BARE]:
            if name in result.faults:
                cells.append(result.faults[name])
            elif name == OURS.name:
                cells.append(f"{result.rate(name):,.0f}")
            else:
                cells.append(f"{result.rate(name):,.0f}<br>×{result.ratio(OURS.name, name)}")
        rows.append([result.cell.workload.kind, f"{result.cell.rows:,}", str(result.cell.connections), *cells])
    return "Under each rival: this function's rows per second divided by the rival's, median and range.\n\n" + _table(
        ["rows of", "rows per request", "connections", *names, BARE], rows
    )


def _latencies(results: Sequence[Result], names: Sequence[str]) -> str:
    rows = []
    for result in results:
        cells = []
        for name in names:
            milliseconds = [] if name in result.faults else [result.latency(name, share) * 1000 for share in SHARES]
            cells.append(" / ".join(f"{value:.3g}" for value in milliseconds) or "-")
        rows.append([f"{result.cell.rows:,}", str(result.cell.connections), *cells])
    return "Milliseconds: p50 / p90 / p99.\n\n" + _table(["rows per request", "connections", *names], rows)


def _memory(memories: Mapping[str, tuple[Memory, Memory]]) -> str:
    rows = []
    for name, (first, later) in memories.items():
        values = (first.largest, later.largest, first.total, later.total)
        rows.append([name, *(f"{value / 1e6:.0f} MB" for value in values)])
    head = ["", "serving process, first request", "10,000 requests later", "all processes, first", "later"]
    return _table(head, rows) + (
        "\nThe serving process: its resident pages (RSS). All processes: what others, such as the web server's parent, "
        "have for themselves (USS) comes on top. The 10,000 requests have 128 rows each.\n"
    )


def _callers(callers: Callers) -> str:
    lines = []
    for name, runs in callers.many.items():
        rates = sorted(run.rate for run in runs)
        lone = sorted(run.latency(0.5) * 1000 for run in callers.lone[name])
        lines.append(
            f"{CALLERS} callers of one row on the forest, {name} coalescing: {rates[len(rates) // 2]:,.0f} requests/s; "
            f"a lone caller: median {lone[len(lone) // 2]:.2f} ms.\n"
        )
    return "\n".join(lines)


def _growth(growth: Growth | None) -> str:
    if growth is None:
        return "One process and two were not compared, since there is only one CPU.\n"
    one, two = (sorted(values)[len(values) // 2] for values in (growth.one, growth.two))
    return (
        f"One process kept to one CPU: {one:,.0f} rows/s; two, each with its own: {two:,.0f}, ×{growth.ratio}. "
        "The load for each comes from the same CPU.\n"
    )


def _generator(found: Findings) -> str:
    runs = [(result.cell, run) for result in found.results for run in result.runs.get(OURS.name, ())]
    rows = []
    for limit in found.limits:
        fastest = max(run.rate for cell, run in runs if cell.rows == limit.rows)
        busiest = max(run.busy for cell, run in runs if cell.rows == limit.rows)
        rows.append(
            [
                f"{limit.rows:,}",
                f"{limit.run.rate:,.0f}",
                f"{fastest:,.0f}",
                f"{limit.run.rate / fastest:.1f}",
                f"{busiest:.0%}",
            ]
        )
    return (
        "The generator sends prepared bytes and compares the replies. Against a server that answers at once with a "
        "constant it reaches its limit; beside it the fastest run of this function, how many times that the limit is, "
        "and the share of one CPU that the generator took at most.\n\n"
        + _table(["rows per request", "generator's limit, requests/s", "fastest run", "times", "generator's CPU"], rows)
    )
