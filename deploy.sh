#!/usr/bin/env bash
# From a model in a bucket to a SQL function in BigQuery that answers.
#
#   ./deploy.sh --project my-project --region us-central1 --dataset ds --model gs://my-bucket/houses
#
# It reads all there is first and says everything that stands against a deployment at once (exit status 2). Then it
# makes only what is missing, so that it can be run again after a failure (exit status 1) or a change. It ends with a
# query that compares the SQL function with the model. ./deploy.sh --help names the options; each can also be given as
# an environment variable.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/options.sh
source "$HERE/deploy/options.sh"
# shellcheck source=deploy/commands.sh
source "$HERE/deploy/commands.sh"
# shellcheck source=deploy/preflight.sh
source "$HERE/deploy/preflight.sh"
# shellcheck source=deploy/advise.sh
source "$HERE/deploy/advise.sh"
# shellcheck source=deploy/record.sh
source "$HERE/deploy/record.sh"
# shellcheck source=deploy/steps.sh
source "$HERE/deploy/steps.sh"
# shellcheck source=deploy/destroy.sh
source "$HERE/deploy/destroy.sh"

deploy() {
  preflight
  advise
  plan_record
  publish_model
  make_account
  grant_bucket
  deploy_function
  make_connection
  grant_invoker
  make_dataset
  register_sql
  grant_analysts
  check_parity
}

main() {
  read_options "$@"
  prepare
  cd "$HERE" # for python -m
  if [ -n "$DESTROY" ]; then
    destroy
  else
    deploy
  fi
}

main "$@"
