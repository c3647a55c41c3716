"""One soak: callers of all kinds at once against the function as its own process, counted, timed and watched."""

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
from tests.soak.kinds import Kind, Wrong, kinds
from tests.soak.watch import Sample, busy_seconds, growing, processes, sample
from tests.soak.wire import PATIENCE, Wire

EVERY = 0.25  # seconds between two samples
SETTLES = 10.0  # seconds after the load in which the function lets go of its connections
MOST_REFUSED = 0.01  # of the requests, by 429
SHOWN = 5  # wrong replies


@dataclass
class Count:
    """What became of the requests of one kind; `seconds` are those of the right ones."""

    right: int = 0
    refused: int = 0
    wrong: int = 0
    seconds: "array[float]" = field(default_factory=lambda: array("d"))

    def percentile(self, percent: float) -> float:
        """Return that percentile of the latency in milliseconds."""
        return float(np.percentile(self.seconds, percent)) * 1_000 if self.seconds else float("nan")


@dataclass
class Soak:
    """What was seen; `files_before` and `files_after` are the open files without load, `cores` how many were busy."""

    counts: dict[str, Count]
    faults: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    files_before: int = 0
    files_after: int = 0
    seconds: float = 0
    cores: float = 0

    @property
    def requests(self) -> int:
        return sum(count.right + count.refused + count.wrong for count in self.counts.values())

    def verdict(self) -> list[str]:
        """Return a sentence for everything that must not be; nothing when all is well."""
        found = list(self.faults)
        if wrong := sum(count.wrong for count in self.counts.values()):
            found.append(f"{wrong} of {self.requests} requests got a wrong reply, or none.")
        if (refused := sum(count.refused for count in self.counts.values())) > MOST_REFUSED * self.requests:
            found.append(
                f"{refused} of {self.requests} requests were refused (429); expected {MOST_REFUSED:.0%} at most."
            )
        found += [
            f"No request of the kind {name!r} succeeded." for name, count in self.counts.items() if not count.right
        ]
        if self.files_after > self.files_before:
            found.append(f"{self.files_after} files are open after the load, {self.files_before} were before.")
        return found + growing(self.samples)


def run(folder: Path, seconds: float, connections: int, seed: int, tick: Callable[[Soak], None]) -> Soak:
    """Soak the function with the saved model `tree_regressor`; call `tick` with each sample."""
    offered = kinds(folder)
    soak = Soak({kind.name: Count() for kind in offered})
    with Function(str(folder), {"LOG_LEVEL": "ERROR"}) as function:
        httpx.get(function.url, trust_env=False, timeout=PATIENCE).raise_for_status()
        watched = processes(function.port)
        asyncio.run(_warm(function.port, offered, connections))
        soak.files_before = _settled(watched, 0)
        soak.samples.append(sample(watched))
        started, busy = time.monotonic(), busy_seconds(watched)
        try:
            asyncio.run(_load(soak, offered, function.port, seconds, connections, seed, watched, tick))
            soak.seconds = time.monotonic() - started
            soak.cores = (busy_seconds(watched) - busy) / soak.seconds
            soak.files_after = _settled(watched, soak.files_before)
        except psutil.NoSuchProcess as gone:
            soak.faults.append(f"A process of the function ended: {gone}.")
        if {process.pid for process in processes(function.port)} != {process.pid for process in watched}:
            soak.faults.append("The function's processes are not those that it had in the beginning.")
        if soak.verdict():
            soak.faults += ["The end of the function's log:", *function.log.read_text().splitlines()[-SHOWN:]]
    return soak


async def _warm(port: int, offered: list[Kind], connections: int) -> None:
    """Let every caller send one request of each kind, so that memory is as much in use as it will be."""

    async def call(chance: Random) -> None:
        wire = Wire(port)
        for kind in chance.sample(offered, len(offered)):
            await kind.act(wire, chance)
        wire.hang_up()

    await asyncio.gather(*(call(Random(at)) for at in range(connections)))


def _settled(watched: list[psutil.Process], expected: int) -> int:
    """Return the open files once connections are closed: when they are as many as expected, or do not change."""
    deadline, before = time.monotonic() + SETTLES, -1
    while (now := sample(watched).files) != before or now > expected > 0:
        if time.monotonic() > deadline:
            break
        before = now
        time.sleep(EVERY)
    return now


async def _load(
    soak: Soak,
    offered: list[Kind],
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
        while time.monotonic() < deadline:
            await asyncio.sleep(EVERY)
            soak.samples.append(sample(watched))
            tick(soak)
        await asyncio.gather(*callers)
    finally:
        for caller in callers:
            caller.cancel()


async def _call(soak: Soak, offered: list[Kind], port: int, deadline: float, number: int, seed: int) -> None:
    """Be one caller, who sends one request after the other."""
    chance, wire = Random(f"{seed} {number}"), Wire(port)
    weights = [kind.weight for kind in offered]
    while time.monotonic() < deadline:
        [kind] = chance.choices(offered, weights)
        count, started = soak.counts[kind.name], time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                right = await kind.act(wire, chance)
        except (Wrong, OSError, EOFError, ValueError) as cause:  # TimeoutError is an OSError
            wire.hang_up()
            count.wrong += 1
            if len(soak.faults) < SHOWN:
                soak.faults.append(f"{kind.name}: {type(cause).__name__}: {cause}")
            continue
        if right:
            count.right += 1
            count.seconds.append(time.perf_counter() - started)
        else:
            count.refused += 1
    wire.hang_up()
