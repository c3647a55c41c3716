"""The options of deploy.sh, in one table; those that go to gcloud as they are stand in passed.py.

Each option is also an environment variable: its name in capitals, with _ for -, unless that is taken. The checks return
every problem rather than stop at the first.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.option import Option, to_mapping
from deploy.passed import PASSED, passed_problems
from deploy.plan import Plan, default_account, location_problem
from deploy.sizes import CPU, MEMORY, size_problems
from launch.registry import ALIAS, Registered
from launch.registry import PATTERN as REGISTERED
from sql.names import DOMAIN
from sql.settings import NAME, NAME_EXPECTED, ON_ERROR, ON_NULL, SqlSettings

FUNCTION = r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
MODEL_URI = r"gs://[a-z0-9][a-z0-9._-]+/[^\s,*?]+"

OPTIONS = (
    Option(
        "project", "", "my-project", "The Google Cloud project; in an old organization example.com:my-project.",
        DOMAIN + r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
        "6 to 30 lowercase letters, digits and hyphens, in an old organization after its domain and a colon",
        required=True,
    ),
    Option(
        "region", "", "us-central1", "The region where the function runs.",
        r"[a-z]+-[a-z]+[0-9]+", "a Google Cloud region", required=True,
    ),
    Option(
        "dataset", "", "ds", "The dataset that gets the SQL functions.",
        r"[A-Za-z0-9_]{1,1024}", "letters, digits and underscores", required=True,
    ),
    Option(
        "model", "", "gs://my-bucket/houses",
        "The model: gs://bucket/prefix, models:/name@alias, models:/name/3, models:/m-ID, runs:/ID/model, or a folder.",
        rf"{MODEL_URI}|{REGISTERED}",
        "gs://bucket/prefix, models:/name@alias, models:/name/3, models:/m-ID, runs:/ID/model or an existing folder",
        required=True,
    ),
    Option(
        "publish", "", "gs://my-bucket/houses", "Where to publish a model that is not in a bucket.",
        MODEL_URI, "gs://bucket/prefix",
    ),
    Option(
        "follow", "", "300", "Seconds between two looks for a new version, which takes over; default: never look.",
        r"[1-9][0-9]{0,8}", "a whole number from 1",
    ),
    Option(
        "requirements", "", "fixed.txt", "A requirements.txt in place of the model's.",
        r".+", "a file",
    ),
    Option(
        "signature-from", "", "rows.csv",
        "A CSV or Parquet file of rows that the model was trained on, for a model without a signature.",
        r".+\.(csv|parquet)", "a file that ends with .csv or .parquet",
    ),
    Option(
        "python", "", "/usr/bin/python3.12", "The Python to examine the model with; default: one like the model's.",
        r".+", "the path of a Python",
    ),
    Option(
        "location", "", "US", "Where to create the dataset if it does not exist; default: the region.",
        r"[A-Za-z]+(-[a-z]+[0-9]+)?", "a BigQuery location",
    ),
    Option(
        "name", "", "houses", "The name of the SQL functions: houses, houses_row, houses_info; default: predict.",
        NAME, NAME_EXPECTED,
        environment="SQL_NAME",  # WSL sets NAME
    ),
    Option(
        "on-null", "", "pass", "The answer for NULL in a required column: null, error, or pass to score the row.",
        "|".join(ON_NULL), " or ".join(ON_NULL),
    ),
    Option(
        "on-error", "", "null", "The answer for a row that can't be scored: fail ends the query, json has the reason.",
        "|".join(ON_ERROR), " or ".join(ON_ERROR),
    ),
    Option(
        "class", "", "yes", "The class of which predict_proba returns the probability; default: all, as JSON.",
        r"(?s).+", "one of the model's classes",
    ),
    Option(
        "params", "", '{"quantile": 0.9}', "Inference parameters of the model.", r"(?s).+", "a JSON object",
    ),
    Option(
        "function", "", "houses", "The name of the Cloud Function; default: --name, or predict.",
        FUNCTION, "at most 63 lowercase letters, digits and hyphens",
    ),
    Option(
        "service-account", "", "houses-reader", "The account that the function runs as; default: sql-fn-FUNCTION.",
        r"[a-z][a-z0-9-]{4,28}[a-z0-9](@[a-z0-9.-]+)?", "6 to 30 lowercase letters, digits and hyphens, or an email",
    ),
    Option(
        "connection", "", "houses", "The BigQuery connection; default: the function's name.",
        r"[A-Za-z0-9_-]+", "letters, digits, _ and -",
    ),
    Option("memory", "2Gi", "4Gi", "Memory per instance.", MEMORY, "a number and a unit"),
    Option("cpu", "1", "2", "CPUs per instance.", CPU, "1, 2, 4, 6, 8 or less than 1"),
    Option("workers", "1", "2", "Processes per instance: one for each CPU.", r"[1-9]", "1 to 9"),
    Option(
        "concurrency", "8", "16", "Requests that an instance handles at a time.", r"[1-9][0-9]{0,2}|1000", "1 to 1000"
    ),
    Option(
        "min-instances", "0", "1", "Instances that always run; 1 spares the first query a cold start.",
        r"[0-9]{1,4}", "a whole number",
    ),
    Option("max-instances", "10", "50", "Maximum number of instances.", r"[1-9][0-9]{0,3}", "a whole number from 1"),
    Option(
        "timeout", "300", "600", "Seconds per request, at most 1200.",
        r"[1-9][0-9]{0,2}|1[01][0-9]{2}|1200", "1 to 1200 seconds (BigQuery waits no longer)",
    ),
    Option(
        "max-batching-rows", "", "1000", "Maximum number of rows per request; default: BigQuery chooses.",
        r"[1-9][0-9]{0,8}", "a whole number from 1",
    ),
    *PASSED,
    Option(
        "grant", "", "user:ana@example.com",
        "Who may call the SQL functions: user:, group: or serviceAccount: and an email; repeatable.",
        r"(user|group|serviceAccount):[^\s@]+@[^\s@]+", "user:, group: or serviceAccount: and an email",
        repeatable=True,
    ),
    Option(
        "record", "", "gs://my-bucket/deployments",
        "Where to keep the record of what deploy.sh creates; default: deployments in the model's bucket.",
        MODEL_URI, "gs://bucket/prefix",
    ),
    Option(
        "wait", "1800", "3600", "Seconds that a step may take, including the wait for new grants to take effect.",
        r"[1-9][0-9]{0,5}", "seconds",
    ),
)  # fmt: skip


BY_NAME = {option.name: option for option in OPTIONS}


def find_problems(values: Mapping[str, str], without_value: Collection[str] = ()) -> list[str]:
    """Return everything that is wrong with the options, one sentence each.

    `values` holds every option by its key; `without_value` has the keys of options that were given no value.
    """
    checked = [option for option in OPTIONS if option.key not in without_value]
    problems = [
        *(f"--{it.name} needs a value, such as --{it.name} {it.example}." for it in OPTIONS if it not in checked),
        *(it.problem(values[it.key]) for it in checked if it.name not in ("model", "publish")),
    ]
    if not {"memory", "cpu", "concurrency"} & set(without_value):
        problems += size_problems(values)
    if not {option.key for option in PASSED} & set(without_value):
        problems += passed_problems(values)
    fewest, most = values["min_instances"], values["max_instances"]
    if fewest.isdecimal() and most.isdecimal() and int(fewest) > int(most):
        problems.append(f"--min-instances {fewest} is greater than --max-instances {most}.")
    if is_folder(values["model"]) or values["signature_from"]:
        problems.append(replace(BY_NAME["publish"], required=True).problem(values["publish"]))
    elif BY_NAME["model"] in checked:
        problems.append(BY_NAME["model"].problem(values["model"]))
    named = not values["function"] and re.fullmatch(NAME, values["name"], re.ASCII)
    if named and not re.fullmatch(FUNCTION, _function(values), re.ASCII):
        problems.append(
            f"--name {values['name']} makes no name of a Cloud Function; expected --function with "
            f"{BY_NAME['function'].expected}, such as houses."
        )
    for key in ("requirements", "signature_from"):
        if values[key] and not Path(values[key]).is_file():
            problems.append(f"--{key.replace('_', '-')} is {values[key]!r}, but there is no such file.")
    if values["follow"] and is_registered(values["model"]):
        problems.append(_follow_problem(values))
    if values["location"] and values["region"]:
        problems.append(location_problem(values["location"], values["region"]))
    return [problem for problem in problems if problem]


def is_folder(model: str) -> bool:
    """Tell whether --model names a local folder rather than a place in a bucket."""
    return bool(model) and "://" not in model and Path(model).is_dir()


def is_registered(model: str) -> bool:
    """Tell whether --model names a model of an MLflow registry."""
    return bool(re.fullmatch(REGISTERED, model))


def _function(values: Mapping[str, str]) -> str:
    """Return the name of the Cloud Function."""
    return values["function"] or SqlSettings(values["name"]).service


def _follow_problem(values: Mapping[str, str]) -> str:
    """Return why a model of a registry can't be followed, as far as the options tell, or an empty text."""
    if not re.fullmatch(ALIAS, values["model"]):
        return f"--follow cannot follow {values['model']}, which never changes; expected models:/name@alias."
    if values["signature_from"]:
        return f"--follow cannot follow {values['model']} with --signature-from: its next version has no signature."
    return ""


def to_plan(
    values: Mapping[str, str],
    registered: Registered | None = None,
    service_options: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan for options without problems; `registered` is what the registry says about --model.

    `service_options` are those that this run itself gives of the options that the models of a service share.
    """
    model = registered.location if registered else values["model"]
    folder = Path(model).resolve() if is_folder(model) else None
    publishes = folder or values["signature_from"] or (registered and not registered.in_bucket)
    follow = int(values["follow"]) if values["follow"] else None
    passed: dict[str, Any] = {row.key: to_mapping(values[row.key]) if row.pairs else values[row.key] for row in PASSED}
    return Plan(
        project=values["project"],
        region=values["region"],
        dataset=values["dataset"],
        location=values["location"],
        model_uri=(values["publish"] if publishes else model).rstrip("/"),
        model_source=str(folder or model),
        model_folder=folder,
        model_version=registered.version if registered and not follow else "",
        follow=follow,
        followed=registered if follow else None,
        requirements=Path(values["requirements"]).resolve() if values["requirements"] else None,
        python=values["python"],
        signature_from=Path(values["signature_from"]).resolve() if values["signature_from"] else None,
        sql=SqlSettings(values["name"], values["on_null"], values["on_error"], values["class"], values["params"]),
        function=_function(values),
        service_account=values["service_account"] or default_account(_function(values)),
        connection=values["connection"] or _function(values),
        memory=values["memory"],
        cpu=values["cpu"],
        workers=int(values["workers"]),
        concurrency=int(values["concurrency"]),
        min_instances=int(values["min_instances"]),
        max_instances=int(values["max_instances"]),
        timeout=int(values["timeout"]),
        max_batching_rows=int(values["max_batching_rows"]) if values["max_batching_rows"] else None,
        grant=tuple(values["grant"].split()),
        record=values["record"],
        wait=int(values["wait"]),
        service_options=service_options or {},
        **passed,
    )
