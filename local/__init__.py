"""The laptop's cloud: BigQuery on DuckDB, Cloud Storage on an emulator, the function as its own process.

This folder is the other side of the contract. It encodes and decodes SQL values by its own code and imports
nothing from `serving/`, so that a mistake made there cannot hide behind the same mistake made here.
"""
