"""A soak of some seconds, and that a soak fails when it should."""

import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.kinds import Exchange, Wrong
from tests.soak.run import Count, Soak
from tests.soak.watch import Sample

ROOT = Path(__file__).parents[2]
STEADY = [Sample(100 * 2**20, 20, 5)] * 30


def soak(kinds: int = 2) -> Soak:
    """Return what a good soak sees."""
    counts = {f"kind {at}": Count(right=100, seconds=array("d", [0.001] * 100)) for at in range(kinds)}
    return Soak(counts, samples=list(STEADY), files_before=20, files_after=20)


def test_under_full_load_every_reply_is_right_and_memory_files_and_threads_stay_flat(tmp_path: Path) -> None:
    report = tmp_path / "soak.md"
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.25", "--output", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All is well." in done.stderr
    assert report.read_text() == done.stdout
    assert "| huge |" in done.stdout


def test_a_good_soak_has_nothing_to_say() -> None:
    assert soak().verdict() == []


def leak(seen: Soak) -> None:
    seen.samples = [Sample((100 + at) * 2**20, 20, 5) for at in range(30)]


def one_wrong(seen: Soak) -> None:
    seen.counts["kind 1"].wrong = 1


def too_often_refused(seen: Soak) -> None:
    seen.counts["kind 1"].refused = 3


def nothing_of_a_kind(seen: Soak) -> None:
    seen.counts["kind 1"].right = 0


def files_left_open(seen: Soak) -> None:
    seen.files_after = 21


def more_and_more_threads(seen: Soak) -> None:
    seen.samples = [Sample(100 * 2**20, 20, 5 + at) for at in range(30)]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (leak, "The resident memory grew by"),
        (more_and_more_threads, "The threads grew by"),
        (files_left_open, "21 files are open after the load, 20 were before"),
        (one_wrong, "1 of 201 requests got a wrong reply"),
        (too_often_refused, "3 of 203 requests were refused"),
        (nothing_of_a_kind, "No request of the kind 'kind 1' succeeded"),
    ],
)
def test_a_soak_fails_for(spoil: Callable[[Soak], None], words: str) -> None:
    seen = soak()
    spoil(seen)
    assert any(words in sentence for sentence in seen.verdict())


@pytest.mark.parametrize(
    "reply",
    [(500, b'{"errorMessage": "x"}'), (200, b'{"replies": [1.5]}'), (200, b'{"replies": [1.5, 2.5000001]}'), (200, b'{"replies": [2.5, 1.5]}')],
)  # fmt: skip
def test_another_status_or_reply_is_wrong(reply: tuple[int, bytes]) -> None:
    exchange = Exchange(b"", 200, [1.5, 2.5])
    assert exchange.judge((200, b'{"replies":[1.5,2.5]}'))
    assert not exchange.judge((429, b"{}"))
    with pytest.raises(Wrong):
        exchange.judge(reply)
