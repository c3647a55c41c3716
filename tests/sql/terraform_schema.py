"""Prints what in Terraform files the providers' schemas don't have: run in an environment of its own, terraform.txt.

A provider's schema is read from the source of its classes in the package cdktn-provider-NAME, without importing them,
since that would start Node.js: a class per resource and per block, with a keyword for each argument.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

META = {"connection", "count", "depends_on", "for_each", "id", "lifecycle", "provider", "provisioners", "scope"}
BLOCK = "__is_block__"


@cache
def classes(kind: str, module: str) -> Mapping[str, tuple[set[str], set[str]]]:
    """Return the arguments and the required ones of each class of a resource's module, by the class's name."""
    provider, _, name = module.partition("_")
    spec = importlib.util.find_spec(f"cdktn_provider_{provider}")
    assert spec
    assert spec.origin
    prefix = "data_" + provider + "_" if kind == "data" else ""
    candidates = [prefix + name, name, f"{provider}_{name}", module]
    folder = next(it for it in (Path(spec.origin).parent / candidate for candidate in candidates) if it.is_dir())
    found = {}
    for node in ast.parse((folder / "__init__.py").read_text()).body:
        for function in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                pairs = list(zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True))
                required = {argument.arg for argument, default in pairs if default is None}
                found[node.name.lower()] = ({argument.arg for argument, _ in pairs}, required)
    return found


def faults(kind: str, module: str, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a resource."""
    known = classes(kind, module)
    provider, _, name = module.partition("_")
    prefix = "data" + provider if kind == "data" else ""
    start = next(
        it for it in ((prefix + name).replace("_", ""), name.replace("_", ""), module.replace("_", "")) if it in known
    )
    yield from _faults(f"{kind} {module}", start, body, known, META)


def _faults(
    place: str, name: str, body: Mapping[str, Any], known: Mapping[str, tuple[set[str], set[str]]], extra: set[str]
) -> Iterator[str]:
    arguments, required = known.get(name, (set(), set()))
    given = {key: value for key, value in body.items() if key not in (BLOCK, "dynamic")}
    for dynamic in body.get("dynamic", []):
        given |= {key.strip('"'): value["content"] for key, value in dynamic.items() if key != BLOCK}
    for key in sorted(given.keys() - arguments - extra):
        yield f"{place}: unknown {key}"
    for key in sorted(required - given.keys()):
        yield f"{place}: missing {key}"
    for key, value in given.items():
        for block in value if isinstance(value, list) else ():
            if isinstance(block, dict) and block.get(BLOCK):
                yield from _faults(f"{place}.{key}", name + key.replace("_", ""), block, known, set())


def main() -> None:
    count = 0
    for file in sys.argv[1:]:
        with Path(file).open() as stream:
            parsed = hcl2.load(stream)
        for kind in ("resource", "data"):
            for block in parsed.get(kind, []):
                for module, named in block.items():
                    for name, body in named.items():
                        if name != BLOCK:
                            count += 1
                            print("".join(f"{fault}\n" for fault in faults(kind, module.strip('"'), body)), end="")
    print(f"{count} checked")


if __name__ == "__main__":
    main()
