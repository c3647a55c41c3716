"""This project on a laptop: the demo, the function and Cloud Storage as local processes, parity, and costs from logs.

BigQuery itself is emulated by bqlocal, a distribution that knows nothing of this project.
"""
