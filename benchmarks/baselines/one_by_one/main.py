"""This function without coalescing: each request is scored in a separate prediction."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

import serving.scheduler

serving.scheduler.MAX_BATCH_ROWS = 0

predict = runpy.run_path(str(ROOT / "main.py"))["predict"]
