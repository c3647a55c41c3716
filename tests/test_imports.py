"""The import rules between the parts of this repository, lazy imports and those for type checking included.

docs/architecture.md draws them. An entry of ALLOWED is a module, or a package with all its modules.
"""

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = "bqlocal deploy launch loading main model_loader model_steps parity serving sql train"
ANYTHING = tuple(PRODUCT.split())
ALLOWED = {
    "serving": (),
    "loading": tuple(
        f"serving.{module}"
        for module in [
            "decoding",
            "encoding",
            "errors",
            "json_type",
            "model",
            "model_input",
            "results",
            "rows",
            "signature",
            "tensor_types",
            "types",
        ]
    ),
    "model_steps": (),
    "model_loader": ("loading", "serving"),
    "main": ("model_loader", "serving", "sql.names"),
    "launch": ("model_loader", "serving.errors"),
    "sql": ("model_loader", "serving"),
    "parity": ("bqlocal.tables", "model_loader", "serving", "sql"),
    "bqlocal": (),  # the emulator must not share the function's mistakes
    # Of loading/, training needs what writes a model, and deploying what fetches one without loading it.
    "train": (
        *("bqlocal.tables", "launch", "model_loader", "model_steps", "sql"),
        *("loading.causes", "loading.publish", "loading.trusted_types"),
    ),
    "deploy": ("launch", "loading.source", "model_loader", "parity", "serving.errors", "sql"),
    "local": ANYTHING,
    "benchmarks": (*ANYTHING, "local", "tests"),
    "tests": (*ANYTHING, "benchmarks", "local"),
}
# Modules of serving/ that know HTTP, logging or the environment, and the packages that only they may import.
OUTER = tuple(f"serving.{name}" for name in ("body", "handler", "output", "page", "server", "settings", "telemetry"))
OUTER_PACKAGES = ("functions_framework", "logging", "os", "starlette", "werkzeug")


def modules(root: Path) -> dict[str, str]:
    """Return the source of each Python module below a checkout, by its dotted name."""
    files = {path.name: path for path in root.glob("*.py")}
    for part in ALLOWED:
        folder = root / "bqlocal" if part == "bqlocal" else root
        found = (path.relative_to(folder) for path in (folder / part).rglob("*.py"))
        files |= {str(path): folder / path for path in found if "/." not in str(path)}  # such as .venv-mlserver
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for name, path in files.items()}
    return {name: path.read_text() for name, path in names.items()}


def imports(module: str, source: str, sources: Mapping[str, str]) -> set[str]:
    """Return the dotted names that a module imports, those of modules where a name is one."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in sources else base for name in names}
    return found


def violations(sources: Mapping[str, str]) -> list[str]:
    """Return a sentence for each import that breaks a rule, and for a circle."""
    graph = {module: imports(module, source, sources) for module, source in sources.items()}
    found = []
    for module, imported in sorted(graph.items()):
        part = module.partition(".")[0]
        for name in sorted(imported):
            other = name.partition(".")[0]
            permitted = any(name == entry or name.startswith(f"{entry}.") for entry in (part, *ALLOWED[part]))
            if other in ALLOWED and not permitted:
                found.append(f"{module} imports {name}")
            if part == "serving" and module not in OUTER and other in OUTER_PACKAGES:
                found.append(f"{module} imports {name}")
    try:
        TopologicalSorter(
            {module: (imported & graph.keys()) - {module} for module, imported in graph.items()}
        ).prepare()
    except CycleError as error:
        found.append(f"circle: {' <- '.join(error.args[1])}")
    return found


def test_imports() -> None:
    """No import breaks a rule."""
    assert violations(modules(ROOT)) == []


def test_function_imports_nothing_late() -> None:
    """Once the function runs, it asks for no module of its own: a model's may have the name (loading/own_code.py)."""
    late = []
    for module, source in modules(ROOT).items():
        if module.partition(".")[0] in ("loading", "main", "model_loader", "serving") or module == "sql.names":
            bodies = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef)]
            found = {name for body in bodies for name in imports(module, ast.unparse(body), {})}
            late += [f"{module}: {name}" for name in sorted(found) if name.partition(".")[0] in ALLOWED]
    assert late == []


def test_every_package_has_a_rule() -> None:
    """A new package or module at the top needs a row in ALLOWED."""
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} | {path.stem for path in ROOT.glob("*.py")} <= set(
        ALLOWED
    )


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("serving.page", "import model_loader", "serving.page imports model_loader"),
        ("serving.page", "from sql.names import identifier", "serving.page imports sql.names"),
        ("serving.rows", "import os", "serving.rows imports os"),
        ("serving.rows", "from starlette.requests import Request", "serving.rows imports starlette.requests"),
        ("loading.bucket", "from serving import page", "loading.bucket imports serving.page"),
        ("bqlocal.values", "def f():\n    import serving.rows", "bqlocal.values imports serving.rows"),
        ("parity.compare", "from bqlocal import engine", "parity.compare imports bqlocal.engine"),
        ("parity.compare", "if TYPE_CHECKING:\n    import deploy", "parity.compare imports deploy"),
        ("main", "import sql.render", "main imports sql.render"),
        ("local.up", "import tests.models", "local.up imports tests.models"),
        ("sql.names", "from sql import render", "circle: sql.names <- sql.render <- sql.names"),
        ("sql.names", "from . import render", "circle: sql.names <- sql.render <- sql.names"),
        ("serving.page", "import logging, serving.rows, jinja2", None),
        ("loading.bucket", "from serving.model import Model", None),
        ("parity.compare", "from bqlocal.tables import create", None),
        ("main", "from sql.names import select_examples", None),
    ],
)
def test_broken_rule_is_found(module: str, source: str, found: str | None) -> None:
    """An import that breaks a rule is found wherever it stands in a module, and no other is."""
    names = [
        "model_loader",
        "serving.model",
        "serving.page",
        "serving.rows",
        "sql.names",
        "sql.render",
        "bqlocal.engine",
    ]
    sources = {**dict.fromkeys(names, ""), "sql.render": "import sql.names", module: source}
    assert violations(sources) == ([found] if found else [])
