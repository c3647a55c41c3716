"""The record of what deploy.sh created: one text object beside the models, so --destroy works from any machine.

A line is a resource and its name, such as `function predict` or `routine my-project.ds.predict`. A resource is recorded
before it is created, and only if it did not exist, so nothing of anybody else's is ever in the record.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Resource = Literal["account", "reader", "function", "connection", "dataset", "analyst", "setting", "routine", "sql"]


@dataclass(frozen=True)
class Entry:
    """One resource that deploy.sh created.

    Datasets and routines have their project in their names. A `reader` is an account and a bucket that it may read. An
    `analyst` is a connection and who may use it. A `setting` is an option of passed.py, with its key if it has keys.
    `sql` is a dataset and the hash of what its SQL functions were registered with.
    """

    resource: Resource
    name: str

    def __str__(self) -> str:
        return f"{self.resource} {self.name}"


def deletion_command(uri: str) -> list[str]:
    """Return the command that deletes a record."""
    return ["gcloud", "storage", "rm", uri, "--no-user-output-enabled"]


@dataclass(frozen=True)
class Record:
    """What deploy.sh created, in the order of creation."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, text: str, dataset_id: str, bucket: str) -> "Record":
        """Read a record; lines of other versions of deploy.sh are skipped.

        Early versions wrote names without a dataset: those of the dataset that they recorded, else of `dataset_id`.
        They wrote readers without a bucket: `bucket`, in which the record was beside the model.
        """
        pairs = [(word, name) for word, _, name in (line.partition(" ") for line in text.splitlines())]
        project = dataset_id.rpartition(".")[0]
        early = next((f"{project}.{name}" for word, name in pairs if word == "dataset" and "." not in name), dataset_id)
        pairs = [(word, f"{name} {bucket}" if word == "reader" and " " not in name else name) for word, name in pairs]
        place = {"dataset": f"{project}.", "routine": f"{early}.", "sql": f"{early} "}
        return cls(
            tuple(
                Entry(word, name if re.search("[. ]", name) else f"{place.get(word, '')}{name}")  # type: ignore[arg-type]
                for word, name in pairs
                if word in get_args(Resource)
            )
        )

    def __str__(self) -> str:
        return "".join(f"{entry}\n" for entry in self.entries)

    def __contains__(self, entry: Entry) -> bool:
        return entry in self.entries

    def names(self, resource: Resource) -> list[str]:
        """Return the names of all resources of one type."""
        return [entry.name for entry in self.entries if entry.resource == resource]

    def routines(self, dataset_id: str) -> list[str]:
        """Return the names of the SQL functions in one dataset, without the dataset."""
        places = (name.rpartition(".") for name in self.names("routine"))
        return [name for place, _, name in places if place == dataset_id]

    def add(self, entries: Iterable[Entry]) -> "Record":
        """Return the record with these entries too; a dataset's SQL functions have one hash at a time."""
        new = [entry for entry in entries if entry not in self.entries]
        replaced = {entry.name.partition(" ")[0] for entry in new if entry.resource == "sql"}
        kept = [it for it in self.entries if not (it.resource == "sql" and it.name.partition(" ")[0] in replaced)]
        return Record((*kept, *new))

    def remove(self, entries: Iterable[Entry]) -> "Record":
        """Return the record without these entries."""
        gone = set(entries)
        return Record(tuple(entry for entry in self.entries if entry not in gone))
