"""PyTorch's builds for CPUs: taken from their own index where it has them, in a way that pip understands."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from launch import packages, resolver
from launch.lock import Lock, resolve
from launch.needs import Needs
from tests.launch.index import Index


@pytest.fixture
def pypi() -> Iterator[Index]:
    """Return an index with builds for GPUs, of versions that exist nowhere else."""
    with Index("2024-05-01T00:00:00Z") as index:
        index.add("nvidia-nothing", "1.0")
        index.add("torch", "99.0", ["nvidia-nothing==1.0"])
        index.add("torchvision", "99.1", ["torch==99.0"])
        yield index


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    """Return an empty index that stands for PyTorch's, which doesn't say when a file was uploaded."""
    monkeypatch.setattr(resolver, "CACHE", tmp_path / "locks")
    with Index() as index:
        monkeypatch.setattr(packages, "TORCH_INDEX", index.url)
        yield index


def lock(pypi: Index, *lines: str, hashes: bool = False) -> Lock:
    option = f"--extra-index-url {pypi.url}"
    listed = {"another": frozenset({"sha256:0"})} if hashes else {}
    needs = Needs("3.11.9", tuple(map(Requirement, lines)), (option,), "2024-06-01", hashes=listed)
    return resolve(needs, "gs://models/m")


@pytest.mark.parametrize(
    "hashes",
    [
        pytest.param(False, marks=pytest.mark.check, id="plain"),
        pytest.param(True, marks=pytest.mark.slow, id="hashes"),
    ],
)
def test_builds_for_cpus(hashes: bool, pypi: Index, builds: Index, tmp_path: Path) -> None:
    """The lock has the builds for CPUs and the line that names their index, and pip takes them from there."""
    builds.add("torch", "99.0+cpu")
    builds.add("torchvision", "99.1+cpu", ["torch==99.0"])
    found = lock(pypi, "torch==99.0", "torchvision==99.1", hashes=hashes)
    assert found.text.splitlines()[:2] == [f"--extra-index-url {pypi.url}", f"--extra-index-url {builds.url}"]
    assert (found.versions["torch"], found.versions["torchvision"]) == ("99.0+cpu", "99.1+cpu")
    assert not [name for name in found.versions if name.startswith("nvidia-")]
    assert found.notes == (f"Installed as builds for CPUs from {builds.url}: torch 99.0 and torchvision 99.1.",)
    assert found.moved == ()
    file = tmp_path / "requirements.txt"
    deployed = [line for line in found.text.replace("\\\n", " ").splitlines() if line.startswith(("-", "torch"))]
    file.write_text("\n".join(deployed))
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", tmp_path / "wheels", "-r", file]
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    subprocess.run([*pip, "--index-url", pypi.url], env=environment, check=True, capture_output=True)
    assert len(list((tmp_path / "wheels").glob("torch*+cpu-*.whl"))) == 2


@pytest.mark.slow
def test_transitive(pypi: Index, builds: Index) -> None:
    """PyTorch that another package requires is a build for CPUs too."""
    builds.add("torch", "99.0+cpu")
    pypi.add("of-this-test", "1.0", ["torch"])
    assert lock(pypi, "of-this-test==1.0").versions["torch"] == "99.0+cpu"


@pytest.mark.check
def test_no_build_that_fits(pypi: Index, builds: Index) -> None:
    """Without a build of this version PyPI's is kept, and the user is told."""
    builds.add("torch", "98.0+cpu")
    found = lock(pypi, "torch==99.0")
    assert (found.versions["torch"], found.versions["nvidia-nothing"]) == ("99.0", "1.0")
    assert builds.url not in found.text
    reason = f"because {builds.url} has no build for CPUs that fits: torch 99.0."
    assert found.notes == (f"Installed with libraries for GPUs, {reason}",)


@pytest.mark.slow
def test_unreachable_index(pypi: Index, builds: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the index PyPI's build is kept, and the user is told."""
    monkeypatch.setattr(packages, "TORCH_INDEX", "http://127.0.0.1:9")
    found = lock(pypi, "torch==99.0")
    assert found.versions["torch"] == "99.0"
    assert found.notes == (
        "Installed with libraries for GPUs, because http://127.0.0.1:9 cannot be reached: torch 99.0.",
    )


@pytest.mark.slow
def test_no_libraries_for_gpus(pypi: Index, builds: Index) -> None:
    """A build that needs no libraries for GPUs stays."""
    builds.add("torch", "97.0+cpu")
    pypi.add("torch", "97.0")
    found = lock(pypi, "torch==97.0")
    assert (found.versions["torch"], found.notes) == ("97.0", ())
