"""From the file that MODELS names to the models of a service: each with its own loader and scheduler."""

from collections.abc import Callable, Mapping
from functools import partial

from loading.residents import Residents
from model_loader import ModelLoader
from serving import functions, model_list
from serving.model_list import Entry
from serving.scheduler import Scheduler
from serving.selection import ModelList, Served
from serving.telemetry import log_event


def listed_models(path: str, environ: Mapping[str, str], scheduler: Callable[[int | None], Scheduler]) -> ModelList:
    """Return the models of a list; exit with a sentence for everything that is wrong with it.

    `scheduler` returns the scheduler of a model with so many threads.
    """
    residents = Residents(log_event)

    def served(entry: Entry) -> Served:
        loader = ModelLoader(
            entry.uri,
            entry.digest,
            entry.refresh_seconds,
            version=entry.version,
            sql_name=entry.sql_name,
            allow_dependence=entry.rows_depend == "allow",
            plan=entry.plan,
            make_room=partial(residents.make_room, name=entry.name),
        )
        return Served(residents.add(entry.name, loader), scheduler(entry.threads), entry.name)

    entries = model_list.read(path, environ, functions.names())
    default = next((entry.name for entry in entries if entry.default), None)
    return ModelList([served(entry) for entry in entries], default)
