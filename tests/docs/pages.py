"""The project's pages: their text, links, and the commands in their sh blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "bqlocal" / "README.md", ROOT / "tests" / "README.md"]
)


@dataclass(frozen=True)
class Command:
    """One command as a page has it, with its continuation lines."""

    page: str
    text: str

    @property
    def is_make(self) -> bool:
        return self.text.startswith("make ")

    def __str__(self) -> str:
        return f"{self.page}: {self.text[:60]}"


def blocks(page: Path, language: str) -> list[str]:
    """Return the contents of a page's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[Command]:
    """Yield the commands of a page's sh blocks, without comments."""
    for block in blocks(page, "sh"):
        joined = re.sub(r"\\\n\s*", "", block)
        for line in joined.splitlines():
            text = re.sub(r"(^|\s+)# .*$", "", line).strip()
            if text:
                yield Command(page.relative_to(ROOT).as_posix(), text)
