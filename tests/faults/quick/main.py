"""The function as it stands, which gives up on Cloud Storage within seconds instead of minutes.

ADDRESS_SPACE, when it is set, is the number of bytes that its process may use.
"""

import os
import resource
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

import model_bucket  # noqa: E402

model_bucket.TIMEOUT = (5.0, 5.0)
model_bucket.TRY_AGAIN = 1.5
model_bucket.PAUSE = (0.02, 0.1)

if limit := int(os.environ.get("ADDRESS_SPACE", "0")):
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

predict = runpy.run_path(str(ROOT / "main.py"))["predict"]
