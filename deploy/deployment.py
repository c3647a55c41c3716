"""A deployment under way: what is missing, what is recorded, and what the steps learned from creating it."""

from collections.abc import Iterator
from pathlib import Path

from deploy.gcloud import Commands
from deploy.observation import BUCKET_READER, CONNECTION_USER, Observation
from deploy.passed_flags import settings
from deploy.plan import Plan
from deploy.record import Entry, Record


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
        self.missing = tuple(self._missing())

    def _missing(self) -> Iterator[Entry]:
        plan, seen = self.plan, self.seen
        if not seen.account_exists:
            yield Entry("account", plan.account)
        if not seen.bucket_policy.grants(BUCKET_READER, f"serviceAccount:{plan.account}"):
            yield Entry("reader", plan.account)
        if not seen.function:
            yield Entry("function", plan.function)
        if not seen.connection:
            yield Entry("connection", self.connection_id)
        if not seen.dataset:
            yield Entry("dataset", plan.dataset_id)
        for member in plan.grant:
            if not (seen.connection and seen.connection.policy.grants(CONNECTION_USER, member)):
                yield Entry("analyst", f"{self.connection_id} {member}")
        for name in settings(plan):
            yield Entry("setting", name)

    def remember(self, *entries: Entry) -> None:
        """Record resources before they are created; nothing is written if the record has them."""
        self._write(self.record.add(entries))

    def forget(self, *entries: Entry) -> None:
        """Remove what is no longer there from the record."""
        self._write(self.record.remove(entries))

    def _write(self, record: Record) -> None:
        if record == self.record:
            return
        file = self.folder / "record.txt"
        file.write_text(str(record))
        self.commands.change(
            f"Recording what deploy.sh creates in {self.plan.record_uri}",
            f"Ask for roles/storage.objectUser on gs://{self.plan.bucket}.",
            ["gcloud", "storage", "cp", str(file), self.plan.record_uri, "--no-user-output-enabled"],
        )
        self.record = record
