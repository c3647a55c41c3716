"""Whether a followed version's requirements are met by the packages that are installed."""

from pathlib import Path

import numpy as np
import pytest
import sklearn

from loading import packages
from loading.failures import loading_errors
from loading.packages import RESOLVED, check_requirements
from serving.errors import ModelUnusable

SKLEARN, NUMPY = sklearn.__version__, np.__version__
MAJOR = int(NUMPY.partition(".")[0])


@pytest.mark.parametrize(
    "line",
    [
        f"scikit-learn=={SKLEARN}",
        f"sklearn=={SKLEARN} --hash=sha256:00",
        f"scikit-learn=={SKLEARN}  # of the notebook",
        "scikit-learn",
        f"numpy=={MAJOR}.0.1",
        f"numpy=={MAJOR}.*,<{MAJOR + 1}",
        "mlflow==1.0",
        "pandas==0.1",
        "pywin32==306",
        "torch==0.1; sys_platform == 'win32'",
        "--extra-index-url https://example.com",
        "# scikit-learn==0.1",
        "./wheels/x.whl",
    ],
)
def test_met(line: str, tmp_path: Path) -> None:
    """What is installed, what doesn't decide predictions, and what deploy.sh doesn't install, is met."""
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    check_requirements(tmp_path, "gs://models/houses")


def test_no_requirements(tmp_path: Path) -> None:
    """A model without a requirements.txt requires nothing."""
    check_requirements(tmp_path, "gs://models/houses")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("scikit-learn==0.1", f"requires scikit-learn==0.1, but scikit-learn {SKLEARN} is installed: "),
        ("Scikit_Learn<=0.1", f"requires scikit-learn<=0.1, but scikit-learn {SKLEARN} is installed: "),
        (f"numpy=={MAJOR + 1}.0.0", f"requires numpy=={MAJOR + 1}.0.0, but numpy {NUMPY} is installed: "),
        (f"numpy<{MAJOR}", f"requires numpy<{MAJOR}, but numpy {NUMPY} is installed: "),
        ("no-such-package==1", "requires no-such-package==1, but no-such-package is not installed: "),
    ],
)
def test_not_met(line: str, said: str, tmp_path: Path) -> None:
    """A package that decides predictions in another version, or that is missing, is named with both versions."""
    (tmp_path / "requirements.txt").write_text(f"pandas\n{line}\n")
    with pytest.raises(ModelUnusable) as error:
        check_requirements(tmp_path, "gs://models/houses")
    assert str(error.value).startswith(f"The model at gs://models/houses {said}")


def test_all_that_is_not_met(tmp_path: Path) -> None:
    """Every requirement that isn't met is in the one error."""
    (tmp_path / "requirements.txt").write_text("scikit-learn==0.1\nno-such-package\n")
    with pytest.raises(ModelUnusable) as error:
        check_requirements(tmp_path, "gs://models/houses")
    said = f"scikit-learn==0.1, but scikit-learn {SKLEARN} is installed, no-such-package, but no-such-package is not"
    assert said in str(error.value)


def test_resolved_requirements_are_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What deploy.sh resolved is met, and anything else isn't, though a package moved."""
    monkeypatch.setattr("loading.packages.ROOT", tmp_path / "function")
    (tmp_path / "function").mkdir()
    (tmp_path / "function" / RESOLVED).write_text("no-such-package==1\n\nscikit-learn==0.1\n")  # of two models
    (tmp_path / "requirements.txt").write_text("scikit-learn==0.1\n")
    check_requirements(tmp_path, "gs://models/houses")
    (tmp_path / "requirements.txt").write_text("scikit-learn==0.2\n")
    with pytest.raises(ModelUnusable):
        check_requirements(tmp_path, "gs://models/houses")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mlflow==2.19.0", ""),
        ("xgboost==2.1.3", ""),
        ("pywin32==306", ""),
        ("torch==0.1; sys_platform == 'win32'", ""),
        ("opencv-python==4.9", " If it belongs to a package that the model requires and that is not installed "
         "(opencv-python==4.9), deploy with that in requirements.txt."),
    ],
)  # fmt: skip
def test_missing_module(line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the author isn't looked for in a package for which another one is installed."""
    here = {"mlflow-skinny": "3.1", "xgboost-cpu": "2.1.3"}
    monkeypatch.setattr(packages, "version", here.get)
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    with pytest.raises(ModelUnusable) as refused, loading_errors(tmp_path, "gs://models/houses"):
        raise ModuleNotFoundError("No module named 'mine'", name="mine")
    assert str(refused.value) == (
        "The model at gs://models/houses needs the Python module 'mine', which was not saved with it: save it again "
        f'with code_paths=["mine.py"], or ["mine"] for a folder.{said}'
    )
