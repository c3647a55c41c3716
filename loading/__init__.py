"""From MODEL_URI to a verified model in memory; model_loader.py is its public face."""
