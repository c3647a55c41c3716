"""What a model needs, read from the files that MLflow writes beside it, as people and tools really write them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from launch.errors import Blocked
from launch.needs import Needs, read_needs

Saved = Callable[..., Needs]
URI = "gs://models/m"


@pytest.fixture
def needs(tmp_path: Path) -> Saved:
    """Return a function that writes a model's files and reads its needs; texts are written as they are."""

    def read(
        requirements: str | None = None,
        *,
        conda: Mapping[str, Any] | str | None = None,
        python_env: Mapping[str, Any] | str | None = None,
        mlmodel: Mapping[str, Any] | str | None = None,
        override: str | None = None,
    ) -> Needs:
        files = {
            "requirements.txt": requirements,
            "conda.yaml": conda,
            "python_env.yaml": python_env,
            "MLmodel": {} if mlmodel is None else mlmodel,
        }
        for name, content in files.items():
            if content is not None:
                (tmp_path / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        if override is None:
            return read_needs(tmp_path, URI)
        (tmp_path / "own.txt").write_text(override)
        return read_needs(tmp_path, URI, tmp_path / "own.txt")

    return read


def lines(found: Needs) -> list[str]:
    """Return the requirements as lines."""
    return [str(each) for each in found.requirements]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy==2.4.6\npandas>=2,<3\n", ["numpy==2.4.6", "pandas<3,>=2"]),
        ("\n   \n# a comment\nnumpy  # another\n", ["numpy"]),
        ("numpy==2.4.6\nnumpy == 2.4.6\n", ["numpy==2.4.6"]),
        ("Scikit_Learn==1.3.2", ["Scikit_Learn==1.3.2"]),
        ("numpy==1.26.4\nnumpy<2\n", ["numpy==1.26.4", "numpy<2"]),
        ("pandas[performance]==2.2.3", ["pandas[performance]==2.2.3"]),
        ('pywin32==306 ; sys_platform == "win32"\nx==1; python_version < "3.9"', ['x==1; python_version < "3.9"']),
        ("mlflow==2.9.2\nmlflow-skinny\npip<23\nwheel\nnumpy", ["numpy"]),
        ("torch==2.1.0+cu118", ["torch==2.1.0+cu118"]),
        ("pkg_resources==0.0.0\nmkl-fft==1.3.8\nruamel-yaml-conda==0.17\nnumpy", ["numpy"]),
        ("numpy==2.4.6 \\\n    --hash=sha256:abc \\\n    --hash=sha256:def\n", ["numpy==2.4.6"]),
        ("--pre\n--trusted-host example.com\n--only-binary :all:\nnumpy", ["numpy"]),
    ],
    ids=[
        "pins-and-ranges", "blank-and-comments", "twice", "other-spelling", "pin-and-range", "extras", "markers",
        "left-out", "local-version", "ubuntu-and-anaconda", "hashes", "options",
    ],
)  # fmt: skip
def test_requirements_txt(text: str, expected: list[str], needs: Saved) -> None:
    """Each line is a requirement; comments, options and packages that the function brings itself are not."""
    assert lines(needs(text)) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    """Files as programs of Windows write them are read: UTF-16, and UTF-8 with a byte order mark."""
    (tmp_path / "requirements.txt").write_bytes("numpy==2.4.6\r\npandas\r\n".encode(encoding))
    assert lines(read_needs(tmp_path, URI)) == ["numpy==2.4.6", "pandas"]
    assert lines(read_needs(tmp_path, URI, tmp_path / "requirements.txt")) == ["numpy==2.4.6", "pandas"]


@pytest.mark.parametrize(
    "line",
    [
        "Matplotlib : 3.8.0",
        "https://example.com/x-1.0.tar.gz",
        "x @ https://example.com/x-1.0.tar.gz",
        "git+https://example.com/x.git@main",
        "-e git+https://example.com/x.git#egg=x",
        "x @ git+https://example.com/x.git",
        "-r other.txt",
        "--find-links ./wheels",
        "--extra-index-url ${INDEX}",
        "./wheels/x-1.0-py3-none-any.whl",
        "numpy=2.4.6",
        "numpy 2.4.6",
        "numpy==",
    ],
)
def test_unreadable_line(line: str, needs: Saved) -> None:
    """A line that names no package and version is one sentence with the line and what to do."""
    with pytest.raises(Blocked) as blocked:
        needs(f"numpy==2.4.6\n{line}\n")
    (sentence,) = blocked.value.blockers
    assert sentence.startswith(f"The model at {URI} cannot be installed: its requirements.txt has {line!r}; expected ")
    assert "--requirements" in sentence


def test_unreadable_lines_all_at_once(needs: Saved) -> None:
    """Every such line is a sentence."""
    with pytest.raises(Blocked) as blocked:
        needs("a : 1\nnumpy\nb : 2\n")
    assert len(blocked.value.blockers) == 2


@pytest.mark.parametrize(
    ("line", "expected", "note"),
    [
        ("sklearn", "scikit-learn", "sklearn in requirements.txt means scikit-learn."),
        ("sklearn==0.0.post1", "scikit-learn", "sklearn in requirements.txt means scikit-learn."),
        ("sklearn==1.3.2", "scikit-learn==1.3.2", "sklearn in requirements.txt means scikit-learn."),
        ("tensorflow-macos==2.15.0", "tensorflow==2.15.0", "tensorflow-macos in requirements.txt means tensorflow."),
        ("numpy @ file:///croot/numpy_1/work", "numpy", "numpy was installed from a file of the author's machine, so"),
    ],
)
def test_known_mistake(line: str, expected: str, note: str, needs: Saved) -> None:
    """What people write and tools export is understood, and the user is told."""
    found = needs(line)
    assert lines(found) == [expected]
    assert [each[: len(note)] for each in found.notes] == [note]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("--extra-index-url https://example.com/simple\nx==1", ["--extra-index-url https://example.com/simple"]),
        ("-i https://example.com/simple\nx==1", ["-i https://example.com/simple"]),
        ("--find-links https://example.com\n--find-links https://example.com\nx", ["--find-links https://example.com"]),
        ("x==1", []),
    ],
)
def test_index_lines(text: str, options: list[str], needs: Saved) -> None:
    """Lines that say where packages come from are kept, once each."""
    found = needs(text)
    assert list(found.options) == options
    assert len(found.requirements) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x==1 --hash=sha256:abc --hash=sha256:def", {"x": {"sha256:abc", "sha256:def"}}),
        ("x==1 --hash sha256:abc", {"x": {"sha256:abc"}}),
        ("x==1", {}),
    ],
)
def test_hashes(text: str, expected: dict[str, set[str]], needs: Saved) -> None:
    """The hashes that a model lists are kept for each package."""
    assert needs(text).hashes == expected


CONDA = {
    "channels": ["conda-forge"],
    "dependencies": [
        "python=3.9.18", "pip<=23", "conda-forge::scikit-learn=1.3.2", "numpy=1.26.4=py39h474f0d3_0", "pytorch==2.1.0",
        "pandas>=2,<3", "libgcc-ng=13", "cudatoolkit=11.8", {"pip": ["mlflow==2.9.2", "xgboost==2.0.3"]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("requirements", [None, "", "  \n\n"], ids=["none", "empty", "blank"])
def test_conda_only(requirements: str | None, needs: Saved) -> None:
    """Where requirements.txt says nothing, conda.yaml's own packages count, and then those of pip."""
    found = needs(requirements, conda=CONDA)
    expected = ["scikit-learn==1.3.2", "numpy==1.26.4", "torch==2.1.0", "pandas<3,>=2", "xgboost==2.0.3"]
    assert lines(found) == expected
    assert found.python == "3.9.18"
    assert found.notes == ("pytorch in conda.yaml means torch.",)


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        ("xgboost=1.7", "xgboost==1.7.*"),
        ("xgboost=1.7.6", "xgboost==1.7.6"),
        ("xgboost=1.7=py39_0", "xgboost==1.7"),
        ("xgboost==1.7", "xgboost==1.7"),
        ("xgboost=1.7.*", "xgboost==1.7.*"),
        ("xgboost 1.7.6", "xgboost==1.7.6"),
        ("xgboost[version='>=1.7,<2']", "xgboost<2,>=1.7"),
        ("psutil=5.9", "psutil==5.9"),
    ],
)
def test_conda_pins(pin: str, expected: str, needs: Saved) -> None:
    """A short version of conda's stands for all that begin with it; of what decides nothing it is only preferred."""
    assert lines(needs(conda={"dependencies": [pin, "graphviz=2.50", "git"]})) == [expected]


def test_included_files(tmp_path: Path, needs: Saved) -> None:
    """Files beside requirements.txt that it names are read, and MLflow's constraints hold for what others require."""
    (tmp_path / "base.txt").write_text("pandas==2.2.3\n-r base.txt\n")
    (tmp_path / "constraints.txt").write_text("numpy==1.26.4\nscipy==1.14.1\n")
    with pytest.raises(Blocked, match="its base"):
        needs("-r base.txt\n")
    (tmp_path / "base.txt").write_text("pandas==2.2.3\n")
    found = needs("-r base.txt\nnumpy\n-c constraints.txt\n")
    assert lines(found) == ["pandas==2.2.3", "numpy", "numpy==1.26.4"]
    assert list(map(str, found.limits)) == ["scipy==1.14.1"]


def test_requirements_before_conda(needs: Saved) -> None:
    """requirements.txt wins over conda.yaml."""
    assert lines(needs("numpy==2.4.6", conda=CONDA)) == ["numpy==2.4.6"]


def test_override(needs: Saved) -> None:
    """A file of the user's replaces the model's requirements, and its errors name it."""
    assert lines(needs("a : 1", override="numpy==2.4.6")) == ["numpy==2.4.6"]
    with pytest.raises(Blocked, match=r"own\.txt has 'a : 1'; expected "):
        needs("numpy", override="a : 1")


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (["pip==23", "setuptools==68.0.0", "wheel"], ["numpy", "setuptools==68.0.0"]),
        (["pip==23", "wheel"], ["numpy"]),
        ("setuptools", ["numpy"]),
    ],
    ids=["setuptools", "without", "no-list"],
)
def test_build_dependencies(build: Any, expected: list[str], needs: Saved) -> None:
    """Of python_env.yaml's build dependencies, only setuptools is needed to run."""
    assert lines(needs("numpy", python_env={"build_dependencies": build})) == expected


def test_own_setuptools_wins(needs: Saved) -> None:
    """A setuptools among the requirements wins over that of the build."""
    found = needs("setuptools<70", python_env={"build_dependencies": ["setuptools==68.0.0"]})
    assert lines(found) == ["setuptools<70"]


@pytest.mark.parametrize(
    ("requirement", "flavor", "expected", "is_noted"),
    [
        ("scikit-learn==1.3.2", {"sklearn_version": "1.3.2"}, ["scikit-learn==1.3.2"], False),
        ("scikit-learn", {"sklearn_version": "1.3.2"}, ["scikit-learn==1.3.2"], False),
        ("scikit-learn>=1.3", {"sklearn_version": "1.3.2"}, ["scikit-learn==1.3.2"], False),
        ("scikit-learn==1.4.0", {"sklearn_version": "1.3.2"}, ["scikit-learn==1.3.2"], True),
        ("scikit-learn<1.3", {"sklearn_version": "1.3.2"}, ["scikit-learn==1.3.2"], True),
        ("numpy", {"sklearn_version": "1.3.2"}, ["numpy", "scikit-learn==1.3.2"], False),
        ("lightgbm==4.1.0", {"lgb_version": "4.7.0"}, ["lightgbm==4.7.0"], True),
        ("torch==2.1.0", {"pytorch_version": "2.1.0+cu118"}, ["torch==2.1.0"], False),
        ("torch", {"pytorch_version": "2.1.0+cu118"}, ["torch==2.1.0"], False),
        ("xgboost", {"xgb_version": "unknown"}, ["xgboost"], False),
        ("xgboost", {"xgb_version": 2.0}, ["xgboost==2.0"], False),
    ],
)
def test_flavor_version(
    requirement: str, flavor: Mapping[str, Any], expected: list[str], is_noted: bool, needs: Saved
) -> None:
    """The version that a flavor recorded wins over the requirements, and a contradiction is told."""
    found = needs(requirement, mlmodel={"flavors": {"any": flavor}})
    assert lines(found) == expected
    assert [("but the model was saved by" in note) for note in found.notes] == [True] * is_noted


def python_files(mlmodel: object, python_env: object, conda: object) -> dict[str, Any]:
    """Return the files of a model that name a Python; None leaves one out."""
    return {
        "mlmodel": {"flavors": {"python_function": {"python_version": mlmodel}}} if mlmodel else {},
        "python_env": {"python": python_env} if python_env else None,
        "conda": {"dependencies": [f"python={conda}"]} if conda else None,
    }


@pytest.mark.parametrize(
    ("mlmodel", "python_env", "conda", "expected", "noted"),
    [
        ("3.10.13", "3.10.13", "3.10.13", "3.10.13", []),
        ("3.10.13", "3.11.7", None, "3.10.13", ["python_env.yaml names Python 3.11.7, but MLmodel says 3.10.13"]),
        ("3.10.13", "3.10.2", "3.10", "3.10.13", []),
        (None, "3.9.18", "3.11.7", "3.9.18", ["conda.yaml names Python 3.11.7, but python_env.yaml says 3.9.18"]),
        (None, None, "3.11.7", "3.11.7", []),
        (None, None, "=3.12", "3.12", []),
        (None, None, None, "", []),
        ("two", "3.8.18", None, "3.8.18", []),
        (3.8, None, None, "3.8", []),
        (None, 3.8, None, "3.8", []),
    ],
)
def test_python(
    mlmodel: object, python_env: object, conda: object, expected: str, noted: list[str], needs: Saved
) -> None:
    """The Python is that of the first file that names one, and a contradiction is told."""
    found = needs("numpy", **python_files(mlmodel, python_env, conda))
    assert found.python == expected
    assert [note[: len(start)] for note, start in zip(found.notes, noted, strict=True)] == noted


def test_python_as_number(needs: Saved) -> None:
    """YAML reads 3.8 without quotes as a number."""
    assert needs("numpy", python_env="python: 3.8\n").python == "3.8"


def test_python_that_lost_its_zero(needs: Saved) -> None:
    """A minor version of two digits in a number loses its zero: 3.10 is no Python 3.1."""
    found = needs("numpy", python_env="python: 3.10\n", conda={"dependencies": ["python=3.10.13"]})
    assert (found.python, found.notes) == ("3.10", ())


@pytest.mark.parametrize(
    ("mlmodel", "saved"),
    [
        ({"utc_time_created": "2023-05-01 10:00:00.123"}, "2023-05-01 10:00:00.123"),
        ("utc_time_created: 2023-05-01 10:00:00\n", "2023-05-01 10:00:00"),
        ({}, ""),
        ("", ""),
        ("just text", ""),
        ("flavors:\n", ""),
        ("flavors: [a]\n", ""),
    ],
    ids=["text", "time", "nothing", "empty", "text-only", "no-flavors", "flavors-as-list"],
)
def test_time_of_saving(mlmodel: Any, saved: str, needs: Saved) -> None:
    """The time of saving is MLmodel's; a file with less than that is read as far as it goes."""
    found = needs("numpy", mlmodel=mlmodel)
    assert (found.saved, lines(found)) == (saved, ["numpy"])


def test_files_that_are_no_yaml(tmp_path: Path) -> None:
    """Each file that isn't YAML, and each line that can't be read, is one sentence that names it."""
    for file in ("MLmodel", "conda.yaml", "python_env.yaml"):
        (tmp_path / file).write_text("a: [1\nb: {")
    (tmp_path / "requirements.txt").write_text("./wheels/x.whl\n")
    with pytest.raises(Blocked) as blocked:
        read_needs(tmp_path, URI)
    conda, python_env, line = blocked.value.blockers
    assert conda.startswith(f"The file conda.yaml of the model at {URI} is not YAML: ")
    assert python_env.startswith(f"The file python_env.yaml of the model at {URI} is not YAML: ")
    assert "requirements.txt has './wheels/x.whl'; expected" in line


def test_names_are_canonical(needs: Saved) -> None:
    """Names are compared in the form that PyPI uses."""
    assert needs("Scikit_Learn\nPyYAML\n").names == {"scikit-learn", "pyyaml"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("scikit-learn==1.9.1", "skops"), ("scikit-learn==1.9.1\nskops==0.14.0", "skops==0.14.0")],
    ids=["not named", "named"],
)
def test_skops_only_where_needed(text: str, expected: str, needs: Saved) -> None:
    """A model in skops' format gets that package; its own version of it stays."""
    flavor = {"sklearn_version": "1.9.1"}
    skops = {"flavors": {"sklearn": {**flavor, "serialization_format": "skops"}}}
    assert lines(needs(text, mlmodel=skops)) == ["scikit-learn==1.9.1", expected]
    pickled = {"flavors": {"sklearn": {**flavor, "serialization_format": "cloudpickle"}}}
    assert lines(needs("scikit-learn==1.9.1", mlmodel=pickled)) == ["scikit-learn==1.9.1"]
