"""Puts kernels one after another, and what they give side by side, in the form that scikit-learn's steps give."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from loading.plan.kernel import Head, Kernel, dense, is_sparse
from serving.rows import Rows
from serving.types import Array


def chained(head: Head, *kernels: Kernel) -> Head:
    """Return a head whose array goes through the kernels, one after another."""
    chain = one_after_another(*kernels)
    return lambda rows: chain(head(rows))


def one_after_another(*kernels: Kernel) -> Kernel:
    """Return one kernel for several; for none, one that gives what it gets."""
    if len(kernels) == 1:
        return kernels[0]

    def chain(values: Array) -> Array:
        for kernel in kernels:
            values = kernel(values)
        return values

    return chain


def side_by_side(heads: Sequence[Head], *, sparse: bool, frames: bool) -> Head:
    """Return what puts the columns of all parts side by side: in a sparse matrix if one is, and if that's wanted.

    With `frames`, the memory layout is that of a DataFrame of the parts: products of matrices differ by it.
    """

    def joined(rows: Rows) -> Any:
        parts = [head(rows) for head in heads]
        if not any(map(is_sparse, parts)):
            beside = np.hstack(parts)
            return np.asfortranarray(beside) if frames and len(parts) > 1 else beside
        if not sparse:
            return np.hstack([dense(part) for part in parts])
        from scipy.sparse import hstack

        return hstack(parts, "csr")

    return joined


def to_sparse(values: Any) -> Any:
    """Return the matrix as scikit-learn's steps give it; a product with it adds in another order than a dense one."""
    if is_sparse(values):
        return values
    from scipy.sparse import csr_matrix

    return csr_matrix(values)


def unless_sparse(kernel: Kernel, own: Kernel) -> Kernel:
    """Return a kernel that leaves sparse matrices to the step: to XGBoost, what they leave out is missing and not 0."""
    return lambda values: own(values) if is_sparse(values) else kernel(values)
