"""The operations, one idea a file: each is a docstring with the formula, the forward and the backward, side by side."""

import tinynet.tensor  # noqa: F401  (first, because the ops build on Tensor, and its methods on them)
