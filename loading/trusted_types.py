"""The types, beyond those that skops trusts by itself, that a skops file may hold to be loaded here.

How a type gets onto this list: it is a library's own, a model that MLflow or `python -m train` saves needs it, and
what restores it was read (scikit-learn 1.9, skops 0.16, LightGBM 4.7): its __reduce__, __setstate__ and constructor
where it has them, and else skops' loader, which makes an empty instance and fills in its attributes. None of them
imports, calls or opens what the file names. What was found stands beside each group. Types of a model's own code never
get on the list; such a model is saved with cloudpickle, and whoever serves it trusts its author.

What the list cannot promise: the trees below index into arrays of the file without checking bounds, so a
crafted file can crash the process or make it read memory that is not the tree's. Name the model's digest
(MODEL_DIGEST) where others can write to the bucket.

A model also carries a list of types that it would like to be trusted (in its MLmodel file). It counts for
nothing here: whoever crafts a model writes that list too.
"""

# Fitted trees: arrays of nodes, restored as such. Every forest, boosting and tree model holds them. Tree.__setstate__
# checks the arrays' types and shapes and copies them; TreePredictor has no code of its own for it.
_TREES = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)

# Nearest neighbours: the training rows, sorted into a tree, and the distance to compare them by. Their __setstate__
# assign arrays and numbers. PyFuncDistance, which calls a function of the file's choice, is left out on purpose.
_NEIGHBORS = (
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
)

# Neural networks keep the optimizer of their training: numbers and arrays as attributes, unused in predicting.
_OPTIMIZERS = ("sklearn.neural_network._stochastic_optimizers.AdamOptimizer",)

# Selectors keep the function that scored the columns; it is looked up by this name, and called in fitting only.
_SCORE_FUNCTIONS = ("sklearn.feature_selection._univariate_selection.f_classif",)

# KBinsDiscretizer keeps the type of its output: a description of numbers, which skops takes from an empty array that
# NumPy loads without pickle.
_DESCRIPTIONS = ("numpy.dtype",)

# MLflow saves LightGBM's scikit-learn models with these. A booster is restored from its own text format, by a reader
# that checks as little as the trees above.
_LIGHTGBM = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
)

TRUSTED_TYPES: frozenset[str] = frozenset(
    _TREES + _NEIGHBORS + _OPTIMIZERS + _SCORE_FUNCTIONS + _DESCRIPTIONS + _LIGHTGBM
)
