"""Scores typed columns without pandas and without scikit-learn's checks, to the last bit as the model itself does.

Most of a small prediction is bookkeeping: a DataFrame is built, split, validated and joined at each step. A plan is
the same arithmetic as plain calls in order, made once from the fitted model. attach.py makes and admits it; check.py
compares it with the model; containers.py puts the kernels of the steps together, which the tables in kernels.py list.
"""
