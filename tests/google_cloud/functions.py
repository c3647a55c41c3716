"""Cloud Functions v2 and the Cloud Run service behind each: unpacks the uploaded source and runs it."""

import copy
import io
import re
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launch.function import Function
from launch.processes import ProcessError
from tests.google_cloud import secrets
from tests.google_cloud.builds import installed
from tests.google_cloud.cloud import BUILDER, BUILDER_ROLE, ApiError, Cloud

SERVICE = "projects/{project}/locations/{region}/services/{name}"
PLACE = "/v2/projects/{project}/locations/{region}"
METADATA = {"@type": "type.googleapis.com/google.cloud.functions.v2.OperationMetadata"}
NOT_BUILT = "Could not build the function due to a missing permission on the build service account."
CONSTANT = {"state": "ACTIVE", "environment": "GEN_2"}


class Functions:
    """The running functions, by resource name."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud = cloud
        self.archives: list[bytes] = []
        self._folder = folder
        self._pythons: dict[str, Path] = {}  # with what a build installed, by source
        self._running: dict[str, Function] = {}
        self._sources: dict[str, str] = {}  # from which each of them was started
        self._restarts = threading.Lock()
        self._operations: dict[str, dict[str, Any]] = {}

    def close(self) -> None:
        for function in self._running.values():
            function.__exit__(None, None, None)
        self._running.clear()

    def url(self, name: str) -> str:
        """Return the address of a running function, without the check of who calls."""
        return next(it.url for full, it in self._running.items() if full.endswith(f"/{name}"))

    def routes(self) -> list[Route]:
        return [
            Route(f"{PLACE}/runtimes", self._runtimes),
            Route(f"{PLACE}/functions:generateUploadUrl", self._upload_url, methods=["POST"]),
            Route("/source/{number:int}", self._upload, methods=["PUT"]),
            Route(f"{PLACE}/functions", self._create, methods=["POST"]),
            Route(f"{PLACE}/functions", self._list, methods=["GET"]),
            Route(f"{PLACE}/functions/{{name}}", self._describe, methods=["GET"]),
            Route(f"{PLACE}/functions/{{name}}", self._patch, methods=["PATCH"]),
            Route(f"{PLACE}/functions/{{name}}", self._delete, methods=["DELETE"]),
            Route(f"{PLACE}/operations/{{name}}", self._operation),
            Route("/service/{name}", self._call, methods=["GET", "POST"]),
        ]

    async def _runtimes(self, request: Request) -> Any:
        stages = self.cloud.runtimes.items()
        return {"runtimes": [{"name": name, "environment": "GEN_2", "stage": stage} for name, stage in stages]}

    async def _upload_url(self, request: Request) -> Any:
        number = len(self.archives)
        self.archives.append(b"")
        source = {"bucket": "gcf-v2-uploads", "object": f"{number}.zip"}
        return {"uploadUrl": f"{self.cloud.url}/source/{number}", "storageSource": source}

    async def _upload(self, request: Request) -> Any:
        self.archives[request.path_params["number"]] = await request.body()
        return {}

    async def _describe(self, request: Request) -> Any:
        return self.cloud.found(self.cloud.functions, _name(request), "function")

    async def _list(self, request: Request) -> Any:
        assert request.path_params["region"] == "-"  # of all regions
        return {"functions": list(self.cloud.functions.values())}

    async def _create(self, request: Request) -> Any:
        name = f"{_place(request)}/functions/{request.query_params['functionId']}"
        self._check_idle(name)
        if name in self.cloud.functions:
            raise ApiError(409, f"Function {name} already exists.")
        return self._deploy(name, await request.json())

    async def _patch(self, request: Request) -> Any:
        name = _name(request)
        before = self.cloud.found(self.cloud.functions, name, "function")
        self._check_idle(name)
        return self._deploy(name, _updated(before, await request.json(), request.query_params["updateMask"]))

    def _check_idle(self, name: str) -> None:
        if self.cloud.functions.get(name, {}).get("state") == "DEPLOYING":
            raise ApiError(409, "unable to queue the operation")

    async def _delete(self, request: Request) -> Any:
        name = _name(request)
        self.cloud.found(self.cloud.functions, name, "function")
        del self.cloud.functions[name]
        self.cloud.policies.pop(name.replace("/functions/", "/services/"), None)
        # Its process runs on, so that a test can return to a snapshot.
        return self._started(name, lambda: None)

    def _deploy(self, name: str, wanted: dict[str, Any]) -> Any:
        short = name.rpartition("/")[2]
        uri = f"{self.cloud.url}/service/{short}"
        config = {**wanted["serviceConfig"], "uri": uri, "service": name.replace("/functions/", "/services/")}
        function = {**wanted, **CONSTANT, "name": name, "serviceConfig": config, "url": uri}
        self.cloud.functions[name] = {**function, "state": "DEPLOYING"}

        def start() -> None:
            try:
                self._build(function)
                with self._restarts:
                    self._run(name, function)
            except (ProcessError, zipfile.BadZipFile) as error:
                self.cloud.functions[name] = {**function, "state": "FAILED"}
                raise ApiError(400, f"Build failed: {error}") from error
            self.cloud.functions[name] = function

        return self._started(name, start)

    def _build(self, function: dict[str, Any]) -> None:
        """Fail as a build does whose account lacks its role."""
        builder = function["buildConfig"].get("serviceAccount", BUILDER).rpartition("/")[2]
        if f"serviceAccount:{builder}" not in self.cloud.members(f"projects/{self.cloud.project}", BUILDER_ROLE):
            raise ApiError(400, f"Build failed with status: FAILURE. {NOT_BUILT}")
        if self.cloud.installs:
            runtime = function["buildConfig"]["runtime"]
            self._pythons[_source(function)] = installed(self._unpacked(function), runtime)

    def _run(self, name: str, function: dict[str, Any]) -> None:
        """Start the process of a function, and end its present one once the new one answers."""
        folder = self._unpacked(function)
        config = function["serviceConfig"]
        variables = {**config.get("environmentVariables", {}), **secrets.variables(self.cloud, config)}
        account = config["serviceAccountEmail"]
        variables["STORAGE_EMULATOR_HOST"] = f"{self.cloud.url}/as/{account}"
        running = Function(
            variables.get("MODEL_URI", ""),
            variables,
            source=folder,
            log=folder / "log",
            python=self._pythons.get(_source(function), sys.executable),
        )
        before = self._running.get(name)
        self._running[name] = running.__enter__()
        self._sources[name] = _source(function)
        if before:
            before.__exit__(None, None, None)

    def _unpacked(self, function: dict[str, Any]) -> Path:
        """Return the folder of a function's source."""
        number = int(_source(function).removesuffix(".zip"))
        folder = self._folder / f"source-{number}"
        with zipfile.ZipFile(io.BytesIO(self.archives[number])) as archive:
            archive.extractall(folder)
        return folder

    def _return(self, name: str) -> None:
        """Start the function's process again if a test returned to a snapshot in which it had another source."""
        with self._restarts:
            function = self.cloud.functions[name]
            if function["state"] != "DEPLOYING" and self._sources[name] != _source(function):
                self._run(name, function)

    def _started(self, name: str, work: Any) -> Any:
        place = name.partition("/functions/")[0]
        stage = {"name": "BUILD", "message": "Building", "state": "IN_PROGRESS"}
        operation: dict[str, Any] = {
            "name": f"{place}/operations/{len(self._operations)}", "done": False, "metadata": {**METADATA, "stages": [stage]}
        }  # fmt: skip
        self._operations[operation["name"]] = operation
        if not self.cloud.stuck:
            threading.Thread(target=self._work, args=(operation, work), daemon=True).start()
        return operation

    def _work(self, operation: dict[str, Any], work: Any) -> None:
        try:
            work()
            operation["metadata"]["stages"][0]["state"] = "COMPLETE"
            operation["response"] = {"@type": "type.googleapis.com/google.cloud.functions.v2.Function"}
        except ApiError as error:
            operation["error"] = {"code": 3, "message": str(error)}
        operation["done"] = True

    async def _operation(self, request: Request) -> Any:
        name = f"{_place(request)}/operations/{request.path_params['name']}"
        return self.cloud.found(self._operations, name, "operation")

    async def _call(self, request: Request) -> Any:
        """Forward a call to the function if a connection's account may invoke its service."""
        named = [
            name
            for name in self._running.keys() & self.cloud.functions.keys()
            if name.endswith(f"/{request.path_params['name']}")
        ]
        if not named:
            raise ApiError(404, "The requested URL was not found on this server.")
        members = self.cloud.members(named[0].replace("/functions/", "/services/"), "roles/run.invoker")
        callers = {
            f"serviceAccount:{it['cloudResource']['serviceAccountId']}" for it in self.cloud.connections.values()
        }
        if not members & callers:
            raise ApiError(403, "Your client does not have permission to get this URL from this server.")
        if self.cloud.delay:
            self.cloud.delay -= 1
            raise ApiError(403, "Your client does not have permission to get this URL from this server.")
        body = await request.body()
        await run_in_threadpool(self._return, named[0])
        answer = await run_in_threadpool(
            lambda: httpx.request(
                request.method, self._running[named[0]].url, content=body, timeout=60, trust_env=False,
                headers={"Content-Type": "application/json"},
            )
        )  # fmt: skip
        return Response(answer.content, answer.status_code, media_type="application/json")


def _source(function: dict[str, Any]) -> str:
    return str(function["buildConfig"]["source"]["storageSource"]["object"])


def _updated(before: dict[str, Any], wanted: dict[str, Any], mask: str) -> dict[str, Any]:
    """Return a function with the fields of a mask as the request has them, without those that it omits."""
    result = copy.deepcopy(before)
    for path in mask.split(","):
        *parents, field = (re.sub("_(.)", lambda match: match[1].upper(), part) for part in path.split("."))
        target, source = result, wanted
        for parent in parents:
            target, source = target.setdefault(parent, {}), source.get(parent, {})
        target.pop(field, None)
        if field in source:
            target[field] = source[field]
    return result


def _place(request: Request) -> str:
    return f"projects/{request.path_params['project']}/locations/{request.path_params['region']}"


def _name(request: Request) -> str:
    return f"{_place(request)}/functions/{request.path_params['name']}"
