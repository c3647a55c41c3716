"""SQL must give what the model's own library predicts: what to expect, and how to compare the answers with it.

Whoever asks in SQL hands the answers in: `local/parity.py` asks the emulator, `deploy/` asks BigQuery.
"""
