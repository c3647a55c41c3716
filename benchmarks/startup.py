"""What a start costs in two checkouts, beside the speed that comparison.py is about: seconds and memory.

A round starts the default model in both checkouts, one after the other, and the other way around in the next round. A
start ends with the first correct reply; the memory is that of the process then. The first start of each isn't
counted, because it compiles and reads the packages.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.table import Table

from benchmarks.comparison import interval
from benchmarks.models import MODELS, saved
from benchmarks.servers import OURS, difference
from benchmarks.workloads import NUMERIC, WORKLOADS, Workload
from deploy.sizing.load_generator import Exchange, generate, http_request
from deploy.sizing.resources import memory
from launch.function import Function
from launch.processes import ProcessError

MAX_SECONDS, MAX_MEMORY = 1.03, 1.20  # of the old checkout, and of the model without a plan


@dataclass
class Starts:
    """Seconds until the first reply, and bytes of memory then, by round."""

    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


def compare_starts(
    old: Path, new: Path, rounds: int, work: Path, advance: Callable[[str], None]
) -> tuple[Starts, Starts]:
    """Start the default model in both checkouts once per round; raise ProcessError for a wrong reply or none."""
    folder = saved(NUMERIC.model, work)
    found = Starts(), Starts()
    for number in range(-1, rounds):
        advance(f"cold start, round {number + 1} of {rounds}")
        sides = list(zip((old, new), found, strict=True))
        for source, starts in sides if number % 2 else sides[::-1]:
            seconds, size = _start(NUMERIC, folder, source, {})
            if number >= 0:
                starts.seconds.append(seconds)
                starts.memory.append(size)
    return found


def measure_plans(source: Path, rounds: int, work: Path, advance: Callable[[str], None]) -> dict[str, list[list[int]]]:
    """Return the bytes of memory of each model without and with its plan, by round."""
    found: dict[str, list[list[int]]] = {}
    for workload in {workload.model: workload for workload in WORKLOADS[::-1]}.values():
        folder = saved(workload.model, work)
        for number in range(rounds):
            advance(f"memory of the model {workload.model}, round {number + 1} of {rounds}")
            sizes = [_start(workload, folder, source, {"MODEL_PLAN": plan})[1] for plan in ("off", "on")]
            found.setdefault(workload.model, []).append(sizes)
    return {name: found[name] for name in MODELS}


def _start(workload: Workload, folder: Path, source: Path, settings: Mapping[str, str]) -> tuple[float, int]:
    # The builder of Cloud Functions compiles the source; here the first start does, if Python may write the result.
    environment = {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "", **settings}
    started = time.perf_counter()
    with Function(str(folder), environment, source=source) as function:
        request = http_request("/", OURS.body(workload, slice(1)))
        reply = generate(function.port, [Exchange(request)], requests=1)
        seconds = time.perf_counter() - started
        if reply.error:
            raise ProcessError(f"The function in {source} fails: {reply.error}.")
        expected, may_be_null = workload.expected(folder)[:1], workload.may_be_null[:1]
        if wrong := difference(OURS.values(reply.bodies[0]), expected, may_be_null, workload.tolerance):
            raise ProcessError(f"The first reply of {source} to {workload.name} is wrong: {wrong}.")
        return seconds, memory(function.pid).total


def starts_table(old: Starts, new: Starts, commit: str) -> Table:
    """Return the starts of both checkouts for a terminal."""
    shown = Table("a start", commit, "this checkout", "new/old", "verdict")
    rows: Sequence[tuple[str, Sequence[float], Sequence[float], float, str, float]] = (
        ("seconds to the first reply", old.seconds, new.seconds, 1, ".2f", MAX_SECONDS),
        ("MB of memory", old.memory, new.memory, 1e6, ".1f", MAX_SECONDS),
    )
    for name, before, after, unit, form, most in rows:
        ratios = [mine / other for mine, other in zip(after, before, strict=True)]
        low, high = interval(ratios)
        verdict = f"[red]MORE than {most}[/]" if low > most else f"[green]not above {most}[/]"
        shown.add_row(
            name,
            format(median(before) / unit, form),
            format(median(after) / unit, form),
            f"{median(ratios):.3f} ({low:.3f} to {high:.3f})",
            verdict,
        )
    return shown


def plans_table(found: Mapping[str, Sequence[Sequence[int]]]) -> Table:
    """Return the memory of each model without and with its plan for a terminal."""
    shown = Table("model", "MB without a plan", "with it", "with/without")
    for name, sizes in found.items():
        without, with_plan = (median(side) for side in zip(*sizes, strict=True))
        style = "red" if with_plan > MAX_MEMORY * without else "green"
        ratio = f"[{style}]{with_plan / without:.3f}[/]"
        shown.add_row(name, f"{without / 1e6:.1f}", f"{with_plan / 1e6:.1f}", ratio)
    return shown
