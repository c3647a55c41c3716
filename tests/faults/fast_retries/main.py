"""The function, except that it gives up on Cloud Storage and on bodies that stop arriving within seconds.

ADDRESS_SPACE limits the memory that the process may map (bytes), IDLE_SECONDS the time without a byte of a body.
"""

import os
import resource
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

if group := os.environ.get("MEMORY_CGROUP"):
    (Path(group) / "cgroup.procs").write_text(str(os.getpid()))

from loading import bucket
from serving import body

bucket.RETRY_SECONDS = 1.5
bucket.RETRY_DELAY = (0.02, 0.1)
body.IDLE_SECONDS = float(os.environ.get("IDLE_SECONDS", body.IDLE_SECONDS))

if limit := int(os.environ.get("ADDRESS_SPACE", "0")):
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

predict = runpy.run_path(str(ROOT / "main.py"))["predict"]
