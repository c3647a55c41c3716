"""The sizes of an instance that Cloud Run accepts, for the options of deploy.sh and for the sizes that it advises.

Sources: https://cloud.google.com/run/docs/configuring/services/memory-limits and
https://cloud.google.com/run/docs/configuring/services/cpu. Cloud Run refuses other sizes only after the build.
"""

import re
from collections.abc import Iterator, Mapping

UNITS = {"M": 1e6, "MB": 1e6, "Mi": 2.0**20, "G": 1e9, "GB": 1e9, "Gi": 2.0**30}  # in bytes
MEMORY = rf"([0-9]{{1,7}})({'|'.join(sorted(UNITS, key=len, reverse=True))})"
CPU = r"0?\.[0-9]{1,3}|[12468](?:\.0)?"
SMALLEST_BYTES = 128e6
SMALLEST_CPU = 0.08

INSTANCE_GIBIBYTES = (0.5, 1, 2, 4, 8, 16, 24, 32)  # of memory, of which the smallest that fits is advised

# GiB of memory, and the fewest CPUs that Cloud Run requires for as much.
FEWEST_CPUS = ((4, 1), (8, 2), (16, 4), (24, 6), (32, 8))
# CPUs, and the GiB of memory that Cloud Run requires at least for as many.
LEAST_GIBIBYTES = {4: 2, 6: 4, 8: 4}


def size_problems(values: Mapping[str, str]) -> Iterator[str]:
    """Yield why Cloud Run would refuse the memory, CPUs and concurrency, a sentence each.

    `values` has the options memory, cpu and concurrency; a malformed one is reported by its own check, not here.
    """
    parsed = re.fullmatch(MEMORY, values["memory"], re.ASCII)
    if not parsed or not re.fullmatch(CPU, values["cpu"], re.ASCII) or not values["concurrency"].isdecimal():
        return
    cpu, concurrency = float(values["cpu"]), int(values["concurrency"])
    size = memory_bytes(values["memory"])
    memory, cpus = f"--memory {values['memory']}", f"--cpu {values['cpu']}"
    largest = FEWEST_CPUS[-1][0]
    if size < SMALLEST_BYTES:
        yield f"{memory} is too small for Cloud Run; expected at least 128Mi."
    if size > largest * UNITS["Gi"]:
        yield f"{memory} is more than an instance of Cloud Run can have; expected at most {largest}Gi."
    elif cpu >= 1 and cpu < (fewest := fewest_cpus(size / UNITS["Gi"])):
        yield f"{memory} requires at least {fewest} CPUs on Cloud Run; expected --cpu {fewest}, or less memory."
    least = LEAST_GIBIBYTES.get(int(cpu), 0)
    if SMALLEST_BYTES <= size < least * UNITS["Gi"]:
        yield f"{cpus} requires at least {least}Gi of memory on Cloud Run; expected --memory {least}Gi, or fewer CPUs."
    if cpu < 1:
        yield from _fraction_problems(cpu, size, concurrency, values)


def memory_problem(model: str, measured: int, workers: int, memory: str, cpu: str) -> str:
    """Return why a model can't fit into the memory, with the next size that it does fit, or an empty text.

    `model` is what the sentence calls it; `measured` is what one process takes at least, in bytes; `memory` and `cpu`
    are options without problems.
    """
    needed, size = measured * workers, memory_bytes(memory)
    if needed <= size:
        return ""
    takes = f"{model} takes at least {measured / UNITS['Gi']:.2f} GiB of memory when it is loaded, as measured here"
    each = f", in each of {workers} workers" if workers > 1 else ""
    fitting = next((it for it in INSTANCE_GIBIBYTES if it * UNITS["Gi"] > needed), None)
    if not fitting:
        largest = f"more than an instance of Cloud Run can have, {INSTANCE_GIBIBYTES[-1]}Gi"
        return f"{takes}{each}: {largest}; {'lower --workers' if workers > 1 else 'train a smaller model'}."
    cpus = fewest_cpus(fitting) if fitting > 1 else 0.5 if fitting > 0.5 else 0
    also = f" and --cpu {cpus}" if float(cpu) < cpus else ""
    wanted = f"{fitting}Gi" if fitting >= 1 else "512Mi"
    return f"{takes}{each}, and --memory is {memory}; expected at least --memory {wanted}{also}."


def memory_bytes(memory: str) -> float:
    """Return the bytes that --memory names; raise ValueError for a malformed one."""
    parsed = re.fullmatch(MEMORY, memory, re.ASCII)
    if not parsed:
        raise ValueError(f"{memory!r} is no size of memory")
    return int(parsed[1]) * UNITS[parsed[2]]


def fewest_cpus(gibibytes: float) -> int:
    """Return the fewest whole CPUs that Cloud Run accepts with so much memory, at most 32 GiB."""
    return next(cpus for most, cpus in FEWEST_CPUS if gibibytes <= most)


def _fraction_problems(cpu: float, size: float, concurrency: int, values: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with less than one CPU."""
    name = f"--cpu {values['cpu']}"
    if cpu < SMALLEST_CPU:
        yield f"{name} is too small for Cloud Run; expected at least {SMALLEST_CPU}."
    if concurrency > 1:
        yield f"{name} allows one request at a time on Cloud Run; expected --concurrency 1, or --cpu 1."
    most = "512Mi" if cpu < 0.5 else "1Gi"
    if size > (2.0**29 if cpu < 0.5 else 2.0**30):
        yield f"{name} allows at most {most} of memory on Cloud Run; expected --memory {most}, or --cpu 1."
