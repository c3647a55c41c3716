"""BigQuery's SQL and its caller of remote functions, on this machine."""
