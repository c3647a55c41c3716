"""The Dask workers that score pipelines.

Workers are forked from one server process that has imported everything once. Start that server as early as possible:
its imports take seconds, which then overlap with the main program's. The cluster is started here rather than by TPOT,
whose cluster would open a dashboard to the network. Workers ignore Ctrl-C, which a terminal sends to every process; the
main program alone handles it.
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

HOST = "127.0.0.1"
CONNECT_SECONDS = 10  # for an existing cluster
# There are as many workers as cores, so each computes with one thread.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def start_forkserver() -> None:
    """Start the server process that workers are forked from; do nothing if it is running."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # read when the server loads the libraries
    ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the server and its forks
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
    """Yield a client of the Dask cluster at `scheduler`, or of `jobs` workers on this machine, stopped at the end.

    Raise TrainError if the existing cluster does not answer or has no workers.
    """
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
            if not client.scheduler_info()["workers"]:
                client.close()
                raise TrainError(f"The Dask cluster at {scheduler} has no workers; start some with `dask worker`.")
        except (OSError, ValueError) as error:
            raise TrainError(
                f"No Dask scheduler answers at {scheduler!r}; expected an address such as tcp://10.0.0.5:8786."
            ) from error
        with client:
            yield client
        return
    start_forkserver()
    settings = {
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.scheduler.worker-ttl": None,  # a worker busy in compiled code is not lost
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            host=HOST,
            dashboard_address=None,
            # Dask serves metrics even without a dashboard. On the default port, 8787, two searches would collide.
            scheduler_kwargs={"dashboard_address": f"{HOST}:0"},
            memory_limit=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
