"""The kernels in fast NumPy (`contract.py`): one idea a file, on `parallel.py` and `memory.py`.

All but products of matrices is bound by memory: the batch is worked on some images at a time, so that the passes over them
(five additions for a five-channel window) find them in the cache. Not too few either: between any two NumPy calls the
threads meet at the interpreter's lock, so a call has to be worth it.
"""

from tinynet.kernels.cpu.convolution import conv2d, conv2d_bias_grad, conv2d_input_grad, conv2d_weight_grad
from tinynet.kernels.cpu.elementwise import dropout, relu, relu_backward, sgd
from tinynet.kernels.cpu.losses import softmax_cross_entropy, softmax_cross_entropy_backward
from tinynet.kernels.cpu.normalization import local_response_norm, local_response_norm_backward
from tinynet.kernels.cpu.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from tinynet.kernels.cpu.products import matmul

__all__ = [
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
]
