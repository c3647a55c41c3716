"""The record of what deploy.sh created: one text object beside the models, so --destroy works from any machine.

A line is a resource and its name, such as `function predict`. A resource is recorded before it is created, and only if
it did not exist, so nothing of anybody else's is ever in the record.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Resource = Literal["account", "reader", "function", "connection", "dataset", "analyst", "routine", "sql"]


@dataclass(frozen=True)
class Entry:
    """One resource that deploy.sh created.

    A `reader` is an account that may read the bucket. An `analyst` is a connection and who may use it. `sql` is the
    hash of what the SQL functions were registered with.
    """

    resource: Resource
    name: str

    def __str__(self) -> str:
        return f"{self.resource} {self.name}"


@dataclass(frozen=True)
class Record:
    """What deploy.sh created, in the order of creation."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Record":
        """Read a record; lines of other versions of deploy.sh are skipped."""
        pairs = (line.partition(" ") for line in text.splitlines())
        return cls(tuple(Entry(word, name) for word, _, name in pairs if word in get_args(Resource)))  # type: ignore[arg-type]

    def __str__(self) -> str:
        return "".join(f"{entry}\n" for entry in self.entries)

    def __contains__(self, entry: Entry) -> bool:
        return entry in self.entries

    def names(self, resource: Resource) -> list[str]:
        """Return the names of all resources of one type."""
        return [entry.name for entry in self.entries if entry.resource == resource]

    def add(self, entries: Iterable[Entry]) -> "Record":
        """Return the record with these entries too; there is one hash of the SQL functions at a time."""
        new = [entry for entry in entries if entry not in self.entries]
        replaced = any(entry.resource == "sql" for entry in new)
        kept = [entry for entry in self.entries if not (replaced and entry.resource == "sql")]
        return Record((*kept, *new))
