"""The product of two matrices, for the fully connected layers."""

import numpy as np

from tinynet.kernels.cpu.memory import empty
from tinynet.kernels.cpu.parallel import pieces


def matmul(a, b):
    """The product (n, k) @ (k, m) of two matrices, its longer side cut into pieces.

    BLAS would split it too, but its threads wait for each other in a loop: on a machine that is busy with anything else
    one product of a small layer took 30 ms instead of 1.
    """
    out = empty((a.shape[0], b.shape[1]), np.result_type(a, b))
    tall, nanoseconds = out.shape[0] > out.shape[1], a.size * b.shape[1] / 50 + b.size / 10
    turned = np.ascontiguousarray(a.T) if not tall and b.flags.f_contiguous else None

    def work(start, stop):
        rows, columns = (slice(start, stop), slice(None)) if tall else (slice(None), slice(start, stop))
        target = out[rows, columns]
        if a.shape[1] == 1:  # the gradient of weights from one image; BLAS takes seven times as long
            np.multiply(a[rows], b[:, columns], out=target)
        elif turned is not None:  # a few rows times a transposed W are a third faster the other way round
            target[...] = np.matmul(b[:, columns].T, turned).T
        else:
            np.matmul(a[rows], b[:, columns], out=target)

    pieces(max(out.shape), work, nanoseconds)
    return out
