"""One lock per model, resolved by uv against the package index that this machine uses."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from launch import lock, resolver, uv
from launch.errors import Blocked
from launch.lock import Lock, resolve
from launch.needs import Needs

URI = "gs://models/m"
WAY_OUT = "correct its requirements.txt in a copy and pass that with --requirements."
UNFETCHED = f"The packages of the model at {URI} cannot be fetched, because "
ACCESS = f"give this machine access to it, or {WAY_OUT}"
PATCH = re.compile(r"^\d+\.\d+")


def needs(*lines: str, python: str = "3.11.7", **others: Any) -> Needs:
    """Return what a model needs, from lines of requirements."""
    return Needs(python, tuple(map(Requirement, lines)), **others)


def blocked(*lines: str, **others: Any) -> str:
    """Return the one sentence about requirements that no lock satisfies."""
    with pytest.raises(Blocked) as error:
        resolve(needs(*lines, **others), URI)
    (sentence,) = error.value.blockers
    assert URI in sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.check
def test_pins_stay() -> None:
    """Packages stay as the model pins them, deciding or not, and the function's own are added."""
    found = resolve(needs("scikit-learn==1.9.1", "pyyaml==6.0.2"), URI)
    assert (found.python, found.notes, found.moved) == ("3.11", (), ())
    assert {"scikit-learn": "1.9.1", "pyyaml": "6.0.2"}.items() <= found.versions.items()
    assert {"functions-framework", "mlflow-skinny", "orjson", "pandas"} <= found.versions.keys()
    assert "mlflow" not in found.versions
    assert "skops" not in found.versions


@pytest.mark.check
def test_other_pin_moves_and_is_told() -> None:
    """A package that decides nothing moves to a version with a wheel, and a note names both."""
    found = resolve(needs("scikit-learn==1.9.1", "matplotlib==3.2.1"), URI)
    assert found.moved == ()
    (note,) = found.notes
    assert note == (f"Moved to versions that can be installed: matplotlib 3.2.1 -> {found.versions['matplotlib']}.")
    assert Version(found.versions["matplotlib"]) > Version("3.2.1")


@pytest.mark.check
@pytest.mark.parametrize(
    ("pin", "saved_with", "python"),
    [("scikit-learn==1.3.2", "3.13.1", "3.12"), ("numpy==1.24.4", "3.12.1", "3.11"), ("scikit-learn==1.3.2", "3.9.18", "3.10")],
)  # fmt: skip
def test_nearest_python(pin: str, saved_with: str, python: str) -> None:
    """A deciding package stays, in the Python with a wheel of it that is nearest to the model's."""
    found = resolve(needs(pin, python=saved_with), URI)
    name, _, version = pin.partition("==")
    assert found.versions[name] == version
    assert found.python == python
    assert found.moved == ()
    assert found.notes == (f"The model was saved with Python {saved_with}; it gets {python}, the nearest with its packages.",)  # fmt: skip


@pytest.mark.check
def test_unknown_python() -> None:
    """A model that names no Python gets the default."""
    assert resolve(needs("scikit-learn==1.9.1", python=""), URI).python == lock.DEFAULT_PYTHON


@pytest.mark.check
def test_conflict_names_both() -> None:
    """Requirements that exclude each other are one sentence with both."""
    sentence = blocked("numpy==1.25.2", "scipy==1.17.1")
    assert sentence.startswith(f"The packages of the model at {URI} exclude each other, because ")
    assert "the model requires " in sentence
    assert "numpy==1.25.2" in sentence
    assert "scipy==1.17.1" in sentence
    assert sentence.endswith(f": {WAY_OUT}")


@pytest.mark.check
def test_package_that_exists_nowhere() -> None:
    """A package that no index has is named, with what to do."""
    sentence = blocked("scikit-learn==1.9.1", "no-such-package-of-anyone==1.0")
    assert sentence.startswith(f"The model at {URI} needs no-such-package-of-anyone, which no package index has: ")
    assert "--requirements" in sentence


@pytest.mark.check
@pytest.mark.parametrize(
    ("line", "saved", "said"),
    [
        ("numpy==99", "", "no package index has such a version"),
        ("numpy>=99", "", "only numpy<="),
        ("numpy==99", "2023-11-20", "no package index has such a version: "),
        ("numpy>=2.1", "2023-11-20", "only numpy<=1.26.2 was available on 2023-11-20, when the model was saved: "),
    ],
)
def test_version_that_exists_nowhere(line: str, saved: str, said: str) -> None:
    """A version that no index has, or not as of the day of saving, is named, with what to do."""
    sentence = blocked(line, saved=saved)
    assert sentence.startswith(f"The model at {URI} needs {line}, but {said}")
    assert sentence.endswith(f": {WAY_OUT}")


@pytest.mark.check
def test_all_that_exists_nowhere() -> None:
    """Each package and version that no index has is named in one answer."""
    with pytest.raises(Blocked) as error:
        resolve(needs("numpy==99", "scikit-learn==98.1", "no-such-package-of-anyone", "scipy"), URI)
    named = ["no-such-package-of-anyone, which", "numpy==99, but", "scikit-learn==98.1, but"]
    assert sorted(each.partition(" needs ")[2][: len(name)] for each, name in
                  zip(sorted(error.value.blockers), named, strict=True)) == named  # fmt: skip


@pytest.mark.check
def test_numpy_of_the_day() -> None:
    """NumPy, unless named, is as of the day of saving, and older than 2 for the scikit-learn before 1.4."""
    found = resolve(needs("scikit-learn==1.3.2", saved="2023-11-20 10:00:00.123"), URI)
    assert PATCH.match(found.versions["numpy"])
    assert Version("1.25") < Version(found.versions["numpy"]) < Version("1.26.3")
    assert Version(found.versions["pandas"]) < Version("2.2")
    assert found.notes == ()


@pytest.mark.check
def test_pin_newer_than_the_model() -> None:
    """A pin that somebody edited after the model was saved holds; what isn't pinned is still as of that day."""
    found = resolve(needs("numpy==1.26.2", "scipy", saved="2023-06-01"), URI)
    assert found.versions["numpy"] == "1.26.2"
    assert Version(found.versions["scipy"]) < Version("1.11")
    assert found.notes == ()


@pytest.mark.check
@pytest.mark.parametrize("saved", ["", "yesterday"])
def test_numpy_below_two(saved: str) -> None:
    """Without a day, the wheels of the scikit-learn before 1.4 still get the NumPy that they were built for."""
    assert resolve(needs("scikit-learn==1.3.2", saved=saved), URI).versions["numpy"].startswith("1.")


@pytest.mark.check
def test_hashes() -> None:
    """A model that lists hashes gets a lock with them, which is read like any other, unless no file has such a hash."""
    plain = resolve(needs("scikit-learn==1.9.1"), URI)
    found = resolve(needs("scikit-learn==1.9.1", hashes={"joblib": frozenset({"sha256:0"})}), URI)
    (locked,) = re.findall(r"^scikit-learn==1\.9\.1.*\n +--hash=(\S+)", found.text, re.MULTILINE)
    assert resolve(needs("scikit-learn==1.9.1", hashes={"scikit-learn": frozenset({locked, "sha256:0"})}), URI) == found
    wrong = blocked("scikit-learn==1.9.1", hashes={"scikit-learn": frozenset({"sha256:0"})})
    assert "none of the hashes that it lists for scikit-learn==1.9.1 belongs to a file of that version" in wrong
    assert "--hash=sha256:" in found.text
    assert found.versions == plain.versions
    assert found.digest != plain.digest


@pytest.mark.check
def test_second_call_answers_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same question is answered without uv; another question is asked."""
    monkeypatch.setattr(resolver, "CACHE", tmp_path / "locks")
    first = resolve(needs("scikit-learn==1.9.1"), URI)
    calls: list[object] = []

    def fail(*arguments: object, **_: object) -> str:
        calls.append(arguments)
        raise uv.UvError("error: Failed to fetch: nowhere")

    monkeypatch.setattr(uv, "run", fail)
    assert resolve(needs("scikit-learn==1.9.1"), URI) == first
    assert calls == []
    assert "cannot be fetched, because nowhere cannot be reached: " in blocked("scikit-learn==1.9.0")
    assert len(list((tmp_path / "locks").iterdir())) == 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["pandas<1.3"], "the function requires pandas>=1.4 and the model requires pandas<1.3"),
        (["scikit-learn==1.9.1", "numpy<1.20"], "the function requires numpy>=1.22 and the model requires numpy<1.20"),
    ],
)
@pytest.mark.check
def test_limit_of_the_function(lines: list[str], said: str) -> None:
    """A conflict with the function's own packages says whose limit each one is."""
    assert blocked(*lines).endswith(f"exclude each other, because {said}: {WAY_OUT}")


@pytest.mark.check
def test_range_that_decides_nothing_gives_way() -> None:
    """A range that excludes the function's own package moves, and a note names both."""
    found = resolve(needs("Starlette<0.20", "orjson"), URI)
    assert found.notes == (
        f"Moved to versions that can be installed: Starlette <0.20 -> {found.versions['starlette']}.",
    )


@pytest.mark.parametrize(
    ("pin", "limited"),
    [("lightgbm==3.3.5", True), ("lightgbm==4.4.0", False), ("pandas==1.5.3", True), ("statsmodels==0.14.1", True)],
)
def test_numpy_1_for_those_before_2(pin: str, limited: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that came before NumPy 2 and doesn't refuse it gets NumPy 1."""
    asked: list[str] = []

    def compile_lock(_: Needs, __: str, lines: list[str], *___: object) -> str:
        asked.extend(lines)
        return ""

    monkeypatch.setattr(lock, "compile_lock", compile_lock)
    resolve(needs(pin), URI)
    assert ("numpy<2" in asked) == limited


@pytest.mark.parametrize(
    ("version", "package"), [("2.1.3", "xgboost-cpu"), ("3.0.5", "xgboost-cpu"), ("2.1.0", "xgboost"), ("1.7.6", "xgboost")]
)  # fmt: skip
@pytest.mark.check
def test_cpu_build(version: str, package: str) -> None:
    """XGBoost is installed as its build for CPUs where that version has one, and the user is told."""
    found = resolve(needs(f"xgboost=={version}", "numpy==1.26.4"), URI)
    assert {"xgboost", "xgboost-cpu"} & found.versions.keys() == {package}
    assert found.versions[package] == version
    assert not [name for name in found.versions if name.startswith("nvidia-")] or package == "xgboost"
    told = f"xgboost {version} is installed as xgboost-cpu {version}, which needs no libraries for GPUs."
    assert found.notes == ((told,) if package == "xgboost-cpu" else ())
    assert found.moved == ()


@pytest.mark.parametrize("line", ["scikit-learn==1.8.0", "xgboost==3.1.2", "lightgbm==4.6.0", "statsmodels==0.14.6"])
@pytest.mark.slow
def test_python_314(line: str) -> None:
    """A model of Python 3.14 gets a lock for it, whether or not this machine has that Python."""
    found = resolve(needs(line, "numpy==2.3.5", "pandas==2.3.3", python="3.14.0", saved="2026-01-15"), URI)
    assert (found.python, found.moved) == ("3.14", ())
    assert "pysimdjson" not in found.versions


@pytest.mark.check
def test_source_only() -> None:
    """A package without a wheel that decides nothing is built from source, and the user is told."""
    found = resolve(needs("scikit-learn==1.9.1", "func-timeout==4.3.5"), URI)
    assert found.versions["func-timeout"] == "4.3.5"
    assert found.notes == ("Built from source, because no version has a wheel: func-timeout.",)


@pytest.mark.parametrize("pin", ["scikit-learn==0.24.2", "pyobjc-core==10.0"])
@pytest.mark.slow
def test_no_wheel_anywhere(pin: str) -> None:
    """A package without a wheel for any Python on Linux is one sentence with its pin and what to do."""
    sentence = blocked(pin, "pyyaml")
    assert sentence.startswith(
        f"The model at {URI} needs {pin}, which cannot be installed: no Python from 3.10 to 3.14"
    )
    assert "--requirements" in sentence


@pytest.mark.slow
def test_index_without_access() -> None:
    """An index that can't be reached is one sentence with its address, and no other Python is tried."""
    sentence = blocked("of-this-company==1.0", options=("--index-url http://127.0.0.1:9/simple",))
    assert sentence == f"{UNFETCHED}http://127.0.0.1:9/simple cannot be reached (Connection refused): {ACCESS}"


@pytest.fixture
def no_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Return a function that lets uv fail with a text; the list gets the Pythons that it was asked for."""

    def fail_with(text: str) -> list[str]:
        monkeypatch.setattr(resolver, "CACHE", tmp_path / "locks")
        asked: list[str] = []

        def fail(*arguments: object, **_: object) -> str:
            asked.append(str(arguments[arguments.index("--python-version") + 1]))
            raise uv.UvError(text)

        monkeypatch.setattr(uv, "run", fail)
        return asked

    return fail_with


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("error: Failed to fetch: `https://example.com/simple/x/`",
         f"cannot be fetched, because https://example.com/simple cannot be reached: {ACCESS}"),
        ("error: Request failed after 3 retries\n  cause: Failed to fetch: http://a.b/simple/x/\n  cause: client error\n"
         "  cause: Connection refused (os error 111)", "because http://a.b/simple cannot be reached (Connection refused): "),
        ("error: Failed to fetch: http://a.b/x.whl\n  cause: failed to lookup address information: Name not known",
         "because http://a.b/x.whl cannot be reached (Name not known): "),
        ("error: Failed to fetch: http://a.b/simple/x/\n  cause: HTTP status server error (500 Internal Server Error) for",
         "because http://a.b/simple answers 500 Internal Server Error: "),
        ("  cause: Because x was not found in the package registry and you require x, we can conclude\n\n"
         "hint: An index URL (http://a.b/simple) could not be queried due to a lack of credentials (401 Unauthorized)",
         f"cannot be fetched, because http://a.b/simple answers 401 Unauthorized: {ACCESS}"),
        ("  cause: Because x was not found in the package registry and you require x, we can conclude", "needs x, which no"),
        ("Because you require a==1 and a==2, we can conclude that your requirements are unsatisfiable.",
         f"exclude each other, because the model requires a==1 and a==2: {WAY_OUT}"),
        ("Because a==2.31.0 depends on b>=1.21.1,<3 and you require a==2.31.0, we can conclude that you require b>=1.21.1,<3."
         "\n  And because you require b==1.20, we can conclude that your requirements are unsatisfiable.",
         "exclude each other, because a==2.31.0 depends on b>=1.21.1,<3 and the model requires a==2.31.0, and the model "
         f"requires b==1.20: {WAY_OUT}"),
        ("Because x==1 was yanked (reason: broken) and you require x>=1,<2, we can conclude that your requirements are "
         "unsatisfiable.", f"needs x>=1,<2, but x==1 was yanked (reason: broken): {WAY_OUT}"),
        ("Because there is no version of y==9 and x==1 depends on y==9, we can conclude that x==1 cannot be used.\n  And "
         "because you require x==1, we can conclude that your requirements are unsatisfiable.",
         "cannot be installed, because there is no version of y==9 and x==1 depends on y==9, and the model requires x==1"),
        ("you require x<2 and x>3, which are incompatible",
         f"exclude each other (the model requires x<2 and x>3, which are incompatible): {WAY_OUT}"),
        ("something else", f"exclude each other (something else): {WAY_OUT}"),
    ],
)  # fmt: skip
def test_other_python_would_not_help(text: str, said: str, no_uv: Callable[[str], list[str]]) -> None:
    """What has nothing to do with the Python is reported at once."""
    asked = no_uv(text)
    assert said in blocked("x==1")
    assert set(asked) == {"3.11"}


def test_every_python_is_tried(no_uv: Callable[[str], list[str]]) -> None:
    """Without a wheel for any Python, all are tried, the nearest first, and the sentence names the pin and the range."""
    asked = no_uv("Because numpy==1.24.4 has no usable wheels and you require numpy==1.24.4, we can conclude")
    sentence = blocked("numpy==1.24.4", python="3.12.1")
    assert "needs numpy==1.24.4, which cannot be installed: no Python from 3.10 to 3.14 has a wheel of it" in sentence
    assert list(dict.fromkeys(asked)) == ["3.12", "3.11", "3.13", "3.10", "3.14"]


def test_decommissioned_python(no_uv: Callable[[str], list[str]]) -> None:
    """Where the model's own Python is gone, the next newer one is tried first, and the sentence names the range."""
    asked = no_uv("Because numpy==1.24.4 has no usable wheels and you require numpy==1.24.4, we can conclude")
    with pytest.raises(Blocked, match=r"no Python from 3\.10 to 3\.13 has a wheel"):
        resolve(needs("numpy==1.24.4", python="3.11.4"), URI, ("3.10", "3.12", "3.13"))
    assert list(dict.fromkeys(asked)) == ["3.12", "3.13", "3.10"]


@pytest.mark.check
def test_decommissioned_python_is_told() -> None:
    """The user is told why the function has another Python than the model."""
    found = resolve(needs("scikit-learn==1.9.1", python="3.11.4"), URI, ("3.12", "3.13"))
    assert found.python == "3.12"
    assert found.notes[0] == "Cloud Functions has no Python 3.11 any more."


@pytest.mark.parametrize(
    ("saved_with", "first"),
    [("3.8.18", "3.10"), ("3.10.13", "3.10"), ("3.13", "3.13"), ("3.15.0", "3.14"), ("", lock.DEFAULT_PYTHON)],
)
def test_first_python(saved_with: str, first: str, no_uv: Callable[[str], list[str]]) -> None:
    """The first Python tried is the model's own, or the nearest to it."""
    asked = no_uv("error: Failed to fetch: x")
    blocked("x==1", python=saved_with)
    assert asked[0] == first


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("numpy==2.4.6\npandas==3.1.1\n", {"numpy": "2.4.6", "pandas": "3.1.1"}),
        ('Jinja2==3.1.6 ; python_version > "3"\nuvicorn[standard]==0.54.0', {"jinja2": "3.1.6", "uvicorn": "0.54.0"}),
        ("torch==2.1.0+cpu \\\n    --hash=sha256:abc\n", {"torch": "2.1.0+cpu"}),
        ("--index-url https://example.com\n# numpy==1\n", {}),
    ],
)
def test_versions(text: str, versions: dict[str, str]) -> None:
    """The versions of a lock are read from its lines, whatever else stands there."""
    assert Lock("3.11", text).versions == versions


def test_digest() -> None:
    """The digest is that of the Python and the text, whatever was told."""
    found = Lock("3.11", "numpy==2.4.6\n")
    assert re.fullmatch(r"[0-9a-f]{16}", found.digest)
    assert found.digest == Lock("3.11", "numpy==2.4.6\n", ("told",), ("numpy",)).digest
    assert len({found.digest, Lock("3.12", found.text).digest, Lock("3.11", "numpy==2.4.5\n").digest}) == 3
