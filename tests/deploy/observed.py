"""An observation of a project in which everything is in order and nothing is deployed, to change for a test."""

from dataclasses import replace
from typing import Any

from deploy.observation import BUCKET_READER, MemberReport, ModelReport, Observation, Policy
from deploy.preflight import APIS, OPTIONAL_APIS
from deploy.record import Record
from deploy.record_file import Found
from deploy.rights import PERMISSIONS
from tests.google_cloud.cloud import BUILDER, BUILDER_ROLE

MODEL = ModelReport(
    digest="d", description="{}", notes=(), signed="", runtime="python311", requirements="numpy==2.0.0\n",
    functions=("predict",), parity_query="SELECT 1", predictions=[],
    members={"predict-model": MemberReport("d", "on", (), 0)},
)  # fmt: skip
READY = Observation(
    gcloud_version="528.0.0",
    runtimes={"python311": "GA"},
    apis=frozenset({*APIS, *OPTIONAL_APIS}),
    permissions=frozenset(PERMISSIONS),
    tested={},
    lacking_on_buckets={},
    found=Found(Record(), "gs://models/deployments/my-project/us-central1/predict.txt", 1),
    account_exists=False,
    bucket_policy=Policy({BUCKET_READER: frozenset()}),
    function=None,
    foreign_service=False,
    dataset=None,
    connection=None,
    model=MODEL,
    builder=BUILDER,
    project_policy=Policy({BUILDER_ROLE: frozenset({f"serviceAccount:{BUILDER}"})}),
    secrets=(),
    others={},
    problems=(),
)


def observation(**changes: Any) -> Observation:
    """Return READY with some of it changed."""
    return replace(READY, **changes)
