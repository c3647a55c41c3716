"""The models of one service: what the record keeps about each, and what the function reads of it.

A service has one model, which its environment variables name, until a second one is added. From then on it has a list,
a file in the function's source: nobody who can write to a bucket decides what runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import yaml

from deploy.option import to_mapping
from launch import kept
from serving import functions
from serving.model_list import RESERVED

LIST = "models.yaml"
RECORD = "DEPLOY_RECORD"  # where the function says that its record is, if that doesn't follow from its model
# Environment variables of a single model that a user may set, and the keys of an entry that stand for them in a list.
OF_MODEL = {"MODEL_THREADS": "threads", "ROWS_DEPEND": "rows_depend"}


@dataclass(frozen=True)
class ServiceModel:
    """One model of a service, as the record has it."""

    sql_name: str  # --name; empty without
    uri: str  # where the function reads it, or the alias that it follows
    digest: str = ""  # empty for a model that is followed
    version: str = ""
    follow: int | None = None  # seconds between two looks for a new version
    registry: str = ""  # whose alias is followed
    plan: str = "on"
    default: bool = False  # whether it answers requests that name no model
    requirements: str = ""  # the text of --requirements
    options: Mapping[str, str] = field(default_factory=dict)  # of the service, as far as this model's run gave them
    routines: tuple[str, ...] = ()  # its SQL functions, PROJECT.DATASET.NAME
    sql: Mapping[str, str] = field(default_factory=dict)  # the hash of what they were registered with, by dataset

    @property
    def name(self) -> str:
        """What the list calls the model."""
        return listed_name(self.sql_name)

    @property
    def served(self) -> Self:
        """What decides how the model is served."""
        return replace(self, routines=(), sql={})

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in the list, without the keys that have their defaults."""
        given = to_mapping(self.options.get("update_env_vars", ""))
        own = {key: _number(given.get(name, "")) for name, key in OF_MODEL.items()}
        keys = {
            "uri": self.uri,
            "digest": self.digest,
            "version": self.version,
            "sql_name": self.sql_name,
            "default": self.default,
            "refresh_seconds": self.follow,
            "plan": "" if self.plan == "on" else self.plan,
            **own,
        }
        return {key: value for key, value in keys.items() if value}

    def routines_in(self, dataset_id: str) -> list[str]:
        """Return the names of its SQL functions in one dataset, without the dataset."""
        places = (name.rpartition(".") for name in self.routines)
        return [name for place, _, name in places if place == dataset_id]

    def to_json(self) -> dict[str, Any]:
        """Return what the record has, without what has its default."""
        defaults = {it.name: it.default for it in fields(self)}
        found = {key: value for key, value in asdict(self).items() if value and value != defaults[key]}
        return {"sql_name": self.sql_name, **found}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned; keys of other versions of deploy.sh are skipped."""
        known = {it.name for it in fields(cls)}
        values = {key: value for key, value in found.items() if key in known}
        return cls(**{**values, "routines": tuple(values.get("routines", ()))})


def listed_name(sql_name: str) -> str:
    """Return what the list calls the model of --name; a hyphen, which no --name has, keeps others' names free."""
    name = sql_name or "predict"
    return f"{name}-model" if name in functions.names() or name in RESERVED else name


def requirements_file(model: ServiceModel) -> Path | None:
    """Return a file with the requirements that a model was deployed with in place of its own, if it was."""
    if not model.requirements:
        return None
    file = kept.KEPT / "requirements" / f"{sha256(model.requirements.encode()).hexdigest()[:16]}.txt"
    if not file.is_file():
        kept.write(file, model.requirements)
    return file


def only_model(models: Sequence[ServiceModel]) -> ServiceModel | None:
    """Return the model of a service without a list: its only one, unless the SQL functions name it."""
    return models[0] if len(models) == 1 and models[0].default else None


def listing(models: Sequence[ServiceModel]) -> str:
    """Return the file that lists the models."""
    entries = {it.name: it.entry for it in models}
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=200)


def variables(models: Sequence[ServiceModel]) -> dict[str, str]:
    """Return the environment variables of the function that say what it serves; an empty one isn't set."""
    only = only_model(models)
    one = only or ServiceModel("", "")
    return {
        "MODELS": "" if only else LIST,
        "MODEL_URI": one.uri,
        "MODEL_DIGEST": one.digest,
        "MODEL_VERSION": one.version,
        "SQL_NAME": one.sql_name,
        "MODEL_REFRESH_SECONDS": str(one.follow or ""),
        "MLFLOW_TRACKING_URI": next((it.registry for it in models if it.registry), ""),
        "MODEL_PLAN": "" if one.plan == "on" else one.plan,
    }


def _number(text: str) -> str | int:
    return int(text) if text.isdecimal() else text
