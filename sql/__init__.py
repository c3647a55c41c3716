"""The SQL side: CREATE FUNCTION statements written from a model's signature, and files to read and paste."""
