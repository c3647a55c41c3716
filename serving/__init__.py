"""From a request's bytes to a reply's: BigQuery's contract, typed columns, the model, and the SQL functions.

This package imports nothing of the project, and only its handler, telemetry and page know HTTP or Cloud Logging.
"""
