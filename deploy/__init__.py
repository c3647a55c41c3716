"""The parts of deploy.sh: its steps in shell, and in Python what a deployment must know of the model.

The rule: the shell part talks to the cloud and knows nothing of models; the Python part is the other way round.
"""
