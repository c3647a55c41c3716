"""What to deploy, where and for whom: the options as a typed plan, and every name that follows from them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.service import listed_name
from launch.registry import Registered
from sql.settings import SqlSettings

# BigQuery calls a function in the dataset's region, or in any region inside its multi-region.
# https://cloud.google.com/bigquery/docs/remote-functions#supported_regions
MULTI_REGIONS = {
    "us": (r"us-.+", "any region us-*"),
    # London and Zurich are not in the EU.
    "eu": (r"europe-(?!west2$|west6$).+", "any region europe-* inside the EU"),
}


@dataclass(frozen=True)
class Plan:
    """The options of one deployment, checked and typed."""

    project: str
    region: str
    dataset: str
    location: str  # of the dataset when it is created; empty for the region
    model_uri: str  # where the function reads the model's files
    model_folder: Path | None  # a local model, published to model_uri first
    model_source: str  # where the model can be read now: a local one is not published yet
    model_version: str  # what a registry calls the model, such as houses/3; empty if none does or --follow is given
    follow: int | None  # seconds between two looks for a new version; None: the function serves this one
    followed: Registered | None  # the registry's alias that is followed; None: model_uri, if anything
    requirements: Path | None  # in place of the model's
    python: str  # the path of the Python to examine the model with; empty for one like the model's
    signature_from: Path | None  # a table to make the model's signature from
    sql: SqlSettings  # what the SQL functions are called and do
    function: str
    service_account: str  # an email, or the name of an account in the project
    connection: str
    memory: str
    cpu: str
    workers: int
    concurrency: int
    min_instances: int
    max_instances: int
    timeout: int  # seconds per request
    max_batching_rows: int | None  # None: BigQuery chooses
    grant: tuple[str, ...]
    record: str  # gs://bucket/prefix of the record; empty for the model's bucket
    wait: int  # seconds per step
    # The options of passed.py, as gcloud takes them; empty if not given.
    ingress_settings: str
    vpc_connector: str
    egress_settings: str
    kms_key: str
    build_worker_pool: str
    docker_repository: str
    build_service_account: str
    update_labels: Mapping[str, str]
    update_env_vars: Mapping[str, str]
    set_secrets: Mapping[str, str]  # a secret and its version for each variable or file
    service_options: Mapping[str, str]  # those options of the service that this run gives, and none of another model's

    @property
    def model_options(self) -> list[str]:
        """The model and its environment, as options of the commands that examine it."""
        options = [f"--model={self.model_source}"]
        if self.requirements:
            options.append(f"--requirements={self.requirements}")
        if self.signature_from:
            options.append(f"--signature-from={self.signature_from}")
        if self.python:
            options.append(f"--python={self.python}")
        return options

    @property
    def region_path(self) -> str:
        """What Google Cloud's APIs call the region in the project."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def model_name(self) -> str:
        """What a list of the service's models calls this one."""
        return listed_name(self.sql.name)

    @property
    def served_uri(self) -> str:
        """The function's MODEL_URI: where it reads the model, or the alias that it follows."""
        return self.followed.uri if self.followed else self.model_uri

    @property
    def bucket(self) -> str:
        """The bucket that holds the model."""
        return bucket_of(self.model_uri)

    @property
    def record_uri(self) -> str:
        """The object that lists what deploy.sh created."""
        return self.record_in(self.record_folder)

    @property
    def record_folder(self) -> str:
        """The folder of all records that are kept where this one is."""
        return self.record.rstrip("/") or self.own_record_folder

    @property
    def own_record_folder(self) -> str:
        """Where the record is looked for without --record."""
        return f"gs://{self.bucket}/deployments"

    def record_in(self, folder: str) -> str:
        """Return the object in a folder, gs://bucket/prefix, that would list what deploy.sh created."""
        return f"{folder.rstrip('/')}/{self.project}/{self.region}/{self.function}.txt"

    @property
    def record_bucket(self) -> str:
        """The bucket that holds the record."""
        return bucket_of(self.record_uri)

    @property
    def account(self) -> str:
        """The email of the account that the function runs as."""
        if "@" in self.service_account:
            return self.service_account
        # That of example.com:my-project is at my-project.example.com.iam.gserviceaccount.com.
        domain, _, project = self.project.rpartition(":")
        return f"{self.service_account}@{'.'.join(filter(None, (project, domain)))}.iam.gserviceaccount.com"

    @property
    def new_location(self) -> str:
        """Where the dataset is created if it does not exist."""
        return self.location or self.region

    @property
    def dataset_id(self) -> str:
        """The dataset with its project, as the record names it."""
        return f"{self.project}.{self.dataset}"

    def connection_id(self, location: str) -> str:
        """Return the connection's name with its project and the dataset's location, as the record has it."""
        return f"{self.project}.{location.lower()}.{self.connection}"


def bucket_of(uri: str) -> str:
    """Return the bucket of a gs:// URI; empty for another URI."""
    return uri.removeprefix("gs://").partition("/")[0] if uri.startswith("gs://") else ""


def default_account(function: str) -> str:
    """Return the account's name for a function, within the 30 characters of an account's name."""
    return f"sql-fn-{function[:23]}".removesuffix("-")


def bq_connection(connection_id: str) -> str:
    """Return a connection's name as bq takes it beside --project_id.

    With a project such as eng.example.com:my-project, bq would take its dots for those between the parts.
    """
    return ".".join(connection_id.split(".")[-2:])


def location_problem(location: str, region: str) -> str:
    """Return why BigQuery can't call a function in the region from the dataset's location, or an empty text."""
    pattern, allowed = MULTI_REGIONS.get(location.lower(), (re.escape(location.lower()), f"{location.lower()} only"))
    if re.fullmatch(pattern, region):
        return ""
    return (
        f"The dataset's location {location} and the region {region} do not match: "
        f"BigQuery calls functions in {allowed}."
    )
