"""From a request's bytes to a reply's: BigQuery's contract, typed columns, the model, and the SQL functions.

This package imports nothing of the project, and only the modules that tests/test_imports.py lists know HTTP or
Cloud Logging.
"""
