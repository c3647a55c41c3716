"""The object that holds the record: read and written with its generation, so that no run overwrites what another wrote.

A run that finds the object changed carries on from what is there if the service has the same models, and starts over
if not: what it deploys follows from all of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from deploy.errors import StepFailed, Superseded
from deploy.gcloud import TRANSIENT, Commands
from deploy.plan import bucket_of
from deploy.record import Record
from deploy.rest import Rest

# What gcloud says about an object that isn't of the generation that it names.
CHANGED = r"HTTPError 412|conditionNotMet|PRECONDITION|[Pp]re-?condition"


@dataclass(frozen=True)
class Found:
    """A record as it was read; `uri` is empty and `generation` 0 if there is none."""

    record: Record = field(default_factory=Record)
    uri: str = ""
    generation: int = 0


class RecordUnreadable(Exception):
    """A record can't be read; the message is the reason."""


def read(rest: Rest, uri: str, dataset_id: str) -> Found | None:
    """Return the record at a URI, None if there is none; raise RecordUnreadable."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    path = f"b/{bucket}/o/{quote(name, safe='')}"
    described = rest.request("GET", "storage", path)
    if not described.ok:
        if described.matches("^HTTP 404"):
            return None
        raise RecordUnreadable(described.reason)
    generation = str(described.json()["generation"])
    content = rest.request("GET", "storage", path, params={"alt": "media", "generation": generation})
    if content.matches("^HTTP 404"):  # replaced meanwhile
        return read(rest, uri, dataset_id)
    if not content.ok:
        raise RecordUnreadable(content.reason)
    return Found(Record.parse(content.out, dataset_id, bucket_of(uri)), uri, int(generation))


def deletion_command(found: Found) -> list[str]:
    """Return the command that deletes a record unless it has changed."""
    return [
        "gcloud", "storage", "rm", found.uri, f"--if-generation-match={found.generation}", "--no-user-output-enabled",
    ]  # fmt: skip


class RecordFile:
    """The record at its place of today. In a dry run, only what the steps know of it changes."""

    def __init__(self, found: Found, uri: str, dataset_id: str, commands: Commands, folder: Path) -> None:
        self.uri = uri
        self.record = found.record
        self._earlier = found if found.uri and found.uri != uri else None
        self._generation = 0 if self._earlier else found.generation
        self._dataset_id = dataset_id
        self._commands = commands
        self._rest = Rest(commands)
        self._file = folder / "record.txt"

    def move(self) -> None:
        """Write the record to its place of today, if an earlier run kept it elsewhere, and delete it there."""
        if not self._earlier:
            return
        before, self._earlier = self._earlier, None
        self._write(self.record)
        try:
            step = f"Deleting the record {before.uri}, which is in {self.uri} now"
            self._commands.change(step, "", deletion_command(before))
        except StepFailed as failure:
            self._commands.say(f"{before.uri} stays, and is of no use any more: {failure.reason}")

    def update(self, change: Callable[[Record], Record]) -> None:
        """Write the changed record; nothing is written if that changes nothing. Raise Superseded."""
        while (record := change(self.record)) != self.record:
            try:
                self._write(record)
            except StepFailed as failure:
                if not re.search(CHANGED, failure.reason):
                    raise
                self.confirm()

    def confirm(self) -> None:
        """Read the record again; raise Superseded if another run has changed the models of the service."""
        if self._commands.dry_run:
            return
        try:
            found = read(self._rest, self.uri, self._dataset_id) or Found()
        except RecordUnreadable as error:
            advice = f"Ask for roles/storage.objectViewer on gs://{bucket_of(self.uri)}."
            raise StepFailed(f"Reading the record {self.uri}", str(error), advice) from error
        if [it.served for it in found.record.models] != [it.served for it in self.record.models]:
            raise Superseded
        self.record, self._generation = found.record, found.generation

    def try_update(self, record: Record) -> None:
        """Write the record, or delete an empty one, after a failure: once, and whatever comes of it."""
        if record == self.record:
            return
        empty = not record.entries and not record.models
        found = Found(record, self.uri, self._generation)
        self._commands.run(deletion_command(found) if empty else self._copy(record))

    def _copy(self, record: Record) -> list[str]:
        self._file.write_text(str(record))
        return [
            "gcloud", "storage", "cp", str(self._file), self.uri, f"--if-generation-match={self._generation}",
            "--print-created-message",
        ]  # fmt: skip

    def _write(self, record: Record) -> None:
        written = self._commands.change(
            f"Recording what deploy.sh creates in {self.uri}",
            f"Ask for roles/storage.objectUser on gs://{bucket_of(self.uri)}, or name another place with --record.",
            self._copy(record),
            TRANSIENT,
        )
        self.record = record
        if created := re.search(rf"{re.escape(self.uri)}#(\d+)", f"{written.err}{written.out}"):
            self._generation = int(created[1])
