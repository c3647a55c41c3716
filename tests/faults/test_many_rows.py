"""Functions without arguments answer a million rows with one value, in little time and memory."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from launch.function import Function
from tests.assertions import assert_error
from tests.conftest import ROOT

ROWS = 1_000_000
DEADLINE = 600.0  # seconds; the machine may be busy
MAX_CPU_SECONDS = 5.0
MAX_BYTES = 300 * 2**20
MAIN = f"""
import runpy, sys
sys.path.insert(0, {str(ROOT)!r})
from serving.functions import sql_function

@sql_function(returns="INT64", takes="nothing")
def answer(model, rows, options):
    "The same for every row."
    return [42] * len(rows)

predict = runpy.run_path({str(ROOT / "main.py")!r})["predict"]
"""


@pytest.fixture(scope="module")
def function(saved: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    """Return the function, with a SQL function of its own and the model loaded."""
    source = tmp_path_factory.mktemp("source")
    (source / "main.py").write_text(MAIN)
    with Function(saved("tree_regressor"), {"LOG_LEVEL": "CRITICAL"}, source=source) as running:
        assert httpx.get(running.url, timeout=DEADLINE, trust_env=False).status_code == 200
        yield running


def cost(function: Function, name: str, rows: int) -> tuple[httpx.Response, float, int]:
    """Send so many rows; return the response, the CPU seconds, and the bytes of memory that it took at most."""
    (worker,) = psutil.Process(function.pid).children()
    Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # resets the peak
    memory, seconds = worker.memory_info().rss, sum(worker.cpu_times()[:2])
    body = b'{"userDefinedContext":{"function":"%s"},"calls":[%s]}' % (name.encode(), b",".join([b"[]"] * rows))
    response = httpx.post(function.url, content=body, timeout=DEADLINE, trust_env=False)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    assert peak
    return response, sum(worker.cpu_times()[:2]) - seconds, int(peak[1]) * 1024 - memory


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the memory from Linux's /proc")
@pytest.mark.parametrize("name", ["model_info", "answer"])
def test_million_rows(function: Function, name: str) -> None:
    """A million rows of a function without arguments are answered or refused at once, whatever the reply's size."""
    response, seconds, memory = cost(function, name, ROWS)
    print(f"\n{name}: {seconds:.2f} CPU seconds, {memory / 2**20:.0f} MiB")
    if name == "answer":
        assert response.json() == {"replies": [42] * ROWS}
    else:
        assert_error(response, 400, f"these {ROWS} rows", "max_batching_rows = ")
        assert "or more" not in response.text  # the exact size is known without building the reply
    assert seconds < MAX_CPU_SECONDS
    assert memory < MAX_BYTES


def test_rows_of_constant(function: Function) -> None:
    """Every row gets the value: none, one, or many."""
    for rows in (0, 1, 2, 12_345):
        assert cost(function, "answer", rows)[0].json() == {"replies": [42] * rows}
