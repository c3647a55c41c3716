"""The processes that score pipelines.

They are forked from one server process that has imported everything once. `prepare` starts that server, and
costs nothing when called first of all: its imports, which take seconds, then run beside those of the main
program. The Dask cluster is started here and not by TPOT, whose own would open a dashboard to the network. A
Ctrl-C is the main program's business alone: a terminal sends it to all of them.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing import forkserver
from typing import TYPE_CHECKING

from train.errors import TrainError

if TYPE_CHECKING:
    from distributed import Client

CONNECT = 10  # seconds for reaching an existing cluster
# One thread for each worker: there are as many workers as cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def prepare() -> None:
    """Start the server process from which the workers are forked."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # read when the libraries are loaded, which the server does
    ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the server and all that it forks
    try:
        multiprocessing.set_forkserver_preload(["train.search"])
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, ctrl_c)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def workers(jobs: int, scheduler: str | None) -> Iterator["Client"]:
    """Give a client of an existing Dask cluster, or of workers on this machine, which are stopped whatever happens."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=CONNECT, set_as_default=False)
            if not client.scheduler_info()["workers"]:
                client.close()
                raise TrainError(f"The Dask cluster at {scheduler} has no workers; start some with `dask worker`.")
        except (OSError, ValueError) as error:
            raise TrainError(
                f"There is no Dask scheduler at {scheduler!r}; expected an address such as tcp://10.0.0.5:8786."
            ) from error
        with client:
            yield client
        return
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
