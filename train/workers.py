"""The processes that score pipelines.

They are forked from one server process that has imported everything once. `prepare` starts that server, and
costs nothing when called first of all: its imports, which take seconds, then run beside those of the main
program. The Dask cluster is started here and not by TPOT, whose own would open a dashboard to the network.
"""

import contextlib
import logging
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing import forkserver
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

# One thread for each worker: there are as many workers as cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def prepare() -> None:
    """Start the server process from which the workers are forked."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # read when the libraries are loaded, which the server does
    try:
        multiprocessing.set_forkserver_preload(["train.search"])
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def workers(jobs: int) -> Iterator["Client"]:
    """Start worker processes on this machine, and stop them whatever happens."""
    import dask
    from distributed import Client, LocalCluster

    prepare()
    settings = {
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.scheduler.worker-ttl": None,  # a worker busy in compiled code is not a lost one
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
