"""The sizes that Cloud Run refuses are refused before anything is made, and the others aren't."""

import pytest

from deploy.sizes import memory_problem, size_problems
from tests.deploy.test_options import run

REFUSED = [
    ("8Gi", "1", "8", "--memory 8Gi requires at least 2 CPUs on Cloud Run; expected --cpu 2, or less memory."),
    ("5G", "1", "8", "--memory 5G requires at least 2 CPUs"),
    ("9Gi", "2", "8", "requires at least 4 CPUs"),
    ("20Gi", "4", "8", "requires at least 6 CPUs"),
    ("32Gi", "6", "8", "requires at least 8 CPUs"),
    ("64Gi", "8", "8", "--memory 64Gi is more than an instance of Cloud Run can have; expected at most 32Gi."),
    ("100Mi", "1", "8", "--memory 100Mi is too small for Cloud Run; expected at least 128Mi."),
    ("512Mi", ".5", "8", "--cpu .5 allows one request at a time on Cloud Run; expected --concurrency 1, or --cpu 1."),
    ("2Gi", ".5", "1", "--cpu .5 allows at most 1Gi of memory on Cloud Run; expected --memory 1Gi, or --cpu 1."),
    ("1Gi", "0.25", "1", "--cpu 0.25 allows at most 512Mi"),
    ("512Mi", ".01", "1", "--cpu .01 is too small for Cloud Run; expected at least 0.08."),
    ("1Gi", "8", "8", "--cpu 8 requires at least 4Gi of memory on Cloud Run; expected --memory 4Gi, or fewer CPUs."),
    ("2Gi", "6", "8", "--cpu 6 requires at least 4Gi"),
    ("1Gi", "4", "8", "--cpu 4 requires at least 2Gi"),
]
ACCEPTED = [
    ("2Gi", "1", "8"), ("4Gi", "1", "1000"), ("4G", "1", "8"), ("8Gi", "2", "8"), ("16Gi", "4", "8"), ("24Gi", "6", "8"),
    ("32Gi", "8", "8"), ("4Gi", "6", "8"), ("4Gi", "8", "8"), ("2Gi", "4", "8"), ("128Mi", "1", "8"), ("128M", "1", "8"),
    ("512Mi", ".08", "1"), ("1Gi", "0.5", "1"), ("lots", "1", "8"), ("2Gi", "3", "8"),
]  # fmt: skip


@pytest.mark.parametrize(("memory", "cpu", "concurrency", "said"), REFUSED)
def test_refused_size(memory: str, cpu: str, concurrency: str, said: str) -> None:
    """A size that Cloud Run refuses is one sentence, which says what it accepts."""
    problems = list(size_problems({"memory": memory, "cpu": cpu, "concurrency": concurrency}))
    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.parametrize(("memory", "cpu", "concurrency"), ACCEPTED)
def test_accepted_size(memory: str, cpu: str, concurrency: str) -> None:
    """A size that Cloud Run accepts has no problem; a malformed one is left to the option's own check."""
    assert not list(size_problems({"memory": memory, "cpu": cpu, "concurrency": concurrency}))


GIB = 2**30


@pytest.mark.parametrize(
    ("measured", "workers", "memory", "cpu", "said"),
    [
        (0, 1, "128Mi", "1", ""),
        (GIB, 2, "2Gi", "2", ""),
        (3 * GIB, 1, "2Gi", "1", "takes at least 3.00 GiB of memory when it is loaded, as measured here, and --memory is 2Gi; "
         "expected at least --memory 4Gi."),
        (3 * GIB, 2, "4Gi", "1", "in each of 2 workers, and --memory is 4Gi; expected at least --memory 8Gi and --cpu 2."),
        (200 * 2**20, 1, "128Mi", ".5", "expected at least --memory 512Mi."),
        (40 * GIB, 1, "32Gi", "8", "more than an instance of Cloud Run can have, 32Gi; train a smaller model."),
        (20 * GIB, 2, "32Gi", "8", "lower --workers."),
    ],
)  # fmt: skip
def test_model_that_cannot_fit(measured: int, workers: int, memory: str, cpu: str, said: str) -> None:
    """A model that takes more than --memory is refused with what was measured and the next size; others aren't."""
    problem = memory_problem("The model", measured, workers, memory, cpu)
    assert problem.endswith(said) if said else not problem


def test_all_sizes_at_once() -> None:
    """deploy.sh lists every problem of the sizes, with those of other options."""
    status, lines = run(
        "--project", "my-project", "--region", "us-central1", "--dataset", "ds", "--model", "gs://models/tree",
        "--memory", "2Gi", "--cpu", "0.05", "--timeout", "1201",
    )  # fmt: skip
    assert status == 2
    assert len(lines) == 4
