"""A deployment under way: what is missing, what is recorded, and what the steps learned from creating it."""

from pathlib import Path

from deploy.errors import StepFailed
from deploy.gcloud import Commands
from deploy.missing import missing
from deploy.observation import Observation
from deploy.plan import Plan
from deploy.record import Entry, Record, deletion_command


class Deployment:
    """What the steps share. In a dry run, placeholders stand for what Google Cloud would choose."""

    def __init__(self, plan: Plan, seen: Observation, commands: Commands, folder: Path) -> None:
        self.plan = plan
        self.seen = seen
        assert seen.model  # without a report there are problems, which end the deployment before
        self.model = seen.model
        self.commands = commands
        self.folder = folder  # for temporary files
        self.record = seen.record
        self.location = seen.dataset.location if seen.dataset else plan.new_location
        self.connection_id = plan.connection_id(self.location)
        self.function_url = seen.function.url if seen.function else "https://endpoint-of-the-function"
        self.caller = seen.connection.account if seen.connection else "account-of-the-connection"
        self.missing = tuple(missing(plan, seen))

    def remember(self, *entries: Entry) -> None:
        """Record resources before they are created; nothing is written if the record has them."""
        self._write(self.record.add(entries))

    def forget(self, *entries: Entry) -> None:
        """Remove what is no longer there from the record."""
        self._write(self.record.remove(entries))

    def move_record(self) -> None:
        """Write the record to its place of today, if an earlier run kept it elsewhere, and delete it there."""
        before = self.seen.record_uri
        if before == self.plan.record_uri:
            return
        self._save(self.record)
        try:
            step = f"Deleting the record {before}, which is in {self.plan.record_uri} now"
            self.commands.change(step, "", deletion_command(before))
        except StepFailed as failure:
            self.commands.say(f"{before} stays, and is of no use any more: {failure.reason}")

    def _write(self, record: Record) -> None:
        if record != self.record:
            self._save(record)

    def save_quietly(self, record: Record) -> None:
        """Write the record after a failure, which is what the user has to hear of: once, whatever comes of it."""
        if record == self.record:
            return
        self.commands.run(self._copy(record) if record.entries else deletion_command(self.plan.record_uri))

    def _copy(self, record: Record) -> list[str]:
        file = self.folder / "record.txt"
        file.write_text(str(record))
        return ["gcloud", "storage", "cp", str(file), self.plan.record_uri, "--no-user-output-enabled"]

    def _save(self, record: Record) -> None:
        self.commands.change(
            f"Recording what deploy.sh creates in {self.plan.record_uri}",
            f"Ask for roles/storage.objectUser on gs://{self.plan.record_bucket}, or name another place with --record.",
            self._copy(record),
        )
        self.record = record
