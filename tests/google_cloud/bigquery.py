"""BigQuery and its connections: datasets, routines and query jobs. bqlocal runs the SQL."""

import json
import shutil
import threading
import uuid
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Route

from bqlocal import ddl
from bqlocal.bigquery import BigQuery
from bqlocal.errors import BqlocalError
from bqlocal.remote import RemoteFunction
from bqlocal.sql_functions import SqlFunction, sql_function
from tests.google_cloud.cloud import NUMBER, ApiError, Cloud
from tests.google_cloud.rows import encoded

HOME = "/bigquery/v2/projects/{project}"
CONNECTIONS = "/v1/projects/{project}/locations/{region}/connections"


class Queries:
    """Query jobs. Each is done by the time its request is answered."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.bigquery = BigQuery(cloud.project, retry_delay=0.01)
        self._one_at_a_time = threading.Lock()
        self._scripts: list[str] = []  # that created routines, each at the number that is the routines' etag
        self._registered: dict[str, str] = {}  # the etag of each routine that bqlocal has
        self._jobs: dict[str, dict[str, Any]] = {}
        self._results: dict[str, dict[str, Any]] = {}

    def close(self) -> None:
        self.bigquery.close()

    def routes(self) -> list[Route]:
        return [
            Route("/$discovery/rest", self._discovery),
            Route(f"{HOME}/datasets", self._make_dataset, methods=["POST"]),
            Route(f"{HOME}/datasets/{{dataset}}", self._dataset, methods=["GET", "DELETE"]),
            Route(f"{HOME}/datasets/{{dataset}}/tables", self._tables),
            Route(f"{HOME}/datasets/{{dataset}}/routines", self._routines),
            Route(f"{HOME}/datasets/{{dataset}}/routines/{{name}}", self._routine, methods=["GET", "DELETE"]),
            Route(f"{HOME}/jobs", self._insert, methods=["POST"]),
            Route(f"{HOME}/jobs/{{job}}", self._job),
            Route(f"{HOME}/queries/{{job}}", self._result),
            Route(CONNECTIONS, self._make_connection, methods=["POST"]),
            Route(f"{CONNECTIONS}/{{name}}", self._connection, methods=["GET", "DELETE"]),
        ]

    async def _discovery(self, request: Request) -> Any:
        if request.query_params["version"] == "v1":
            return json.loads((Path(__file__).parent / "connection_api.json").read_text())
        sdk = Path(shutil.which("bq") or "").resolve().parent.parent
        return json.loads((sdk / "platform/bq/discovery_next/bigquery.json").read_text())

    async def _make_dataset(self, request: Request) -> Any:
        body = await request.json()
        name = body["datasetReference"]["datasetId"]
        if name in self.cloud.datasets:
            raise ApiError(409, f"Already Exists: Dataset {self.cloud.project}:{name}")
        self.cloud.datasets[name] = {"location": "US", "id": f"{self.cloud.project}:{name}", **body}
        return self.cloud.datasets[name]

    async def _dataset(self, request: Request) -> Any:
        name = request.path_params["dataset"]
        found = self.cloud.found(self.cloud.datasets, name, "Dataset")
        if request.method == "DELETE":
            if any(routine.startswith(f"{name}.") for routine in self.cloud.routines):
                raise ApiError(400, f"Dataset {self.cloud.project}:{name} is still in use")
            del self.cloud.datasets[name]
            return {}
        return found

    async def _tables(self, request: Request) -> Any:
        return {"tables": []}

    async def _routines(self, request: Request) -> Any:
        dataset = request.path_params["dataset"]
        self.cloud.found(self.cloud.datasets, dataset, "Dataset")
        return {"routines": [it for name, it in self.cloud.routines.items() if name.startswith(f"{dataset}.")]}

    async def _routine(self, request: Request) -> Any:
        name = f"{request.path_params['dataset']}.{request.path_params['name']}"
        found = self.cloud.found(self.cloud.routines, name, "Routine")
        if request.method == "DELETE":
            del self.cloud.routines[name]  # bqlocal keeps its own, so that a test can return to a snapshot
            return {}
        return found

    async def _insert(self, request: Request) -> Any:
        body = await request.json()
        reference = body.get("jobReference") or {"projectId": self.cloud.project, "jobId": uuid.uuid4().hex}
        job = {
            **body,
            "jobReference": reference,
            "id": f"{self.cloud.project}:{reference['jobId']}",
            "kind": "bigquery#job",
        }
        job["statistics"] = {
            "creationTime": "1",
            "startTime": "1",
            "endTime": "2",
            "query": {"statementType": "SELECT"},
        }
        job["status"] = {"state": "DONE"}
        self._jobs[reference["jobId"]] = job
        try:
            result = await run_in_threadpool(self._run, body["configuration"]["query"]["query"])
            self._results[reference["jobId"]] = {**result, "jobReference": reference, "jobComplete": True}
        except BqlocalError as error:
            job["status"] = {"state": "DONE", "errorResult": {"reason": "invalidQuery", "message": error.message}}
        return job

    def _run(self, text: str) -> dict[str, Any]:
        created = [
            (ddl.remote_function if ddl.is_remote(statement) else sql_function)(statement, self.cloud.project)
            for statement in sqlglot.parse(text, read="bigquery")
            if isinstance(statement, exp.Create) and statement.kind == "FUNCTION"
        ]
        for function in created:
            self.cloud.found(self.cloud.datasets, function.name.rsplit(".", 2)[1], "Dataset")
        with self._one_at_a_time:
            self._return()
            table = self.bigquery.sql(text).table
            etag = str(len(self._scripts))
            self._scripts.append(text)
            found = {".".join(it.name.rsplit(".", 2)[1:]): _routine(it, etag) for it in created}
            self._registered |= dict.fromkeys(found, etag)
            self.cloud.routines |= found
        return encoded(table)

    def _return(self) -> None:
        """Create the routines again if a test returned to a snapshot in which they were others."""
        wanted = {name: routine["etag"] for name, routine in self.cloud.routines.items()}
        if not wanted.items() <= self._registered.items():
            for etag in sorted(set(wanted.values()), key=int):
                self.bigquery.sql(self._scripts[int(etag)])
            self._registered |= wanted

    async def _job(self, request: Request) -> Any:
        return self.cloud.found(self._jobs, request.path_params["job"], "Job")

    async def _result(self, request: Request) -> Any:
        return self.cloud.found(self._results, request.path_params["job"], "Job")

    async def _make_connection(self, request: Request) -> Any:
        name = request.query_params["connectionId"]
        key = f"projects/{self.cloud.project}/locations/{request.path_params['region']}/connections/{name}"
        if key in self.cloud.connections:
            raise ApiError(409, f"Already Exists: Connection {key}")
        account = f"bqcx-{NUMBER}-{name[:4]}@gcp-sa-bigquery-condel.iam.gserviceaccount.com"
        resource = {"serviceAccountId": account}
        self.cloud.connections[key] = {**await request.json(), "name": key, "cloudResource": resource}
        return self.cloud.connections[key]

    async def _connection(self, request: Request) -> Any:
        place = "projects/{project}/locations/{region}/connections/{name}".format(**request.path_params)
        found = self.cloud.found(self.cloud.connections, place, "Connection")
        if request.method == "DELETE":
            del self.cloud.connections[place]
            self.cloud.policies.pop(place, None)
            return {}
        return found


def _routine(function: RemoteFunction | SqlFunction, etag: str) -> dict[str, Any]:
    project, dataset, name = function.name.rsplit(".", 2)
    routine = {
        "routineReference": {"projectId": project, "datasetId": dataset, "routineId": name},
        "routineType": "SCALAR_FUNCTION",
        "etag": etag,
        "creationTime": "1",
        "lastModifiedTime": "1",
    }
    if isinstance(function, SqlFunction):
        return {**routine, "language": "SQL", "definitionBody": function.body}
    return {
        **routine,
        "description": function.description,
        "remoteFunctionOptions": {"endpoint": function.endpoint, "userDefinedContext": dict(function.context)},
    }
