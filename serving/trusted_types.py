TRUSTED_TYPES = frozenset(
    {
        "sklearn.tree._tree.Tree",
        "lightgbm.sklearn.LGBMRegressor",
        "lightgbm.sklearn.LGBMClassifier",
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
    }
)
