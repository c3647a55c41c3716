"""What the pages say is true: settings, keys, functions, types and tests exist, and links lead somewhere."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving import functions
from serving.options import COMMON_KEYS
from serving.types import TYPES
from tests.conftest import ROOT
from tests.docs.pages import PAGES, blocks, commands

SETTINGS = (ROOT / "docs" / "settings.md").read_text()
SQL_TYPES = ROOT / "docs" / "sql-types.md"


def test_settings_are_documented() -> None:
    """docs/settings.md has exactly the environment variables that the function reads or deploy.sh sets."""
    files = ("deploy/function.py", "deploy/service.py")
    read = {name for it in files for name in re.findall(r'^ {8}"([A-Z_]+)": ', (ROOT / it).read_text(), re.MULTILINE)}
    assert "MODEL_URI" in read
    assert all(f"`{name}`" in SETTINGS.partition("deploy.sh sets ")[2].partition(". ")[0] for name in read)
    for file in ("serving/settings.py", "loading/source.py"):
        read |= set(re.findall(r"environ(?:\.get\(|\[|, )\"(\w+)\"", (ROOT / file).read_text()))
    assert read == set(re.findall(r"^\| `([A-Z_]+)` \|", SETTINGS, re.MULTILINE))


def test_context_keys_are_documented() -> None:
    """docs/settings.md has every key of user_defined_context."""
    documented = set(re.findall(r"^\| `(\w+)` \|", SETTINGS, re.MULTILINE))
    keys = {key for function in functions._FUNCTIONS.values() for key in function.keys}
    assert {*COMMON_KEYS, *keys} <= documented


@pytest.mark.parametrize("page", [ROOT / "README.md", SQL_TYPES], ids=lambda page: page.name)
def test_functions_are_documented(page: Path) -> None:
    """The tables of SQL functions have every function."""
    documented = set(re.findall(r"^\| `(\w+)` \|", page.read_text(), re.MULTILINE))
    assert set(functions._FUNCTIONS) <= documented


@pytest.mark.parametrize("name", TYPES)
def test_type_is_documented(name: str) -> None:
    """docs/sql-types.md has every MLflow type beside its SQL type."""
    row = rf"^\|[^|]*\b{name}\b[^|]*\| `?{TYPES[name].sql_type}`? \|"
    assert re.search(row, SQL_TYPES.read_text(), re.MULTILINE)


def test_example_function_works(
    app: Callable[..., TestClient], saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of a user's own function works as it is written, in at most ten lines."""
    (example,) = [block for block in blocks(SQL_TYPES, "python") if "@sql_function" in block]
    assert len(example.strip().splitlines()) <= 10
    monkeypatch.setattr(functions, "_FUNCTIONS", dict(functions._FUNCTIONS))
    exec(compile(example, "<sql-types.md>", "exec"), vars(functions))
    client = app(saved("tree_regressor"))
    calls = {"calls": [[1, 2, 3, 4]]}
    thousands = client.post("/predict_thousands", json=calls).json()["replies"][0]
    assert thousands == client.post("/", json=calls).json()["replies"][0] / 1000


@pytest.mark.check
@pytest.mark.parametrize("diff", blocks(ROOT / "CONTRIBUTING.md", "diff"), ids=lambda diff: diff.split()[1])
def test_example_diff_applies(diff: str) -> None:
    """Each diff of CONTRIBUTING.md applies to the code as it is, at the lines that its context shows."""
    ended = subprocess.run(
        ["git", "apply", "--check", "--recount", "-"], cwd=ROOT, input=diff, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_tests_named_exist() -> None:
    """Every test that tests/README.md names exists."""
    sources = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    existing = {path.name for path in sources} | {
        name for text in sources.values() for name in re.findall(r"def (test_\w+)\(", text)
    }
    named = re.findall(r"`(?:\w+/)?(test_\w+(?:\.py)?)(?:::(test_\w+))?`", (ROOT / "tests" / "README.md").read_text())
    names = {name for pair in named for name in pair if name}
    assert len(names) > 20
    assert names <= existing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture of a page is a file, and every anchor a heading of its page."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


def test_make_targets_exist() -> None:
    """Every make target that a page names is a target of the Makefile."""
    targets = set(re.findall(r"^([\w./]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {command.text.split()[1] for page in PAGES for command in commands(page) if command.is_make}
    named |= {name for page in PAGES for name in re.findall(r"`make ([a-z]+)[ `]", page.read_text(encoding="utf-8"))}
    assert "demo" in named
    assert named <= targets


def test_readme_is_short() -> None:
    """The README begins with SQL and has fewer than 250 lines."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert "```sql" in lines[:4]
    assert len(lines) < 250


def test_names_are_short() -> None:
    """No test has a name of more than 60 characters, and each says in a docstring what must hold."""
    long = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        for name, after in re.findall(r"def (test_\w+)\(.*?\) -> None:\n\s+(\S*)", path.read_text(), re.DOTALL):
            if len(name) > 60 or not after.startswith(('"""', 'r"""')):
                long.append(f"{path.relative_to(ROOT)}: {name}")
    assert long == []
