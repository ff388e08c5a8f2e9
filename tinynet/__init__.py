"""tinynet: AlexNet, the 2012 paper, as a program that can be read, stepped through, checked and run.

This file defines nothing but the version; it lists the public names. Some of them are called like the module they come from
(`tensor`, `tape`, `devices`): write `from tinynet.tape import record`, and `tinynet.tape` is the function.
"""

from tinynet import nn, optim
from tinynet.devices import Device, devices
from tinynet.errors import CheckpointError, DataError, DeviceError, TinynetError, UsageError
from tinynet.gradcheck import GradientError, assert_gradients, compare_precision, directional_check, gradcheck
from tinynet.instruments.history import History
from tinynet.instruments.tape import tape
from tinynet.instruments.trace import trace
from tinynet.instruments.watch import watch
from tinynet.nn import init
from tinynet.ops.activations import log_softmax, relu, sigmoid, softmax, tanh
from tinynet.ops.arithmetic import exp, linear, log, matmul, maximum, minimum, sqrt
from tinynet.ops.convolution import conv2d
from tinynet.ops.dropout import dropout
from tinynet.ops.losses import cross_entropy
from tinynet.ops.normalization import batch_norm, local_response_norm
from tinynet.ops.pooling import avg_pool2d, max_pool2d
from tinynet.ops.shaping import concat, pad, stack
from tinynet.ops.transfer import transfer
from tinynet.tape import no_grad
from tinynet.tensor import Tensor, tensor

__version__ = "0.1.0"
