"""A soak: concurrent callers run random scenarios against the function's own process; replies and resources are checked."""

import asyncio
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import numpy as np
import psutil

from launch.function import Function
from tests.soak.connection import PATIENCE, Connection
from tests.soak.resources import Sample, cpu_seconds, growth, processes, sample
from tests.soak.scenarios import Scenario, WrongReply, scenarios

SAMPLE_INTERVAL = 0.25  # seconds
SETTLE_TIME = 120.0  # seconds at most after the load for the function to close its connections
MAX_REJECTED = 0.01  # share of the requests that may get 429
SHOWN = 5  # wrong replies, and lines of the function's log


@dataclass
class Count:
    """Results of one scenario; `seconds` are the latencies of the right replies."""

    right: int = 0
    rejected: int = 0
    wrong: int = 0
    seconds: "array[float]" = field(default_factory=lambda: array("d"))

    def percentile(self, percent: float) -> float:
        """Return that percentile of the latency in milliseconds."""
        return float(np.percentile(self.seconds, percent)) * 1_000 if self.seconds else float("nan")


@dataclass
class Soak:
    """Results of a soak: `files_before` and `files_after` are open files without load, `cores` is the CPU use."""

    counts: dict[str, Count]
    errors: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    files_before: int = 0
    files_after: int = 0
    seconds: float = 0
    cores: float = 0

    @property
    def requests(self) -> int:
        return sum(count.right + count.rejected + count.wrong for count in self.counts.values())

    def failures(self) -> list[str]:
        """Return one message for each failed expectation; none when all is well."""
        found = list(self.errors)
        if wrong := sum(count.wrong for count in self.counts.values()):
            found.append(f"{wrong} of {self.requests} requests got a wrong reply, or none.")
        if (rejected := sum(count.rejected for count in self.counts.values())) > MAX_REJECTED * self.requests:
            found.append(f"{rejected} of {self.requests} requests got 429; expected {MAX_REJECTED:.0%} at most.")
        found += [f"No request of {name!r} succeeded." for name, count in self.counts.items() if not count.right]
        if self.files_after > self.files_before:
            found.append(f"{self.files_after} files are open after the load, {self.files_before} were before.")
        return found + growth(self.samples)


def run(folder: Path, seconds: float, connections: int, seed: int, tick: Callable[[Soak], None]) -> Soak:
    """Soak the function with a saved `tree_regressor` of tests/models.py; call `tick` after each sample."""
    offered = scenarios(folder)
    soak = Soak({scenario.name: Count() for scenario in offered})
    with Function(str(folder), {"LOG_LEVEL": "ERROR"}) as function:
        httpx.get(function.url, trust_env=False, timeout=PATIENCE).raise_for_status()
        watched = processes(function.port)
        asyncio.run(_warm_up(function.port, offered, connections))
        soak.files_before = _settled_files(watched, 0)
        soak.samples.append(sample(watched))
        started, cpu_before = time.monotonic(), cpu_seconds(watched)
        try:
            asyncio.run(_load(soak, offered, function.port, seconds, connections, seed, watched, tick))
            soak.seconds = time.monotonic() - started
            soak.cores = (cpu_seconds(watched) - cpu_before) / soak.seconds
            soak.files_after = _settled_files(watched, soak.files_before)
        except psutil.NoSuchProcess as ended:
            soak.errors.append(f"A process of the function ended: {ended}.")
        if {process.pid for process in processes(function.port)} != {process.pid for process in watched}:
            soak.errors.append("The function's processes are not the same as at the start.")
        if soak.failures():
            soak.errors += ["The end of the function's log:", *function.log.read_text().splitlines()[-SHOWN:]]
    return soak


async def _warm_up(port: int, offered: list[Scenario], connections: int) -> None:
    """Let every caller run each scenario once, so that memory use reaches its level."""

    async def call(random: Random) -> None:
        connection = Connection(port)
        for scenario in random.sample(offered, len(offered)):
            await scenario.run(connection, random)
        connection.hang_up()

    await asyncio.gather(*(call(Random(at)) for at in range(connections)))


def _settled_files(watched: list[psutil.Process], expected: int) -> int:
    """Return the number of open files once it is stable, and not above `expected` unless that is 0."""
    deadline, before = time.monotonic() + SETTLE_TIME, -1
    while (now := sample(watched).files) != before or now > expected > 0:
        if time.monotonic() > deadline:
            break
        before = now
        time.sleep(SAMPLE_INTERVAL)
    return now


async def _load(
    soak: Soak,
    offered: list[Scenario],
    port: int,
    seconds: float,
    connections: int,
    seed: int,
    watched: list[psutil.Process],
    tick: Callable[[Soak], None],
) -> None:
    deadline = time.monotonic() + seconds
    callers = [asyncio.create_task(_call(soak, offered, port, deadline, at, seed)) for at in range(connections)]
    try:
        while not all(caller.done() for caller in callers):
            await asyncio.sleep(SAMPLE_INTERVAL)
            soak.samples.append(sample(watched))
            tick(soak)
        await asyncio.gather(*callers)
    finally:
        for caller in callers:
            caller.cancel()


async def _call(soak: Soak, offered: list[Scenario], port: int, deadline: float, number: int, seed: int) -> None:
    """Run scenarios one after the other until the deadline.

    The first caller begins with one of each, also beyond the deadline: on a slow machine chance would miss some.
    """
    random, connection = Random(f"{seed} {number}"), Connection(port)
    weights = [scenario.weight for scenario in offered]
    planned = list(offered) if number == 0 else []
    while planned or time.monotonic() < deadline:
        scenario = planned.pop() if planned else random.choices(offered, weights)[0]
        count, started = soak.counts[scenario.name], time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                admitted = await scenario.run(connection, random)
        except (WrongReply, OSError, EOFError, ValueError) as cause:  # TimeoutError is an OSError
            connection.hang_up()
            count.wrong += 1
            if len(soak.errors) < SHOWN:
                soak.errors.append(f"{scenario.name}: {type(cause).__name__}: {cause}")
            continue
        if admitted:
            count.right += 1
            count.seconds.append(time.perf_counter() - started)
        else:
            count.rejected += 1
    connection.hang_up()
