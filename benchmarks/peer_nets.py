"""A small AlexNet in every engine, each in its own idiom: five functions of one network, to be read side by side.

conv 32@11/4, pool, conv 64@5, pool, conv 96@3, conv 64@3, pool, fc 256, fc 100; ReLU in between, pools 3/2, biases
everywhere; on 67x67 pictures. SGD with momentum 0.9. A function takes the list of weights and biases and the batch, and
returns a function that makes one step and returns the loss before it.
"""

import numpy as np

IMAGE_SIZE, CLASSES, LR, MOMENTUM = 67, 100, 0.001, 0.9
CONVOLUTIONS = ((32, 3, 11, 4, 0), (64, 32, 5, 1, 2), (96, 64, 3, 1, 1), (64, 96, 3, 1, 1))  # out, in, size, stride, padding
POOLED = (0, 1, 3)  # the convolutions that a pool follows
FULLY = ((256, 64), (CLASSES, 256))


def weights():
    """He-initialised weights and zero biases, the same every time."""
    rng, arrays = np.random.default_rng(0), []
    for shape in [(out, into, size, size) for out, into, size, _, _ in CONVOLUTIONS] + list(FULLY):
        scale = np.sqrt(2 / np.prod(shape[1:]), dtype=np.float32)
        arrays += [rng.standard_normal(shape, np.float32) * scale, np.zeros(shape[0], np.float32)]
    return arrays


def batch_of(count):
    """Random pictures and labels."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((count, 3, IMAGE_SIZE, IMAGE_SIZE), np.float32), rng.integers(0, CLASSES, count)


def tinynet_step(arrays, x, labels):
    import tinynet as tn

    parameters = [tn.tensor(a, requires_grad=True) for a in arrays]
    optimizer = tn.optim.SGD(parameters, LR, MOMENTUM, weight_decay=0.0)
    x = tn.tensor(x)

    def step():
        optimizer.zero_grad()
        h, rest = x, iter(parameters)
        for i, (_, _, _, stride, padding) in enumerate(CONVOLUTIONS):
            h = tn.relu(tn.conv2d(h, next(rest), next(rest), stride, padding))
            h = tn.max_pool2d(h, 3, 2) if i in POOLED else h
        h = tn.relu(tn.linear(h.flatten(1), next(rest), next(rest)))
        loss = tn.cross_entropy(tn.linear(h, next(rest), next(rest)), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def pytorch_step(arrays, x, labels):
    import torch
    from torch.nn import functional

    parameters = [torch.tensor(a, requires_grad=True) for a in arrays]
    optimizer = torch.optim.SGD(parameters, LR, MOMENTUM, fused=True)
    x, labels = torch.from_numpy(x), torch.from_numpy(labels)

    def step():
        optimizer.zero_grad()
        h, rest = x, iter(parameters)
        for i, (_, _, _, stride, padding) in enumerate(CONVOLUTIONS):
            h = torch.relu(functional.conv2d(h, next(rest), next(rest), stride, padding))
            h = functional.max_pool2d(h, 3, 2) if i in POOLED else h
        h = torch.relu(functional.linear(h.flatten(1), next(rest), next(rest)))
        loss = functional.cross_entropy(functional.linear(h, next(rest), next(rest)), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def mygrad_step(arrays, x, labels):
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.layers import conv_nd, max_pool
    from mygrad.nnet.losses import softmax_crossentropy

    mygrad.turn_memory_guarding_off()  # as its documentation advises for speed
    parameters = [mygrad.tensor(a) for a in arrays]
    velocities = [np.zeros_like(a) for a in arrays]

    def step():
        h, rest = x, iter(parameters)
        for i, (out, _, _, stride, padding) in enumerate(CONVOLUTIONS):
            h = relu(conv_nd(h, next(rest), stride=stride, padding=padding) + next(rest).reshape(1, out, 1, 1))
            h = max_pool(h, (3, 3), 2) if i in POOLED else h
        h = relu(h.reshape(len(x), -1) @ next(rest).T + next(rest))
        loss = softmax_crossentropy(h @ next(rest).T + next(rest), labels)
        loss.backward()
        for p, v in zip(parameters, velocities, strict=True):
            v *= MOMENTUM
            v += p.grad
            p.data -= LR * v
            p.null_grad()
        return loss.item()

    return step


def pydynet_step(arrays, x, labels):
    import pydynet
    from pydynet.nn import functional
    from pydynet.optim import SGD

    parameters = [pydynet.Tensor(a, dtype=np.float32, requires_grad=True) for a in arrays]
    optimizer = SGD(parameters, LR, MOMENTUM, nesterov=False)
    x = pydynet.Tensor(x, dtype=np.float32)

    def step():
        optimizer.zero_grad()
        h, rest = x, iter(parameters)
        for i, (out, _, _, stride, padding) in enumerate(CONVOLUTIONS):
            h = functional.relu(functional.conv2d(h, next(rest), padding, stride) + next(rest).reshape(1, out, 1, 1))
            h = functional.max_pool2d(h, 3, 2) if i in POOLED else h
        h = functional.relu(functional.linear(h.reshape(len(labels), -1), next(rest).T, next(rest)))
        loss = functional.cross_entropy_loss(functional.linear(h, next(rest).T, next(rest)), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


STEPS = {"tinynet": tinynet_step, "pytorch": pytorch_step, "mygrad": mygrad_step, "pydynet": pydynet_step}
