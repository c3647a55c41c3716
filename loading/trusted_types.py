"""The types that a skops file may contain, in addition to those that skops trusts by default.

To add a type, make sure that it belongs to a library, that a model saved by MLflow or `python -m train` needs it, and
review the code that restores it: its __reduce__, __setstate__ and constructor if it has them, else skops' loader, which
creates an empty instance and sets its attributes. None of these may import, call or open what the file names. The types
below were reviewed in scikit-learn 1.9, skops 0.16 and LightGBM 4.7; a comment on each group says what was found. Types
from a model's own code never get on the list: save such a model with cloudpickle, and serve it only if you trust its
author.

The list is no protection against crafted arrays: the trees below index into arrays of the file without checking bounds,
so a crafted file can crash the process or make it read other memory. Set MODEL_DIGEST where others can write to the
bucket.

A model's MLmodel file also lists types to trust. That list is ignored, because an attacker would write it too.
"""

# Fitted trees, which every forest, boosting and tree model contains: arrays of nodes. Tree.__setstate__ checks the
# types and shapes of the arrays and copies them; TreePredictor has no restoring code.
_TREES = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)

# Nearest neighbors: the training rows, sorted into a tree, and the distance metric. Their __setstate__ methods assign
# arrays and numbers. PyFuncDistance, which calls a function that the file names, is deliberately missing.
_NEIGHBORS = (
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
)

# Neural networks keep the optimizer of their training: numbers and arrays as attributes, not used by predictions.
_OPTIMIZERS = ("sklearn.neural_network._stochastic_optimizers.AdamOptimizer",)

# Selectors keep the function that scored the columns; it is looked up by this name and only called in fit.
_SCORE_FUNCTIONS = ("sklearn.feature_selection._univariate_selection.f_classif",)

# KBinsDiscretizer keeps the dtype of its output, which skops reads from an empty array that NumPy loads without pickle.
_DESCRIPTIONS = ("numpy.dtype",)

# Histogram gradient boosting with categorical features checks its input by a function with fixed arguments. skops
# builds it only from a function that is trusted itself, and calls nothing; check_array returns its input as an array.
_CATEGORICAL_FEATURES = ("functools.partial", "sklearn.utils.validation.check_array")

# Target encoders keep the splitter that they took means of other rows by; it has no restoring code, and is used in fit.
_SPLITTERS = ("sklearn.model_selection._split.KFold",)

# MLflow saves LightGBM's scikit-learn models with these. A booster is restored from LightGBM's text format, by a parser
# that checks as little as the trees above.
_LIGHTGBM = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
)

TRUSTED_TYPES: frozenset[str] = frozenset(
    _TREES
    + _NEIGHBORS
    + _OPTIMIZERS
    + _SCORE_FUNCTIONS
    + _DESCRIPTIONS
    + _CATEGORICAL_FEATURES
    + _SPLITTERS
    + _LIGHTGBM
)
