"""Why a model can't be served beside the others of its service, as far as that is known without examining it."""

from collections.abc import Iterator, Sequence

from deploy.observation import Observation
from deploy.plan import Plan
from deploy.service import ServiceModel
from serving import functions, model_list

NOT_FOUND = "name the folder of its record with --record, or choose another --function."


def list_problems(plan: Plan, others: Sequence[ServiceModel]) -> Iterator[str]:
    """Yield what a list with the model would be refused for, a sentence each."""
    if not others:
        return
    _, faults = model_list.parse({plan.model_name: {"uri": plan.served_uri}}, functions.names())
    yield from faults
    for other in others:
        registry = plan.followed.registry if plan.followed else ""
        if registry and other.registry and registry != other.registry:
            yield (
                f"--follow asks the registry {registry} for {plan.model_name}, and {other.registry} for {other.name}: "
                "one function asks one registry; choose another --function."
            )


def service_problems(plan: Plan, seen: Observation) -> Iterator[str]:
    """Yield why the service can't get the model, a sentence each."""
    others = seen.record.others(plan.model_name)
    yield from _record_problems(plan, seen)
    if others and seen.function and seen.function.account != plan.account:
        yield (
            f"--service-account is {plan.account}, but {plan.function} runs as {seen.function.account} for its other "
            "models, too: omit it, or choose another --function."
        )
    if not seen.model:
        return
    wanted = {f"{plan.dataset_id}.{name}" for name in seen.model.functions}
    for other in others:
        for name in sorted(wanted.intersection(other.routines)):
            yield f"{name.partition('.')[2]} is a SQL function of the model {other.name}: choose another --name."
    for model in seen.record.models:
        found = seen.model.members.get(model.name)
        if model in others and found and model.digest and model.digest != found.digest:
            yield (
                f"The model {model.name} at {model.uri} has changed since it was deployed, so new instances could not "
                "load it: deploy it again first, or delete it with --destroy --name."
            )


def _record_problems(plan: Plan, seen: Observation) -> Iterator[str]:
    """Yield why it isn't known which models the function serves."""
    if seen.record.names("routine") and not seen.record.models:  # from before models were recorded
        name = plan.sql.sql_name("model_info")
        known = seen.record.names("routine")
        if not any(it.rpartition(".")[2] == name for it in known):
            yield (
                f"{seen.found.uri} was written by an earlier version of deploy.sh and does not say which model answers "
                f"{known[0].partition('.')[2]}: run deploy.sh for that model once more, then for this one."
            )
    elif seen.function and seen.function.ours and not seen.found.uri:
        variables = seen.function.variables
        served = "several models" if "MODELS" in variables else variables.get("MODEL_URI")
        if served != plan.served_uri:
            yield f"The function {plan.function} serves {served}, but its record was not found: {NOT_FOUND}"
