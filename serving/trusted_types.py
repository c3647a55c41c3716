TRUSTED_TYPES = frozenset({"sklearn.tree._tree.Tree"})
