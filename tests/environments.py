"""Environments of their own for what can't be installed beside the project, made by uv."""

import subprocess
import sys
from pathlib import Path


def create(folder: Path, *requirements: str | Path) -> Path:
    """Create an environment with packages, given as pip takes them, in a folder; return its folder of programs."""
    uv = Path(sys.executable).parent / "uv"
    python = folder / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, folder],
        [uv, "pip", "install", "--quiet", "--python", python, *requirements],
    ):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    return folder / "bin"
