"""How to size a deployment of a model: measure the real function with it on this machine, then choose the settings."""
