"""Compares predictions by SQL with those of the model's own library.

The caller passes in the answers: `local/parity.py` gets them from the emulator, `deploy/` from BigQuery.
"""
