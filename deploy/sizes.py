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
    size = int(parsed[1]) * UNITS[parsed[2]]
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
