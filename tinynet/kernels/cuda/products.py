"""The product of two matrices, and how exactly a GPU computes it."""

import cupy as cp
import numpy as np


def matmul(a, b):
    """The product (n, k) @ (k, m) of two matrices; a transposed one is read as it lies in memory."""
    return cp.dot(a, b)


def tf32(on: bool) -> None:
    """Whether products of float32 matrices may round their operands to TF32, 10 bits behind the point instead of 23.

    Tensor cores then multiply several times faster; sums stay in float32. Off until called with True, so that a GPU gives
    the numbers of a CPU. It holds for the whole process; a GPU older than Ampere (2020) has no TF32 and says so.
    """
    kinds = cp._core._routines_linalg
    cp._core.set_compute_type(np.float32, kinds.COMPUTE_TYPE_TF32 if on else kinds.COMPUTE_TYPE_DEFAULT)
