"""The Cloud Function: its options, and its source, which is what .gcloudignore admits and fitting requirements."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy.builds import build_advice
from deploy.deployment import Deployment
from deploy.errors import StepFailed
from deploy.gcloud import ROOT, Commands
from deploy.option import to_text
from deploy.passed import OWN_LABEL
from deploy.passed_flags import obsolete, passed_flags, removed_keys, reset_flags
from deploy.record import Entry
from deploy.symptoms import known_advice
from launch.description import Description
from loading.packages import RESOLVED


def deploy_function(deployment: Deployment) -> None:
    """Deploy the Cloud Function unless its label says that it has the same source and options."""
    plan, existing = deployment.plan, deployment.seen.function
    source = deployment.folder / "source"
    _stage_source(source, deployment.model.requirements, deployment.commands)
    if plan.follow:  # the function compares what other versions require
        lines = Description.parse(deployment.model.description).model.info.requirements
        (source / RESOLVED).write_text("".join(f"{line}\n" for line in lines))
    options: dict[str, str] = {
        "project": plan.project,
        "region": plan.region,
        "runtime": deployment.model.runtime,
        "entry-point": "predict",
        "service-account": plan.account,
        "memory": plan.memory,
        "cpu": plan.cpu,
        "concurrency": str(plan.concurrency),
        "timeout": f"{plan.timeout}s",
        "min-instances": str(plan.min_instances),
        "max-instances": str(plan.max_instances),
        **environment_options(deployment),
        **passed_flags(plan),
    }
    source_hash = _source_hash(_arguments(plan.function, options), source)
    if existing and existing.state == "ACTIVE" and existing.source_hash == source_hash:
        deployment.commands.say(f"The function {plan.function} is up to date")
        return
    # Updating an existing function with this flag would also remove callers that others have allowed.
    private = [] if existing else ["--no-allow-unauthenticated"]
    step = f"Deploying the function {plan.function}, which takes a few minutes"
    gone = obsolete(plan, deployment.record.names("setting"))
    options |= {
        "remove-env-vars": ",".join([options["remove-env-vars"], *removed_keys(gone, "update-env-vars")]),
        "update-labels": to_text({**plan.update_labels, OWN_LABEL: source_hash}),
    }
    if labels := removed_keys(gone, "update-labels"):
        options["remove-labels"] = ",".join(labels)
    command = [
        "gcloud", "functions", "deploy", *_arguments(plan.function, options), *reset_flags(plan, gone), *private,
        f"--source={source}", "--quiet", "--format=json(serviceConfig.uri)",
    ]  # fmt: skip
    try:
        result = deployment.commands.change(step, "", command)
    except StepFailed as failure:
        log, advice = build_advice(deployment.commands, failure.reason, plan.function, plan.region)
        known = known_advice(f"{failure.reason}{log}")
        raise StepFailed(step, f"{failure.reason}{log}", f"{known} {advice}".lstrip()) from failure
    if not deployment.commands.dry_run:
        deployment.function_url = result.json()["serviceConfig"]["uri"]
    deployment.forget(*(Entry("setting", name) for name in gone))


def _arguments(function: str, options: Mapping[str, str]) -> list[str]:
    return [function, "--gen2", "--trigger-http", *(f"--{name}={value}" for name, value in options.items())]


def environment_options(deployment: Deployment) -> dict[str, str]:
    """Return the options for the function's environment: what is set, and what an earlier deployment may have set."""
    plan = deployment.plan
    variables = {
        "MODEL_URI": plan.served_uri,
        "MODEL_DIGEST": "" if plan.follow else deployment.model.digest,
        "MODEL_VERSION": plan.model_version,
        "MODEL_REFRESH_SECONDS": str(plan.follow or ""),
        "MLFLOW_TRACKING_URI": plan.followed.registry if plan.followed else "",
        "WORKERS": str(plan.workers),
        "MODEL_PLAN": "",
        "SQL_NAME": plan.sql.name,
        **Description.parse(deployment.model.description).settings,
    }
    given = {name: value for name, value in variables.items() if value}
    return {
        "remove-env-vars": ",".join(name for name in variables if name not in given),
        "update-env-vars": to_text({**given, **plan.update_env_vars}),
    }


def _stage_source(folder: Path, requirements: str, commands: Commands) -> None:
    """Copy the source to a folder, with these requirements."""
    listed = commands.run(["gcloud", "meta", "list-files-for-upload", str(ROOT)])
    if not listed.ok:
        raise StepFailed(
            "Listing the function's source files", listed.reason, "Fix this error and run the same command again."
        )
    for file in listed.out.splitlines():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    (folder / "requirements.txt").write_text(requirements)


def _source_hash(arguments: Iterable[str], folder: Path) -> str:
    """Return the hash of a function's arguments and source, which its label `deployed` holds: 40 hex digits."""
    found = hashlib.sha256("\0".join(arguments).encode())
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"\0{file.relative_to(folder).as_posix()}\0".encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:40]
