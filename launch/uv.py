"""Calls uv, which resolves requirements and makes environments, and turns its errors into reasons."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import uv

# uv's words for what no other version of Python or of a package changes.
_OUTSIDE = re.compile(r"[Ff]ailed to fetch|error sending request|401 Unauthorized|403 Forbidden|Could not connect")
_MISSING = re.compile(r"([\w.\[\]-]+) was not found in the (?:package registry|provided package locations)")
_NO_WHEEL = re.compile(
    r"([\w.-]+?)(?:[=<>!~]=?[\w.*+!,<>=]*)? has no (?:usable )?wheels|`([\w.-]+)` (?:was|were) found,? but"
)
_ONLY_SOURCE = re.compile(r"all versions of ([\w.-]+) have no (?:usable )?wheels")
_NOT_BUILT = re.compile(r"Failed to (?:build|download and build) `([^`]+)`")
# One requirement alone, and why nothing meets it: "there is no version of numpy==99 and you require numpy==99".
_UNMET = re.compile(
    r"^Because (.+) and you require ([\w.\[\]-]+)([^\s,]*(?:,[^\s,]+)*), we can conclude that "
    r"your requirements are unsatisfiable\.?$"
)
_UNFETCHED = re.compile(r"[Ff]ailed to fetch:? `?([^\s`]+)`?")
_REFUSED = re.compile(r"[Ii]ndex(?: URL)? \(([^\s)]+)\).*?\b(40[13] \w+)")
_STATUS = re.compile(r"status .*?\((\d{3} [^)]+)\)")
_PYTHON = re.compile(r"does not satisfy Python|requires-python|Requires-Python|requires Python")


class UvError(Exception):
    """uv could not do what it was asked; `text` is what it said."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @property
    def outside(self) -> bool:
        """Whether an index could not be reached or read."""
        return bool(_OUTSIDE.search(self.text))

    @property
    def missing(self) -> list[str]:
        """The packages that no index has."""
        return sorted(set(_MISSING.findall(self.text)))

    @property
    def unmet(self) -> tuple[str, str, str] | None:
        """A requirement that no other one is in the way of: its package, the whole of it, and uv's reason; or None."""
        found = _UNMET.match(self._told)
        if not found or self.without_wheel or found[1].count("ecause "):
            return None
        return found[2], f"{found[2]}{found[3]}", found[1]

    @property
    def nowhere(self) -> list[str]:
        """The packages that no index has, or not in the version that is needed."""
        return self.missing or ([self.unmet[0]] if self.unmet else [])

    @property
    def without_wheel(self) -> set[str]:
        """The packages whose demanded versions have no wheel for the Python asked for."""
        return {(first or second).lower() for first, second in _NO_WHEEL.findall(self.text)}

    @property
    def only_source(self) -> set[str]:
        """The packages of which no version has a wheel."""
        return {name.lower() for name in _ONLY_SOURCE.findall(self.text)}

    @property
    def not_built(self) -> str:
        """The package that could not be built from source."""
        found = _NOT_BUILT.search(self.text)
        return found[1] if found else ""

    @property
    def another_python(self) -> bool:
        """Whether another version of Python may make a difference."""
        return bool(self.without_wheel or _PYTHON.search(self.text))

    @property
    def reason(self) -> str:
        """What went wrong as one line: what could not be reached, else uv's own explanation."""
        if refused := _REFUSED.search(self.text):
            return f"{refused[1]} answers {refused[2]}."
        if unfetched := _UNFETCHED.search(self.text):
            return self._unfetched(unfetched[1])
        told = re.sub(r",? we can conclude that (?:your|all) .*?are unsatisfiable\.?", ".", self._told)
        return told.strip().rstrip(".") + "."

    @property
    def _told(self) -> str:
        """uv's own explanation as one line."""
        lines = [line for line in self.text.splitlines() if line.strip() and not line.startswith(("warning", "hint"))]
        told = " ".join(" ".join(lines).split()).removeprefix("error: ")
        return re.sub(r"No solution found when resolving dependencies:?\s*(cause:|╰─▶)?\s*", "", told)

    def _unfetched(self, address: str) -> str:
        """Return why an address could not be fetched, by the last and most concrete of uv's causes."""
        if address.endswith("/"):  # the page of one package, of which the index has many
            address = address.rstrip("/").rpartition("/")[0]
        if status := _STATUS.search(self.text):
            return f"{address} answers {status[1]}."
        *_, cause = re.findall(r"cause: (.+)", self.text) or [""]
        cause = re.sub(r" \(os error \d+\)|^.*: ", "", cause).strip().rstrip(".")
        return f"{address} cannot be reached{f' ({cause})' if cause else ''}."


def run(*arguments: str | Path, cwd: Path | None = None) -> str:
    """Run uv and return its stdout; raise UvError. Without `cwd` it runs in the folder for temporary files."""
    done = subprocess.run(
        [uv.find_uv_bin(), *map(str, arguments)],
        # Below this project, uv would apply the constraints of its pyproject.toml, which a model doesn't share.
        cwd=cwd or tempfile.gettempdir(),
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise UvError(done.stderr)
    return done.stdout
