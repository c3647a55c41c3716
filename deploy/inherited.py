"""The options of a service with several models, which share one Cloud Function.

A run keeps what the runs of the other models gave, so that nobody who adds a model takes memory or a network from the
rest. What it gives itself wins. An option goes when no model's run gives it any more.
"""

from collections.abc import Collection, Mapping, Sequence

from deploy.option import Option, to_mapping, to_text
from deploy.options import BY_NAME
from deploy.passed import PASSED
from deploy.service import OF_MODEL, ServiceModel

# The options of the service; all others are a model's, or a run's.
SERVICE: tuple[Option, ...] = (
    *(
        BY_NAME[name]
        for name in (
            "service-account", "connection", "memory", "cpu", "workers", "concurrency", "min-instances",
            "max-instances", "timeout",
        )
    ),
    *PASSED,
)  # fmt: skip


def given_options(values: Mapping[str, str], given: Collection[str]) -> dict[str, str]:
    """Return the options of the service that a run gives, by key; `given` has the keys of all that it gives."""
    return {option.key: values[option.key] for option in SERVICE if option.key in given}


def with_inherited(values: Mapping[str, str], given: Collection[str], others: Sequence[ServiceModel]) -> dict[str, str]:
    """Return the values with the options that only the runs of other models gave, the last of them first."""
    found = dict(values)
    for option in SERVICE:
        theirs = [it.options[option.key] for it in others if option.key in it.options]
        if theirs and option.pairs:
            pairs = {key: value for text in theirs for key, value in to_mapping(text).items() if key not in OF_MODEL}
            found[option.key] = to_text(pairs | to_mapping(values[option.key]))
        elif theirs and option.key not in given:
            found[option.key] = theirs[-1]
    return found


def inherited(values: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """Return the options that `with_inherited` changed, by key."""
    return {key: value for key, value in values.items() if value != before[key]}
