"""The import rules between the parts of this repository, lazy imports and those for type checking included.

docs/architecture.md draws them. An entry of ALLOWED is a module, or a package with all its modules, that the
package of its row imports; whoever needs another one adds it.
"""

import ast
import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = (
    "bqlocal deploy launch listed_models loading main mlflow_bigquery model_loader model_steps parity serving sql train"
)
DISTRIBUTIONS = ("bqlocal", "mlflow_bigquery")  # each in a folder of its name
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
    "listed_models": ("loading.residents", "model_loader", "serving"),
    "main": ("listed_models", "model_loader", "serving", "sql.names"),
    # Of loading/, launching needs what fetches a model without loading it, and what reads a fitted one.
    "launch": (
        *("loading.category_columns", "loading.failures", "loading.faults", "loading.fitted", "loading.flavors"),
        *(
            "loading.made_signature",
            "loading.made_up",
            "loading.memory",
            "loading.mlmodel",
            "loading.own_code",
            "loading.packages",
            "loading.source",
        ),
        *("model_loader", "parity"),
        *("serving.decoding", "serving.errors", "serving.json_type", "serving.model", "serving.signature"),
    ),
    "sql": ("launch", "loading.packages", "serving"),
    "parity": (),
    "bqlocal": (),  # the emulator must not share the function's mistakes
    "mlflow_bigquery": (),  # in somebody's environment, deploy is a program that it starts
    # Of loading/, training needs what writes a model.
    "train": (
        *("bqlocal.tables", "model_loader", "model_steps", "sql"),
        *("loading.causes", "loading.publish", "loading.trusted_types"),
        "launch.processes",
    ),
    "deploy": (
        *("launch", "loading.mlmodel", "loading.packages", "parity", "sql"),
        *("serving.errors", "serving.functions", "serving.model_list"),
    ),
    "local": ("bqlocal", "launch", "loading", "model_loader", "parity", "serving", "sql", "train"),
    "benchmarks": (*ANYTHING, "local", "tests"),
    "tests": (*ANYTHING, "benchmarks", "local"),
}
# Modules of serving/ that know HTTP, logging or the environment, and the packages that only they may import.
OUTER = tuple(
    f"serving.{name}" for name in ("body", "handler", "one_write", "output", "page", "server", "settings", "telemetry")
)
OUTER_PACKAGES = (
    *(
        "http",
        "requests",
        "socket",
        "starlette",
        "urllib3",
        "uvicorn",
        "uvicorn_worker",
        "gunicorn",
        "werkzeug",
        "flask",
    ),
    *("functions_framework", "google", "logging", "os"),
)
NOT_DRAWN = {"benchmarks", "tests"}
# The program that runs in a model's environment, with what it imports of launch/; and packages that aren't there.
INSIDE = tuple(f"launch.{name}" for name in ("inside", "description", "expected", "made_rows", "own_library"))
ABSENT = ("bqlocal", "click", "httpx", "psutil", "rich", "uv")


def modules(root: Path) -> dict[str, str]:
    """Return the source of each Python module below a checkout, by its dotted name."""
    files = {path.name: path for path in root.glob("*.py")}
    for part in ALLOWED:
        folder = root / part if part in DISTRIBUTIONS else root
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


def edges() -> set[tuple[str, str]]:
    """Return the pairs of packages of which the first imports the second."""
    sources = modules(ROOT)
    pairs = {
        (module.partition(".")[0], name.partition(".")[0])
        for module, source in sources.items()
        for name in imports(module, source, sources)
    }
    return {(part, other) for part, other in pairs if part != other and other in ALLOWED and part not in NOT_DRAWN}


def paths(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the pairs of packages of which the first reaches the second by one or more arrows."""
    found = arrows
    while longer := {(a, d) for a, b in found for c, d in arrows if b == c} - found:
        found = found | longer
    return found


def test_diagram_draws_the_imports() -> None:
    """The diagram has every package; each arrow is a real import, and each real import an arrow or a path of them."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    (diagram,) = re.findall(r"^## The packages$.*?^```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    nodes = r"(\w+)(?:\[[^]]*\])?"
    lines = [re.fullmatch(rf"{nodes}(?: --> {nodes})?", line.strip()) for line in diagram.splitlines()[1:]]
    assert all(lines)
    names = [line.groups() for line in lines if line]
    arrows = {(part, other) for part, other in names if other}
    assert {name for pair in names for name in pair if name} == ALLOWED.keys() - NOT_DRAWN
    assert arrows <= edges()
    assert edges() <= paths(arrows)


def test_every_permission_is_used() -> None:
    """Every entry of ALLOWED is imported, so that a diagram or a reader can trust the table."""
    sources = modules(ROOT)
    used = {part: set[str]() for part in ALLOWED}
    for module, source in sources.items():
        used[module.partition(".")[0]] |= imports(module, source, sources)
    unused = [
        f"{part}: {entry}"
        for part, entries in ALLOWED.items()
        for entry in entries
        if part not in NOT_DRAWN and not any(name == entry or name.startswith(f"{entry}.") for name in used[part])
    ]
    assert unused == []


def test_function_imports_nothing_late() -> None:
    """Once the function runs, it asks for no module of its own: a model's may have the name (loading/own_code.py)."""
    late = []
    for module, source in modules(ROOT).items():
        if (
            module.partition(".")[0] in ("listed_models", "loading", "main", "model_loader", "serving")
            or module == "sql.names"
        ):
            bodies = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef)]
            found = {name for body in bodies for name in imports(module, ast.unparse(body), {})}
            late += [f"{module}: {name}" for name in sorted(found) if name.partition(".")[0] in ALLOWED]
    assert late == []


def reached(start: str, sources: Mapping[str, str]) -> set[str]:
    """Return the modules of the project that one of them imports, directly or through others, and itself."""
    found, new = set[str](), {start}
    while new:
        found |= new
        new = {name for module in new for name in imports(module, sources[module], sources)} & sources.keys() - found
    return found


def strangers(sources: Mapping[str, str]) -> list[str]:
    """Return the imports of the program inside a model's environment, its own and those of others, that aren't there."""
    found = []
    for module in sorted(reached("launch.inside", sources)):
        imported = {name.partition(".")[0] for name in imports(module, sources[module], sources)}
        found += [f"{module} imports {name}" for name in ABSENT if name in imported]
        if module not in INSIDE and not module.startswith(("loading", "model_loader", "serving")):
            found.append(f"launch.inside reaches {module}")
    return found


@pytest.mark.parametrize("part", ["deploy", "local", "parity", "sql"])
def test_mlflow_stays_inside(part: str) -> None:
    """What only describes, deploys or compares a model asks launch for it, and imports neither MLflow nor scikit-learn."""
    sources = modules(ROOT)
    found = {
        f"{module} imports {name}"
        for module, source in sources.items()
        for name in imports(module, source, sources)
        if module.partition(".")[0] == part and name.partition(".")[0] in ("mlflow", "sklearn")
    }
    assert found == set()


def test_inside_imports_what_is_there() -> None:
    """launch.inside needs only model_loader, loading, serving and the model's own packages: no click, httpx or uv."""
    assert strangers(modules(ROOT)) == []


def test_own_library_runs_anywhere() -> None:
    """launch/own_library.py runs where a model was saved, by any Python, so it imports nothing of the project."""
    sources = modules(ROOT)
    imported = {
        name.partition(".")[0] for name in imports("launch.own_library", sources["launch.own_library"], sources)
    }
    assert imported == {"json", "mlflow", "os", "pandas", "sys", "typing"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import uv", ["launch.made_rows imports uv"]),
        ("def f():\n    from click import echo", ["launch.made_rows imports click"]),
        ("import sql.names", ["launch.inside reaches sql.names"]),
        ("import launch.lock", ["launch.inside reaches launch.lock", "launch.lock imports uv"]),
        ("import numpy, serving.model, loading.fitted", []),
    ],
)
def test_stranger_is_found(source: str, found: list[str]) -> None:
    """A package or module that isn't in a model's environment is found, however many modules are between."""
    names = ["serving.model", "loading.fitted", "sql.names"]
    sources = {
        **dict.fromkeys(names, ""),
        "launch.inside": "import launch.made_rows",
        "launch.made_rows": source,
        "launch.lock": "import uv",
    }
    assert sorted(strangers(sources)) == found


def test_deployment_has_what_the_function_imports() -> None:
    """Of the folders that .gcloudignore admits, it leaves out exactly the modules that the function doesn't import."""
    sources = modules(ROOT)
    imported = reached("main", sources)
    imported |= {name.rpartition(".")[0] for name in imported}  # a package, with any of its modules
    admitted = {name for name in sources if name.startswith(("loading.", "serving."))}
    ignored = re.findall(r"^/(\w+)/(\w+)\.py$", (ROOT / ".gcloudignore").read_text(), re.MULTILINE)
    assert admitted - imported == {".".join(names) for names in ignored}


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
        ("serving.rows", "import http.client", "serving.rows imports http.client"),
        ("loading.bucket", "from serving import page", "loading.bucket imports serving.page"),
        ("bqlocal.values", "def f():\n    import serving.rows", "bqlocal.values imports serving.rows"),
        (
            "mlflow_bigquery.source",
            "from deploy.options import OPTIONS",
            "mlflow_bigquery.source imports deploy.options",
        ),
        ("parity.compare", "from bqlocal import engine", "parity.compare imports bqlocal.engine"),
        ("parity.compare", "if TYPE_CHECKING:\n    import deploy", "parity.compare imports deploy"),
        ("main", "import sql.render", "main imports sql.render"),
        ("local.up", "import tests.models", "local.up imports tests.models"),
        ("sql.names", "from sql import render", "circle: sql.names <- sql.render <- sql.names"),
        ("sql.names", "from . import render", "circle: sql.names <- sql.render <- sql.names"),
        ("serving.page", "import logging, serving.rows, jinja2", None),
        ("loading.bucket", "from serving.model import Model", None),
        ("deploy.model", "from loading.source import fetched", "deploy.model imports loading.source"),
        ("launch.examine", "from loading.source import local_folder", None),
        ("launch.examine", "import sql.names", "launch.examine imports sql.names"),
        ("sql.render", "import sql.names, model_loader", "sql.render imports model_loader"),
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
