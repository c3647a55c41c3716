"""The options that deploy.sh passes to `gcloud functions deploy` under gcloud's own names: what organizations enforce.

To add one, add a row to PASSED and a field to Plan. A row with `resets` has the flag that undoes the option: gcloud
keeps what an earlier deployment set. Only what the record says deploy.sh set is undone; settings made by hand stay.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.option import Option, split_pairs, to_mapping

PROJECT = r"projects/[^/\s]+"
NAME = r"[A-Za-z0-9_-]+"
PLACE = rf"{PROJECT}/locations/[a-z0-9-]+"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
# SECRET:VERSION, or the same with its project, in the two ways that gcloud takes.
SECRET = (
    rf"(?:projects/(?P<full_project>[^/\s]+)/secrets/(?P<full>{NAME})(?::|/versions/)|(?P<short>{NAME}):)"
    r"(?P<version>[1-9][0-9]*|latest)"
)
STEP = r"/[\w.-]*[\w-]"
FILE = rf"({STEP})+(:({STEP})+|{STEP})"

# The function's environment variables that follow from other options, and those of the platform.
OWN_VARIABLES = {
    "MODEL_URI": "--model",
    "MODEL_DIGEST": "--model",
    "MODEL_VERSION": "--model",
    "MODEL_REFRESH_SECONDS": "--follow",
    "MLFLOW_TRACKING_URI": "--follow",
    "WORKERS": "--workers",
    "MODEL_PLAN": "the model's examination",
    "SQL_NAME": "--name",
    "MODELS": "the models of the service",
    "DEPLOY_RECORD": "--record",
}
PLATFORM = r"X_GOOGLE_.*|K_.*|PORT|FUNCTION_.*|GOOGLE_(ENTRYPOINT|FUNCTION_.*|RUNTIME.*)|CLOUD_RUN_TIMEOUT_SECONDS"
OWN_LABEL = "deployed"


@dataclass(frozen=True)
class Passed(Option):
    """An option of gcloud; `resets` is the flag that undoes it, empty for one whose keys are removed one by one."""

    resets: str = ""


PASSED = (
    Passed(
        "ingress-settings", "", "internal-only", "What network traffic reaches the function; default: all.",
        r"all|internal-only|internal-and-gclb", "all, internal-only or internal-and-gclb",
        resets="--ingress-settings=all",
    ),
    Passed(
        "vpc-connector", "", "my-connector", "The VPC connector of the function's own traffic.",
        rf"({PLACE}/connectors/)?[a-z][a-z0-9-]{{0,62}}", "a name or projects/PROJECT/locations/REGION/connectors/NAME",
        resets="--clear-vpc-connector",
    ),
    Passed(
        "egress-settings", "", "all", "Which of the function's own traffic takes the connector.",
        r"private-ranges-only|all", "private-ranges-only or all",
        resets="--egress-settings=private-ranges-only",
    ),
    Passed(
        "kms-key", "", "projects/my-project/locations/us-central1/keyRings/ring/cryptoKeys/key",
        "The key that encrypts the function.",
        rf"{PLACE}/keyRings/{NAME}/cryptoKeys/{NAME}",
        "projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY",
        resets="--clear-kms-key",
    ),
    Passed(
        "build-worker-pool", "", "projects/my-project/locations/us-central1/workerPools/pool",
        "The private worker pool that builds the function.",
        rf"{PLACE}/workerPools/{NAME}", "projects/PROJECT/locations/REGION/workerPools/POOL",
        resets="--clear-build-worker-pool",
    ),
    Passed(
        "docker-repository", "", "projects/my-project/locations/us-central1/repositories/images",
        "The Artifact Registry repository of the function's image.",
        rf"{PLACE}/repositories/{NAME}|[a-z0-9-]+-docker\.pkg\.dev/[^/\s]+/{NAME}",
        "projects/PROJECT/locations/REGION/repositories/REPOSITORY or REGION-docker.pkg.dev/PROJECT/REPOSITORY",
        resets="--clear-docker-repository",
    ),
    Passed(
        "build-service-account", "", "builder@my-project.iam.gserviceaccount.com",
        "The account that builds the function; default: the project's own choice.",
        r"[a-z0-9-]+@[a-z0-9.-]+", "the email of a service account",
        resets="--clear-build-service-account",
    ),
    Passed(
        "update-labels", "", "team=pricing,stage=live", "Labels of the function.",
        r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}", "KEY=VALUE of lowercase letters, digits, _ and -", pairs=True,
    ),
    Passed(
        "update-env-vars", "", "LOG_LEVEL=DEBUG,MODEL_THREADS=2", "Environment variables of the function.",
        rf"{VARIABLE}=.*", "KEY=VALUE", pairs=True,
    ),
    Passed(
        "set-secrets", "", "MLFLOW_TRACKING_TOKEN=mlflow-token:1",
        "Secrets of Secret Manager as environment variables or files of the function.",
        rf"({VARIABLE}|{FILE})={SECRET}", "VARIABLE=SECRET:VERSION or /FILE=SECRET:VERSION", pairs=True,
        resets="--clear-secrets",
    ),
)  # fmt: skip


def passed_problems(values: Mapping[str, str]) -> Iterator[str]:
    """Yield which of the options exclude each other, and which keys aren't the user's, a sentence each."""
    if values["egress_settings"] and not values["vpc_connector"]:
        yield "--egress-settings requires --vpc-connector; expected both, or neither."
    if values["kms_key"] and not values["docker_repository"]:
        yield "--kms-key requires --docker-repository, a repository that is encrypted with the same key."
    place = re.search(r"/locations/([^/]+)/", values["kms_key"])
    if place and values["region"] and place[1] != values["region"]:
        yield f"--kms-key is in {place[1]}; expected a key in {values['region']}, the function's region."
    variables, secrets = to_mapping(values["update_env_vars"]), to_mapping(values["set_secrets"])
    for option, keys in (("update-env-vars", variables), ("set-secrets", secrets)):
        for key in keys:
            if reason := _reserved(key):
                yield f"--{option} cannot set {key}, which {reason}; omit it."
    for key in variables.keys() & secrets.keys():
        yield f"{key} is in --update-env-vars and in --set-secrets; expected it in one of them."
    for key in to_mapping(values["update_labels"]):
        if key == OWN_LABEL or key.startswith("deployment"):
            owner = "deploy.sh" if key == OWN_LABEL else "gcloud"
            yield f"--update-labels cannot set {key}, a label that {owner} sets; choose another key."
    for row in PASSED:
        counts = Counter(pair.partition("=")[0] for pair in split_pairs(values[row.key])) if row.pairs else Counter()
        yield from (
            f"--{row.name} has {key} {count} times; expected it once." for key, count in counts.items() if count > 1
        )


def _reserved(variable: str) -> str:
    """Return who sets a variable that the user may not set, or an empty text."""
    if variable in OWN_VARIABLES:
        return f"follows from {OWN_VARIABLES[variable]}"
    return "Cloud Functions sets" if re.fullmatch(PLATFORM, variable) else ""
