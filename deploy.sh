#!/usr/bin/env bash
# Deploys an MLflow model as SQL functions in BigQuery. docs/deploying.md explains it; ./deploy.sh --help lists the options.
#
#   ./deploy.sh --project my-project --region us-central1 --dataset ds --model gs://my-bucket/houses
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
  echo "deploy.sh: $1" >&2
  exit 2
}

# Creates the environment of a clone without .venv, with the locked packages that deploying needs. Progress goes to stderr.
make_environment() {
  local folder=$here/.deploy/venv
  PYTHON=$folder/bin/python
  if [[ $folder/installed -nt $here/requirements-dev.txt ]]; then return; fi
  python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null ||
    fail "python3 is not Python 3.11, 3.12 or 3.13: install one, or name another Python with these packages in PYTHON."
  echo "deploy.sh: creating $folder with the packages that deploying needs, once; this takes about a minute" >&2
  if ! {
    python3 -m venv --clear "$folder" &&
      "$PYTHON" -m pip install --quiet --disable-pip-version-check --constraint "$here/requirements-dev.txt" uv &&
      "$PYTHON" -m uv pip install --quiet --python "$PYTHON" --constraint "$here/requirements-dev.txt" \
        --requirements "$here/requirements.txt" --group "$here/pyproject.toml:deploy"
  } >&2; then
    fail "$folder cannot be created: see the error above, correct it and run the same command again."
  fi
  touch "$folder/installed"
}

if [[ -z ${PYTHON:-} ]]; then
  PYTHON=$here/.venv/bin/python
  if [[ ! -x $PYTHON ]]; then make_environment; fi
fi
"$PYTHON" -c 'import click' 2>/dev/null ||
  fail "$PYTHON is not a Python with this project's packages: run 'make .venv/installed', or unset PYTHON."
# -P keeps the current folder off the module path: --model may be relative to it, modules are not.
PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH} exec "$PYTHON" -P -m deploy "$@"
