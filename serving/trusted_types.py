"""The types, beyond those that skops trusts by itself, that a skops file may hold to be loaded here.

How a type gets onto this list: it is a library's own, a model that MLflow or `python -m train` saves needs it, and its
source was read: building and restoring it runs nothing that the file chooses. Types of a model's own code never get on
it; such a model is saved with cloudpickle, and whoever serves it trusts its author.

What the list cannot promise: the trees below index into arrays of the file without checking bounds, so a
crafted file can crash the process or make it read memory that is not the tree's. Name the model's digest
(MODEL_DIGEST) where others can write to the bucket.

A model also carries a list of types that it would like to be trusted (in its MLmodel file). It counts for
nothing here: whoever crafts a model writes that list too.
"""

# Fitted trees: arrays of nodes, restored as such. Every forest, boosting and tree model holds them.
_TREES = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)

# Nearest neighbours: the training rows, sorted into a tree, and the distance to compare them by.
_NEIGHBORS = (
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
)

# Neural networks keep the optimizer of their training: numbers only.
_OPTIMIZERS = ("sklearn.neural_network._stochastic_optimizers.AdamOptimizer",)

# Selectors keep the function that scored the columns; it is called in fitting, never in predicting.
_SCORE_FUNCTIONS = ("sklearn.feature_selection._univariate_selection.f_classif",)

# KBinsDiscretizer keeps the type of its output: a description of numbers.
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
