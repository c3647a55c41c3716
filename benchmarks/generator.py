"""Whether the load generator is the bottleneck: what it reaches against a server that answers at once.

Both are one process, as in every other run. The generator's own limit must lie well above the fastest server.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import OURS
from benchmarks.load import Exchange, Outcome, generate, request_bytes
from benchmarks.measurements import Step
from benchmarks.workloads import NUMERIC
from launch.processes import HOST, free_port, server

SIZES = (1, 128, 1_000, 5_000)  # rows
CONNECTIONS = 4


@dataclass(frozen=True)
class Limit:
    """Requests per second of the generator for requests of so many rows, and its share of a processor meanwhile."""

    rows: int
    run: Outcome


def measure(seconds: float, work: Path, step: Step) -> list[Limit]:
    """Return the generator's limits."""
    found = []
    for rows in SIZES:
        step(f"the load generator's own limit, {rows} rows")
        reply = work / f"constant-{rows}.json"
        reply.write_bytes(b'{"replies":[' + b",".join([b"-1.2345"] * rows) + b"]}")
        exchange = Exchange(request_bytes("/", OURS.body(NUMERIC.calls[:rows])), reply.read_bytes())
        port = free_port()
        command = ["benchmarks.constant", str(port), str(reply)]
        with server("The constant server", command, f"http://{HOST}:{port}/", work / "constant.log"):
            found.append(Limit(rows, generate(port, [exchange], CONNECTIONS, seconds=seconds)))
    return found
