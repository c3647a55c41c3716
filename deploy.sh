#!/usr/bin/env bash
# Deploys an MLflow model as SQL functions in BigQuery. docs/deploying.md explains it; ./deploy.sh --help lists the options.
#
#   ./deploy.sh --project my-project --region us-central1 --dataset ds --model gs://my-bucket/houses
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${PYTHON:-$here/.venv/bin/python}
if ! "$PYTHON" -c 'import click' 2>/dev/null; then
  echo "deploy.sh: $PYTHON is not a Python with this project's packages: run 'make .venv/installed' first." >&2
  exit 2
fi
# -P keeps the current folder off the module path: --model may be relative to it, modules are not.
PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH} exec "$PYTHON" -P -m deploy "$@"
