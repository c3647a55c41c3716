"""Deploys an MLflow model as SQL functions in BigQuery: the Python behind deploy.sh.

A deployment reads top to bottom in `run`: `registry` finds a model that MLflow registered; `options` become a `plan`,
with those that the other models of the service `inherited`; `reading` observes what exists, in parallel; `preflight`
lists every blocker; `steps` create what is missing and `record` remembers it; `verify` compares SQL with the model.
gcloud and bq make all changes, with the user's own login; `gcloud` runs them.
"""
