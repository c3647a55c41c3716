"""A short soak, and checks that a soak fails when it should."""

import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.resources import Sample
from tests.soak.run import Count, Soak
from tests.soak.scenarios import Exchange, WrongReply

ROOT = Path(__file__).parents[2]
STEADY = [Sample(100 * 2**20, 20, 5)] * 30


def good_soak() -> Soak:
    """Return the results of a soak without failures."""
    counts = {f"scenario {at}": Count(right=100, seconds=array("d", [0.001] * 100)) for at in range(2)}
    return Soak(counts, samples=list(STEADY), files_before=20, files_after=20)


@pytest.mark.slow
def test_full_load(tmp_path: Path) -> None:
    """Under full load every reply is right, and memory, files and threads stay flat."""
    report = tmp_path / "soak.md"
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.25", "--output", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All is well." in done.stderr
    assert report.read_text() == done.stdout
    assert "| huge |" in done.stdout


def test_good_soak() -> None:
    """A soak without failures reports none."""
    assert good_soak().failures() == []


def leak_memory(soak: Soak) -> None:
    soak.samples = [Sample((100 + at) * 2**20, 20, 5) for at in range(30)]


def leak_threads(soak: Soak) -> None:
    soak.samples = [Sample(100 * 2**20, 20, 5 + at) for at in range(30)]


def leave_file_open(soak: Soak) -> None:
    soak.files_after = 21


def one_wrong_reply(soak: Soak) -> None:
    soak.counts["scenario 1"].wrong = 1


def too_many_rejections(soak: Soak) -> None:
    soak.counts["scenario 1"].rejected = 3


def nothing_right(soak: Soak) -> None:
    soak.counts["scenario 1"].right = 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (leak_memory, "The resident memory grew by"),
        (leak_threads, "The threads grew by"),
        (leave_file_open, "21 files are open after the load, 20 were before"),
        (one_wrong_reply, "1 of 201 requests got a wrong reply"),
        (too_many_rejections, "3 of 203 requests got 429"),
        (nothing_right, "No request of 'scenario 1' succeeded"),
    ],
)
def test_failed_soak(spoil: Callable[[Soak], None], message: str) -> None:
    """A soak reports each kind of failure."""
    soak = good_soak()
    spoil(soak)
    assert any(message in failure for failure in soak.failures())


@pytest.mark.parametrize(
    "reply",
    [(500, b'{"errorMessage": "x"}'), (200, b'{"replies": [1.5]}'), (200, b'{"replies": [1.5, 2.5000001]}'), (200, b'{"replies": [2.5, 1.5]}')],
)  # fmt: skip
def test_wrong_reply(reply: tuple[int, bytes]) -> None:
    """Another status or reply than the expected one is wrong; 429 is not."""
    exchange = Exchange(b"", 200, [1.5, 2.5])
    assert exchange.check((200, b'{"replies":[1.5,2.5]}'))
    assert not exchange.check((429, b"{}"))
    with pytest.raises(WrongReply):
        exchange.check(reply)
