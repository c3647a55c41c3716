"""What the function is made of: BigQuery's contract, typed columns, the model and the SQL functions on offer.

Nothing in here knows the cloud, the environment or HTTP; nothing in here imports another part of the project.
"""
