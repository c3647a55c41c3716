"""The Cloud Function: its options, and its source, which is what .gcloudignore admits and fitting requirements."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from deploy.builds import build_advice
from deploy.deployment import Deployment
from deploy.errors import StepFailed
from deploy.gcloud import ROOT
from deploy.option import to_text
from deploy.passed import OWN_LABEL
from deploy.passed_flags import obsolete, passed_flags, removed_keys, reset_flags
from deploy.record import Entry
from deploy.service import LIST, OF_MODEL, RECORD, listing, only_model, variables
from deploy.symptoms import known_advice
from loading.packages import RESOLVED


def deploy_function(deployment: Deployment) -> None:
    """Deploy the Cloud Function unless its label says that it has the same source and options."""
    plan, existing = deployment.plan, deployment.seen.function
    source = deployment.folder / "source"
    _stage_source(source, deployment)
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
        deployment.source_hash = source_hash
        return
    deployment.record_file.confirm()  # or the function would lose the models that another run added meanwhile
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
    deployment.source_hash = source_hash
    deployment.forget(*(Entry("setting", name) for name in gone))


def _arguments(function: str, options: Mapping[str, str]) -> list[str]:
    return [function, "--gen2", "--trigger-http", *(f"--{name}={value}" for name, value in options.items())]


def environment_options(deployment: Deployment) -> dict[str, str]:
    """Return the options for the function's environment: what is set, and what an earlier deployment may have set."""
    plan, only = deployment.plan, only_model(deployment.models)
    chosen = {
        **variables(deployment.models),
        "WORKERS": str(plan.workers),
        RECORD: "" if only and plan.record_folder == plan.own_record_folder else plan.record_folder,
        # In a list, they are keys of each model's entry.
        **({} if only else dict.fromkeys(OF_MODEL, "")),
    }
    given = {name: value for name, value in chosen.items() if value}
    users = {name: value for name, value in plan.update_env_vars.items() if name not in chosen}
    return {
        "remove-env-vars": ",".join(name for name in chosen if name not in given),
        "update-env-vars": to_text({**given, **users}),
    }


def _stage_source(folder: Path, deployment: Deployment) -> None:
    """Copy the source to a folder, with the requirements and the list of the service's models."""
    listed = deployment.commands.run(["gcloud", "meta", "list-files-for-upload", str(ROOT)])
    if not listed.ok:
        raise StepFailed(
            "Listing the function's source files", listed.reason, "Fix this error and run the same command again."
        )
    for file in listed.out.splitlines():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    (folder / "requirements.txt").write_text(deployment.model.requirements)
    if not only_model(deployment.models):
        (folder / LIST).write_text(listing(deployment.models))
    # The function compares what other versions of the models that it follows require.
    if blocks := ["".join(f"{line}\n" for line in lines) for lines in _required(deployment)]:
        (folder / RESOLVED).write_text("\n".join(blocks))


def _required(deployment: Deployment) -> Iterator[Iterable[str]]:
    """Yield the requirements of each model that is followed, which were resolved to those of the function."""
    for model in deployment.models:
        if model.follow:
            yield deployment.model.members[model.name].required


def _source_hash(arguments: Iterable[str], folder: Path) -> str:
    """Return the hash of a function's arguments and source, which its label `deployed` holds: 40 hex digits."""
    found = hashlib.sha256("\0".join(arguments).encode())
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"\0{file.relative_to(folder).as_posix()}\0".encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:40]
