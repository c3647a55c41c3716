"""The environment of a model on this machine: a virtual environment with the Python and the packages of its lock.

It is what is deployed, so the model is examined, served and compared in it. Environments are kept in
`.deploy/environments` by the hash of their lock, and `make clean` removes them.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from launch import kept, uv
from launch.errors import Blocked
from launch.lock import Lock
from launch.packages import CPU_BUILDS
from serving.errors import quantity

FOLDER = kept.KEPT / "environments"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Environment:
    """An environment that exists: its interpreter, and the lock that it was made from."""

    python: Path
    lock: Lock


def make(lock: Lock, report: Report = lambda _: None, *, interpreter: str = "") -> Environment:
    """Return the environment of a lock, made now unless it exists; `report` is told what takes a while.

    `interpreter` is the path of a Python to use instead of one that is found or fetched. Raise Blocked.
    """
    told = f"Creating an environment with Python {lock.python} and {quantity(len(lock.versions), 'package')}"
    with _created(lock, told, report) as folder:
        if folder:
            _create(folder, lock, interpreter, "--no-deps")
            _check(folder, lock)
    return Environment(FOLDER / lock.digest / "bin" / "python", lock)


def make_own(lines: Lock, day: str, report: Report) -> Environment:
    """Return the environment in which a model was saved, of packages as of a day; lines may be left out."""
    told = f"Creating the environment that the model was saved in, with Python {lines.python}, to compare with it"
    with _created(lines, told, report) as folder:
        if folder:
            _create(folder, lines, "", *(["--exclude-newer", day] if day else []))
    return Environment(FOLDER / lines.digest / "bin" / "python", lines)


@contextlib.contextmanager
def _created(lock: Lock, told: str, report: Report) -> Iterator[Path | None]:
    """Yield the folder of an environment to create, None if it exists; remove it if the block raises."""
    folder = FOLDER / lock.digest
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _locked(FOLDER / f"{lock.digest}.lock"):
        if (folder / "complete").is_file():
            yield None
            return
        shutil.rmtree(folder, ignore_errors=True)
        report(told)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        size = sum(file.stat().st_size for file in folder.rglob("*") if not file.is_symlink() and file.is_file())
        (folder / "complete").write_text(f"{size}\n")
        report(f"It takes {size / 1e6:,.0f} MB in {kept.place(folder)}.")


def find_python(version: str) -> str:
    """Return the path of a Python of this minor version: one that is installed, else one that uv fetches."""
    names = [str(path) for path in _of_pyenv(version)]
    try:
        return names[-1] if names else uv.run("python", "find", "--no-project", version).strip()
    except uv.UvError:
        pass
    try:
        uv.run("python", "install", version)
        return uv.run("python", "find", "--no-project", version).strip()
    except uv.UvError as error:
        raise Blocked(
            [f"There is no Python {version} on this machine, and it cannot be fetched: install it, or name one with "
             f"--python. {error.reason}"]
        ) from error  # fmt: skip


def _of_pyenv(version: str) -> list[Path]:
    """Return the interpreters that pyenv installed; uv finds them only where a shim is active."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return sorted(root.glob(f"versions/{version}.*/bin/python{version}"))


def _create(folder: Path, lock: Lock, interpreter: str, *options: str) -> None:
    """Make a virtual environment and install the packages; `options` are uv's."""
    if os.sep in interpreter:
        interpreter = str(Path(interpreter).absolute())  # uv runs in another folder
    try:
        uv.run("venv", "--quiet", "--python", interpreter or find_python(lock.python), folder)
        python = folder / "bin" / "python"
        asked: list[str | Path] = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        if found != lock.python:
            raise Blocked([f"{interpreter} is Python {found}, but the model's packages are those for {lock.python}."])
        (folder / "requirements.txt").write_text(lock.text)
        has_options = any(line.startswith("-") for line in lock.text.splitlines())
        indexes = ["--index-strategy", "unsafe-best-match"] if has_options else []
        uv.run(
            *("pip", "install", "--quiet", "--compile-bytecode", *options, *indexes),
            *("--python", python, "-r", folder / "requirements.txt"),
        )
    except uv.UvError as error:
        if error.not_built:
            raise Blocked(
                [
                    f"The model needs {error.not_built}, which has no wheel for Python {lock.python} on Linux and "
                    "cannot be built from source: correct a copy of its requirements.txt and pass that with "
                    "--requirements."
                ]
            ) from error
        raise Blocked([f"The environment for Python {lock.python} cannot be created: {error.reason}"]) from error


def _check(folder: Path, lock: Lock) -> None:
    """Raise Blocked if pip, which installs the function's packages in Google Cloud, finds something wrong with them."""
    checked = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin" / "python", "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    replaced = [f" requires {name}, which is not" for name, (build, _) in CPU_BUILDS.items() if build in lock.versions]
    wrong = [line for line in checked.stdout.splitlines() if not any(each in line for each in replaced)]
    if checked.returncode and wrong:
        raise Blocked([f"The packages of the model do not fit together: {' '.join(wrong)}"])


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let one process at a time make an environment."""
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
