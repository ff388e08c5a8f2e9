"""What a set of kernels offers: 17 functions of arrays. `Device.kernels` is a module that has all of them.

It holds for every set, and a test holds every set to it:

- Arrays are those of the set's device, of any memory layout and, but for integers that say which, of one dtype, which is
  the dtype of the results too; `reference` and its results are float64 whatever it is given.
- A batch may be empty. That shapes fit together, and that a window fits into the image, has been checked by the caller.
- No argument is written to, but weight and velocity in `sgd`. No result shares memory with an argument, with another
  result or with the result of another call.
- A pair is (rows, columns). Whatever is 0 or minus infinity outside of the image is so inside the padding.
"""

from typing import Any, Protocol

Array = Any  # NumPy's, CuPy's or a simulated device's
Pair = tuple[int, int]
Shape = tuple[int, ...]


class Kernels(Protocol):
    """The functions of a set, in a module; formulas are in `reference.py`."""

    def conv2d(
        self, x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Array:
        """y (N, F, OH, OW) from x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None."""

    def conv2d_input_grad(
        self, g: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Array:
        """dx (N, C, H, W), which is x_shape, from g (N, F, OH, OW)."""

    def conv2d_weight_grad(
        self, g: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Array:
        """dw (F, C/groups, KH, KW), which is weight_shape, from g (N, F, OH, OW)."""

    def conv2d_bias_grad(self, g: Array) -> Array:
        """db (F,) from g (N, F, OH, OW)."""

    def max_pool2d(
        self, x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair, want_winner: bool = True
    ) -> tuple[Array, Array | None]:
        """y (N, C, OH, OW) and, of the same shape, the number u KW + v of the window element that won.

        x: of integers, too. out_size: (OH, OW), which tells how far windows may hang over the edge. The winner is of any
        integer type; without want_winner it may be None.
        """

    def max_pool2d_backward(
        self, g: Array, winner: Array, x_shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    ) -> Array:
        """dx (N, C, H, W), which is x_shape, from g and winner (N, C, OH, OW)."""

    def avg_pool2d(
        self, x: Array, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, count_include_pad: bool
    ) -> Array:
        """y (N, C, OH, OW). out_size: (OH, OW), which tells how far windows may hang over the edge."""

    def avg_pool2d_backward(
        self, g: Array, x_shape: Shape, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
    ) -> Array:
        """dx (N, C, H, W), which is x_shape, from g (N, C, OH, OW)."""

    def local_response_norm(self, x: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Array, Array]:
        """y = x / d^beta and d, both of the shape of x (N, C, ...)."""

    def local_response_norm_backward(self, g: Array, x: Array, d: Array, size: int, alpha: float, beta: float) -> Array:
        """dx, all of the shape (N, C, ...)."""

    def matmul(self, a: Array, b: Array) -> Array:
        """The product (n, k) @ (k, m) of two matrices."""

    def softmax_cross_entropy(self, z: Array, labels: Array) -> tuple[Array, Array]:
        """The losses (N,) and the softmax p (N, C), from z (N, C) and integers (N,)."""

    def softmax_cross_entropy_backward(self, g: Array, p: Array, labels: Array) -> Array:
        """dz (N, C) from g (N,), p (N, C) and integers (N,)."""

    def relu(self, x: Array) -> Array:
        """y = max(x, 0), of any shape; NaN stays."""

    def relu_backward(self, g: Array, y: Array) -> Array:
        """dx from g and the result of `relu`, all of one shape."""

    def dropout(self, x: Array, mask: Array, scale: float) -> Array:
        """x mask scale, its own backward with g for x. mask: of the shape of x, booleans or numbers of x's dtype."""

    def sgd(self, weight: Array, velocity: Array, gradient: Array, lr: float, momentum: float, weight_decay: float) -> None:
        """Changes weight and velocity, in place; all three are of one shape."""


NAMES = tuple(name for name in vars(Kernels) if not name.startswith("_"))
