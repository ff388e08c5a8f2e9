"""The kernels in CuPy, for NVIDIA GPUs (`contract.py`), and two settings: `tf32` and `use_workspace`.

Convolutions are products of large matrices. Everything else is bound by memory, so that nearly every function is one pass,
one kernel of `threads.py`. All work is put on the current stream and nothing waits for it.
"""

from tinynet.kernels.cuda.convolution import (
    WORKSPACE,
    conv2d,
    conv2d_bias_grad,
    conv2d_input_grad,
    conv2d_weight_grad,
    use_workspace,
)
from tinynet.kernels.cuda.elementwise import dropout, relu, relu_backward, sgd
from tinynet.kernels.cuda.losses import softmax_cross_entropy, softmax_cross_entropy_backward
from tinynet.kernels.cuda.normalization import local_response_norm, local_response_norm_backward
from tinynet.kernels.cuda.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from tinynet.kernels.cuda.products import matmul, tf32

__all__ = [
    "WORKSPACE",
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_bias_grad",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "dropout",
    "local_response_norm",
    "local_response_norm_backward",
    "matmul",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "sgd",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "tf32",
    "use_workspace",
]
