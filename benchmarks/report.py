"""RESULTS.md and its picture, written only from what was measured."""

import importlib.metadata
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.cold_start import Starts, median
from benchmarks.instances import CALLERS, WARM_UP_REQUESTS, Callers, Scaling
from benchmarks.measurements import BARE, Plan, Result
from benchmarks.picture import draw_throughput
from benchmarks.plans import ROWS, Gain
from benchmarks.servers import OURS, Implementation
from benchmarks.targets import CONNECTIONS, Target
from deploy.sizing.resources import Memory

PACKAGES = (
    *("functions-framework", "gunicorn", "uvicorn", "fastapi", "pydantic", "mlflow", "scikit-learn", "numpy", "pandas"),
    *("orjson", "pysimdjson"),
)
SHARES = (0.5, 0.9, 0.99)
PICTURE = "throughput.png"


@dataclass(frozen=True)
class Findings:
    """Everything that one run measured; `missing` says why a server could not be installed, by name."""

    plan: Plan
    servers: Sequence[Implementation]
    missing: Mapping[str, str]
    results: Sequence[Result]
    targets: Sequence[Target]
    starts: Starts
    memories: Mapping[str, tuple[Memory, Memory]]
    callers: Callers
    scaling: Scaling | None
    flatness: Mapping[int, float]
    gains: Sequence[Gain]


def write(found: Findings, file: Path) -> None:
    """Write the report, and its picture beside it."""
    names = [server.name for server in found.servers]
    numeric = [it for it in found.results if it.cell.workload == found.results[0].cell.workload]
    _draw([it for it in numeric if it.cell.connections == CONNECTIONS], names, file.parent / PICTURE)
    parts = [
        "# Benchmark results\n",
        "Written by `make bench`; do not edit.\n",
        _machine(found.plan),
        "## Targets\n\nRatios are medians over the rounds, with the smallest and the largest.\n",
        _table(
            ["what", "wanted", "measured", "met"],
            [[it.what, it.wanted, it.measured, it.verdict] for it in found.targets],
        ),
        "## Servers\n",
        "\n".join(f"- **{it.name}**: {it.about}." for it in found.servers),
        f"- **{BARE}**: the model alone on one thread, called with an array where all columns are FLOAT64, else with a "
        "DataFrame.\n",
        *[f"{name} is missing: {why}\n" for name, why in found.missing.items()],
        "Each server is one process with its own defaults, on the same model and rows. Before it is timed, every reply "
        "is compared with the bare prediction; while it is timed, every reply must repeat the same bytes. Only the "
        "numbers of a linear model may differ, by 1e-12 relatively, because the last bit of a matrix product depends "
        "on the rows predicted together. With 5% NULL, a third of the rows contains one. Such a row may be answered by "
        "NULL (this function's default) or by what the bare model predicts for NaN; a model that was trained on NULLs "
        "must predict it.\n",
        "## Rows per second, numeric, tree pipeline, 8 FLOAT64 columns\n",
        _rates(numeric, names),
        f"![rows per second at {CONNECTIONS} connections]({PICTURE})\n",
        f"## Other rows and models, {CONNECTIONS} connections\n",
        _rates([it for it in found.results if it not in numeric], names),
        "## Latency, numeric\n",
        _latencies(numeric, names),
        "## Cold start\n",
        _table(
            ["process start to first correct reply", "median", "range"],
            [
                [name, f"{median(found.starts, name):.2f} s", f"{min(times):.2f} to {max(times):.2f} s"]
                for name, times in found.starts.items()
            ],
        ),
        "## Memory\n",
        _memory(found.memories),
        "## Single rows, processes, many rows\n",
        _callers(found.callers),
        _scaling(found.scaling),
        f"Time per row, one caller, 1,000 rows per request, after {WARM_UP_REQUESTS} requests on the connection: "
        + ", ".join(f"{rows:,} rows {value:.2f} µs" for rows, value in found.flatness.items())
        + ".\n",
        "## A plan in place of the model\n",
        gains(found.gains),
        "## Load generator\n",
        _generator(found.results),
    ]
    file.write_text("\n".join(parts))


def _draw(results: Sequence[Result], names: Sequence[str], file: Path) -> None:
    curves = {
        name: [(it.cell.rows, it.rate(name)) for it in results if name in it.rates and name not in it.errors]
        for name in [*names, BARE]
    }
    draw_throughput({name: curve for name, curve in curves.items() if curve}, file)


def _machine(plan: Plan) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {psutil.cpu_count()} CPUs ({_cpu_model()}), "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; {versions}. The load generator runs on the same CPUs.\n\n"
        f"`make bench`: {plan.rounds} interleaved rounds of {plan.seconds:g} s each; `make bench QUICK=1` measures "
        "only the first table.\n"
    )


def _cpu_model() -> str:
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
    """Return rows per second of each server, and below each baseline how many times faster this function is."""
    rows = []
    for result in results:
        cells = []
        for name in [*names, BARE]:
            if name in result.errors:
                cells.append(result.errors[name])
            elif name == OURS.name:
                cells.append(f"{result.rate(name):,.0f}")
            else:
                cells.append(f"{result.rate(name):,.0f}<br>×{result.ratio(OURS.name, name)}")
        rows.append([result.cell.workload.name, f"{result.cell.rows:,}", str(result.cell.connections), *cells])
    return (
        "Below each baseline: this function's rows per second divided by the baseline's, median and range.\n\n"
        + _table(["workload", "rows per request", "connections", *names, BARE], rows)
    )


def _latencies(results: Sequence[Result], names: Sequence[str]) -> str:
    rows = []
    for result in results:
        cells = []
        for name in names:
            milliseconds = [] if name in result.errors else [result.latency(name, share) * 1000 for share in SHARES]
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
        "\nThe serving process: its resident pages (RSS). All processes: plus the private pages (USS) of the others, "
        "such as the web server's parent. The 10,000 requests have 128 rows each.\n"
    )


def _callers(callers: Callers) -> str:
    lines = []
    for name, runs in callers.many.items():
        rate = statistics.median(run.rate for run in runs)
        single = statistics.median(run.latency(0.5) * 1000 for run in callers.single[name])
        lines.append(
            f"{CALLERS} callers of one row on the forest, {name} coalescing: {rate:,.0f} requests/s; a single caller: "
            f"median {single:.2f} ms.\n"
        )
    return "\n".join(lines)


def _scaling(scaling: Scaling | None) -> str:
    if scaling is None:
        return "One process and two were not compared, because there is only one CPU.\n"
    one, two = statistics.median(scaling.one), statistics.median(scaling.two)
    return (
        f"One process on one CPU: {one:,.0f} rows/s; two, each on its own CPU: {two:,.0f}, ×{scaling.ratio}. "
        "Each process shares its CPU with its load generator.\n"
    )


def gains(found: Sequence[Gain]) -> str:
    """Return a table of what plans save."""
    head = ["model", *("1 row" if rows == 1 else f"{rows:,} rows" for rows in ROWS), "answers"]
    rows = [[it.model, *(_gain(it, count) for count in ROWS), it.answers] for it in found]
    return (
        "Microseconds of the model itself / of its plan, and how many times faster the plan is; in one process, on "
        "one thread, from the same decoded rows. The last column says which of the two answers:\n\n"
        + _table(head, rows)
    )


def _gain(gain: Gain, rows: int) -> str:
    asked = gain.asked[rows]
    if rows not in gain.planned:
        return f"{asked:,.0f} / -"
    return f"{asked:,.0f} / {gain.planned[rows]:,.0f} (×{asked / gain.planned[rows]:.1f})"


def _generator(results: Sequence[Result]) -> str:
    busiest = max(run.busy for result in results for run in result.runs.get(OURS.name, ()))
    return (
        "The load generator sends prepared bytes and compares the replies. While it measured this function, it used at "
        f"most {busiest:.0%} of one CPU, so it was not the bottleneck.\n"
    )
