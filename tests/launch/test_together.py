"""Models that share one environment: what two of them can't have both is named with both, before anything is made."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launch import together
from launch.description import Description
from launch.environment import Environment
from launch.errors import Blocked
from launch.examine import MODELS_OWN, Examined
from launch.lock import Lock
from launch.together import Member
from serving.model import Model, ModelInfo
from serving.signature import Signature

MODEL = Model(ModelInfo("m"), Signature((), None), print)
Found = tuple[Member, Examined]


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., Found]:
    """Return what makes an examined model of its requirements, with the lock in which it was examined."""

    def make(name: str, lines: str, lock: str, python: str = "3.11", code: str = "") -> Found:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "MLmodel").write_text("flavors: {python_function: {code: code, python_version: 3.11.7}}\n")
        (folder / "requirements.txt").write_text(lines)
        if code:
            (folder / "code").mkdir()
            (folder / "code" / "steps.py").write_text(code)
        environment = Environment(Path("python"), Lock(python, lock))
        return Member(name, str(folder), MODELS_OWN), Examined(
            folder, str(folder), Description(MODEL, [[1]], [2.0]), environment
        )

    return make


def test_different_pins(found: Callable[..., Found]) -> None:
    """Two models that pin a deciding package differently are named in one sentence, with both versions."""
    models = [
        found("houses", "numpy==2.4.6\nscikit-learn==1.9.1\n", "numpy==2.4.6\nscikit-learn==1.9.1\n"),
        found("cities", "scikit-learn==1.8.0\nrich==14.0\nnumpy\n", "numpy==2.3.0\nscikit-learn==1.8.0\nrich==14.1\n"),
        found("flats", "scikit-learn==1.9.1\nrich==13.0\n", "scikit-learn==1.9.1\nrich==13.1\n"),
    ]
    assert list(together._different_pins(models)) == [
        "houses needs scikit-learn 1.9.1, and cities scikit-learn 1.8.0, but a service has one version of each package: "
        "deploy one of them with another --function.",
        "cities needs scikit-learn 1.8.0, and flats scikit-learn 1.9.1, but a service has one version of each package: "
        "deploy one of them with another --function.",
    ]


def test_joint_needs(found: Callable[..., Found]) -> None:
    """All models' requirements are met, deciding ones in the version in which each model was examined."""
    models = [
        found("houses", "numpy==1.21.6\nxgboost==3.2.0\n", "numpy==1.22.4\nxgboost-cpu==3.2.0\n"),
        found("cities", "numpy==1.22.4\nrich==14.0\n", "numpy==1.22.4\nrich==14.1\n", python="3.12"),
    ]
    needs = together._joint_needs(models)
    assert [str(each) for each in needs.requirements] == ["numpy==1.22.4", "xgboost==3.2.0", "rich==14.0"]
    assert needs.python == "3.11"


@pytest.mark.check
def test_no_common_packages(found: Callable[..., Found]) -> None:
    """All models are named if each goes with the first, but not all of them together."""
    lines = {"houses": "", "cities": "rich<13\n", "flats": "rich>=14\n"}
    with pytest.raises(Blocked) as error:
        together._lock([found(name, text, "") for name, text in lines.items()])
    (sentence,) = error.value.blockers
    assert sentence.startswith("houses, cities, flats have no packages in common. ")
    assert "rich" in sentence
    assert sentence.endswith(": deploy one of them with another --function.")


def test_different_code(found: Callable[..., Found]) -> None:
    """Two models that bring different modules of one name are named with the module; the same module is no problem."""
    models = [found(name, "", "", code=code) for name, code in (("a", "x = 1"), ("b", "x = 1"), ("c", "x = 2"))]
    problems = list(together._different_code({member.name: one for member, one in models}))
    assert len(problems) == 2
    assert problems[0].startswith("a and c bring different modules of one name, code/steps.py, and Python has one")


def test_other_predictions(found: Callable[..., Found]) -> None:
    """A model that predicts something else is named with the one that it has to share packages with, and with these."""
    _, alone = found("houses", "", "numpy==2.0.0\nrich==14.0\n")
    shared = Environment(Path("python"), Lock("3.12", "numpy==2.1.0\nrich==15.0\n"))
    same = replace(alone, environment=shared)
    assert list(together._differences("houses", alone, same, "cities")) == []
    other = replace(same, description=Description(MODEL, [[1]], [2.5]))
    assert list(together._differences("houses", alone, other, "cities")) == [
        "houses would predict differently beside cities, 2.5 instead of 2.0 for row 0, with Python 3.12 in place of 3.11, "
        "numpy 2.1.0 in place of 2.0.0: deploy one of them with another --function."
    ]
    (note,) = together._noted(alone, same).notes
    assert note == "The models of the service share Python 3.12, in place of 3.11."
