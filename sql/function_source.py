"""The Cloud Function's source, for formats that write it: what .gcloudignore admits, and the model's packages.

deploy.sh asks gcloud for the same files; a test compares the two.
"""

from collections.abc import Mapping, Sequence

from launch.kept import ROOT
from loading.packages import RESOLVED


def function_source(lock: str, requirements: Sequence[str]) -> Mapping[str, str]:
    """Return the text of each file by its path; `lock` has the function's packages, `requirements` the model's own."""
    lines = (ROOT / ".gcloudignore").read_text().splitlines()
    ignored = {line[1:] for line in lines if line.startswith("/")}
    admitted = [line[2:] for line in lines if line.startswith("!/") and f"{line[2:]}*" not in ignored]
    paths = [path for name in admitted for path in ((ROOT / name).rglob("*") if name.endswith("/") else [ROOT / name])]
    names = [path.relative_to(ROOT).as_posix() for path in paths if path.is_file() and "__pycache__" not in path.parts]
    files = {name: (ROOT / name).read_text(encoding="utf-8") for name in sorted(names) if name not in ignored}
    return {**files, "requirements.txt": lock, RESOLVED: "".join(f"{line}\n" for line in requirements)}
