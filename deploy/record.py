"""The record of what deploy.sh created: one text object beside the models, so --destroy works from any machine.

A line is a resource and its name, such as `function predict`, or the word `model` and a JSON object: a model of the
service, with its SQL functions. A resource is recorded before it is created, and only if it did not exist, so nothing
of anybody else's is ever in the record.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from deploy.service import ServiceModel

Resource = Literal["account", "reader", "function", "connection", "dataset", "analyst", "setting", "routine", "sql"]


@dataclass(frozen=True)
class Entry:
    """One resource that deploy.sh created.

    Datasets and routines have their project in their names. A `reader` is an account and a bucket that it may read. An
    `analyst` is a connection and who may use it. A `setting` is an option of passed.py, with its key if it has keys.
    Only records of earlier versions have a `routine`, and `sql`, which is a dataset and a hash: they are a model's now.
    """

    resource: Resource
    name: str

    def __str__(self) -> str:
        return f"{self.resource} {self.name}"


@dataclass(frozen=True)
class Record:
    """What deploy.sh created, in the order of creation, and the models of the service."""

    entries: tuple[Entry, ...] = ()
    models: tuple[ServiceModel, ...] = ()

    @classmethod
    def parse(cls, text: str, dataset_id: str, bucket: str) -> "Record":
        """Read a record; lines of other versions of deploy.sh are skipped.

        Early versions wrote names without a dataset: those of the dataset that they recorded, else of `dataset_id`.
        They wrote readers without a bucket: `bucket`, in which the record was beside the model.
        """
        pairs = [(word, name) for word, _, name in (line.partition(" ") for line in text.splitlines())]
        models = tuple(ServiceModel.from_json(json.loads(name)) for word, name in pairs if word == "model")
        project = dataset_id.rpartition(".")[0]
        early = next((f"{project}.{name}" for word, name in pairs if word == "dataset" and "." not in name), dataset_id)
        pairs = [(word, f"{name} {bucket}" if word == "reader" and " " not in name else name) for word, name in pairs]
        place = {"dataset": f"{project}.", "routine": f"{early}.", "sql": f"{early} "}
        entries = tuple(
            Entry(word, name if re.search("[. ]", name) else f"{place.get(word, '')}{name}")  # type: ignore[arg-type]
            for word, name in pairs
            if word in get_args(Resource)
        )
        return cls(entries, models)

    def __str__(self) -> str:
        lines = [*map(str, self.entries), *(f"model {json.dumps(it.to_json())}" for it in self.models)]
        return "".join(f"{line}\n" for line in lines)

    def __contains__(self, entry: Entry) -> bool:
        return entry in self.entries

    def names(self, resource: Resource) -> list[str]:
        """Return the names of all resources of one type that aren't a model's."""
        return [entry.name for entry in self.entries if entry.resource == resource]

    @property
    def routines(self) -> list[str]:
        """The names of all SQL functions, PROJECT.DATASET.NAME."""
        return [*self.names("routine"), *(name for model in self.models for name in model.routines)]

    def model(self, name: str) -> ServiceModel | None:
        """Return the model that the list calls so."""
        return next((it for it in self.models if it.name == name), None)

    def others(self, name: str) -> list[ServiceModel]:
        """Return the models of the service besides the one that the list calls so."""
        return [it for it in self.models if it.name != name]

    def add(self, entries: Iterable[Entry]) -> "Record":
        """Return the record with these entries too."""
        new = [entry for entry in entries if entry not in self.entries]
        return replace(self, entries=(*self.entries, *new))

    def remove(self, entries: Iterable[Entry]) -> "Record":
        """Return the record without these entries."""
        gone = set(entries)
        return replace(self, entries=tuple(entry for entry in self.entries if entry not in gone))

    def serving(self, models: Iterable[ServiceModel]) -> "Record":
        """Return the record of a service with these models; each keeps the SQL functions that it has here."""
        return replace(self, models=tuple(self._with_sql(it) for it in models))

    def with_model(self, model: ServiceModel) -> "Record":
        """Return the record with a model in place of the one of its name."""
        return replace(self, models=tuple(model if it.name == model.name else it for it in self.models))

    def _with_sql(self, model: ServiceModel) -> ServiceModel:
        known = self.model(model.name)
        return replace(model, routines=known.routines, sql=known.sql) if known else model

    @property
    def adopted(self) -> "Record":
        """The record with its only model as the owner of the SQL functions from before models were recorded."""
        (model,) = self.models
        routines = tuple(dict.fromkeys((*self.names("routine"), *model.routines)))
        early = tuple(entry for entry in self.entries if entry.resource in ("routine", "sql"))
        return self.remove(early).with_model(replace(model, routines=routines))
