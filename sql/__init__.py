"""SQL functions in BigQuery: the statements that create them, and files to copy from."""
