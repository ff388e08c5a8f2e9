"""The CUDA kernels: what each thread does, written as CuPy ElementwiseKernels.

A thread computes one number of the result (im2col: one window) and reads whatever it needs, so no two threads write to
the same place: there are no atomic additions, and the same input gives the same bits on every run. Gathering also makes
neighbouring threads read neighbouring numbers, which is what the memory of a GPU is built for.

`i` is the thread's number. An axis of windows is described by five numbers: its length h, the kernel kh, the number of
windows oh, stride sh, padding ph, dilation dh; the other axis likewise with w. None of the bodies uses shared memory or
anything else that only a GPU has, so the tests compile the same text with a C++ compiler and run it.
"""

import cupy as cp
import numpy as np

LONGEST = np.iinfo(np.int32).max  # the longest array whose places 32-bit arithmetic can name

HELPERS = r"""
// d^-beta; for the paper's 0.75 without the general power, which costs several times as much
template <typename T> __device__ T power(T d, T beta) {
    if (beta != T(0.75)) return pow(d, -beta);
    T root = rsqrt(d);
    return root * root * rsqrt(root);  // root * sqrt(root), by the instruction that a GPU has
}

// The windows along one axis that reach a place (counted from the edge of the padding): from first to last.
__device__ I first_window(I place, I kernel, I stride, I dilation) {
    I start = place - dilation * (kernel - 1);
    return start > 0 ? (start + stride - 1) / stride : 0;
}
__device__ I last_window(I place, I count, I stride) {
    I last = place / stride;
    return last < count ? last : count - 1;
}
// Which element of a window lies `step` places from its start; -1 if its dilation steps over that place.
__device__ I element_at(I step, I dilation) {
    if (dilation == 1) return step;
    return step % dilation ? -1 : step / dilation;
}
// Over how many places of an axis a window averages: inside the image or, with `padded`, inside its padding too.
__device__ I places_of(I window, I size, I kernel, I stride, I padding, I padded) {
    I start = window * stride - padding;
    I low = padded ? -padding : 0, high = padded ? size + padding : size;
    return (start + kernel < high ? start + kernel : high) - (start > low ? start : low);
}
"""


class Kernel:
    """A kernel in two versions: indices of 32 bits, which a GPU divides several times faster, and of 64 for long arrays.

    In `inputs` and in the body, I is the type of an index and T that of the numbers.
    """

    def __init__(self, name, inputs, outputs, body):
        self.versions = {
            integer: cp.ElementwiseKernel(
                inputs.replace("I ", f"{np.dtype(integer)} "),
                outputs,
                body,
                f"{name}_{np.dtype(integer)}",
                preamble=f"typedef {kind} I;{HELPERS}",
            )
            for integer, kind in ((np.int32, "int"), (np.int64, "long long"))
        }

    def __call__(self, threads, *arguments):
        """Run threads 0 to `threads` - 1 on arrays that lie in memory without gaps, and on numbers."""
        longest = max(a.size for a in arguments if isinstance(a, cp.ndarray))
        self.versions[np.int32 if longest <= LONGEST else np.int64](*arguments, size=threads)


WINDOWS = "I h, I w, I kh, I kw, I oh, I ow, I sh, I sw, I ph, I pw, I dh, I dw"

# Convolution ----------------------------------------------------------------------------------------------------------

# A thread copies one window of one channel: the divisions that find the window are made once for kh * kw pixels.
im2col = Kernel(
    "im2col",
    f"raw T x, I batch, I channels, {WINDOWS}",
    "raw T columns",
    """
    I rest = i;
    I ox = rest % ow; rest /= ow;
    I oy = rest % oh; rest /= oh;
    I n = rest % batch, c = rest / batch;
    I image = (n * channels + c) * h, length = batch * oh * ow, place = (n * oh + oy) * ow + ox;
    for (I u = 0; u < kh; u++) {
        I row = oy * sh + u * dh - ph;
        for (I v = 0; v < kw; v++) {
            I column = ox * sw + v * dw - pw;
            bool inside = row >= 0 && row < h && column >= 0 && column < w;
            columns[((c * kh + u) * kw + v) * length + place] = inside ? x[(image + row) * w + column] : T(0);
        }
    }
    """,
)

# A thread adds up, for one pixel, its numbers from all columns that hold it.
col2im = Kernel(
    "col2im",
    f"raw T columns, I batch, I channels, {WINDOWS}",
    "raw T dx",
    """
    I rest = i;
    I column = rest % w + pw; rest /= w;
    I row = rest % h + ph; rest /= h;
    I c = rest % channels, n = rest / channels, length = batch * oh * ow;
    T total = 0;
    for (I oy = first_window(row, kh, sh, dh); oy <= last_window(row, oh, sh); oy++) {
        I u = element_at(row - oy * sh, dh);
        if (u < 0) continue;
        for (I ox = first_window(column, kw, sw, dw); ox <= last_window(column, ow, sw); ox++) {
            I v = element_at(column - ox * sw, dw);
            if (v < 0) continue;
            total += columns[((c * kh + u) * kw + v) * length + (n * oh + oy) * ow + ox];
        }
    }
    dx[i] = total;
    """,
)

# From (maps, batch, area), as the matrix product leaves them, to (batch, maps, area), and the bias in the same pass.
add_bias = Kernel(
    "add_bias",
    "raw T product, raw T bias, I batch, I maps, I area",
    "raw T y",
    """
    I place = i;
    I f = place / area % maps, n = place / area / maps;
    y[i] = product[(f * batch + n) * area + place % area] + bias[f];
    """,
)

# From (batch, maps, area) to (maps, batch, area): an output gradient as a matrix with one row a map.
by_map = Kernel(
    "by_map",
    "raw T g, I batch, I maps, I area",
    "raw T rows",
    """
    I place = i;
    I n = place / area % batch, f = place / area / batch;
    rows[i] = g[(n * maps + f) * area + place % area];
    """,
)

# Pooling --------------------------------------------------------------------------------------------------------------

# NaN is larger than everything here, so that it is not hidden; of several the last wins.
max_pool = Kernel(
    "max_pool",
    f"raw T x, T lowest, {WINDOWS}",
    "raw T y, raw W winner",
    """
    I rest = i;
    I ox = rest % ow; rest /= ow;
    I oy = rest % oh, plane = rest / oh;
    T best = lowest;
    I who = -1;
    for (I u = 0; u < kh; u++) {
        I row = oy * sh + u * dh - ph;
        if (row < 0 || row >= h) continue;
        for (I v = 0; v < kw; v++) {
            I column = ox * sw + v * dw - pw;
            if (column < 0 || column >= w) continue;
            T value = x[(plane * h + row) * w + column];
            if (who < 0 || value > best || value != value) { best = value; who = u * kw + v; }
        }
    }
    y[i] = best;
    winner[i] = who < 0 ? 0 : who;
    """,
)

# A thread asks, for one pixel, every window that holds it whether the pixel won there.
max_pool_backward = Kernel(
    "max_pool_backward",
    f"raw T g, raw W winner, {WINDOWS}",
    "raw T dx",
    """
    I rest = i;
    I column = rest % w + pw; rest /= w;
    I row = rest % h + ph, plane = rest / h;
    T total = 0;
    for (I oy = first_window(row, kh, sh, dh); oy <= last_window(row, oh, sh); oy++) {
        I u = element_at(row - oy * sh, dh);
        if (u < 0) continue;
        for (I ox = first_window(column, kw, sw, dw); ox <= last_window(column, ow, sw); ox++) {
            I v = element_at(column - ox * sw, dw), window = (plane * oh + oy) * ow + ox;
            if (v >= 0 && winner[window] == u * kw + v) total += g[window];
        }
    }
    dx[i] = total;
    """,
)

avg_pool = Kernel(
    "avg_pool",
    f"raw T x, {WINDOWS}, I padded",
    "raw T y",
    """
    I rest = i;
    I ox = rest % ow; rest /= ow;
    I oy = rest % oh, plane = rest / oh;
    T total = 0;
    for (I u = 0; u < kh; u++) {
        I row = oy * sh + u - ph;
        if (row < 0 || row >= h) continue;
        for (I v = 0; v < kw; v++) {
            I column = ox * sw + v - pw;
            if (column >= 0 && column < w) total += x[(plane * h + row) * w + column];
        }
    }
    y[i] = total / T(places_of(oy, h, kh, sh, ph, padded) * places_of(ox, w, kw, sw, pw, padded));
    """,
)

avg_pool_backward = Kernel(
    "avg_pool_backward",
    f"raw T g, {WINDOWS}, I padded",
    "raw T dx",
    """
    I rest = i;
    I column = rest % w + pw; rest /= w;
    I row = rest % h + ph, plane = rest / h;
    T total = 0;
    for (I oy = first_window(row, kh, sh, dh); oy <= last_window(row, oh, sh); oy++) {
        for (I ox = first_window(column, kw, sw, dw); ox <= last_window(column, ow, sw); ox++) {
            I count = places_of(oy, h, kh, sh, ph, padded) * places_of(ox, w, kw, sw, pw, padded);
            total += g[(plane * oh + oy) * ow + ox] / T(count);
        }
    }
    dx[i] = total;
    """,
)

# Local response normalisation -----------------------------------------------------------------------------------------

# The window runs over channels, `area` numbers apart; five threads read each number, four of them from the cache.
lrn = Kernel(
    "lrn",
    "raw T x, T alpha, T beta, T k, I channels, I area, I before, I after",
    "raw T y, raw T d",
    """
    I place = i;
    I c = place / area % channels;
    I low = c > before ? c - before : 0, high = c + after < channels ? c + after : channels - 1;
    T total = 0;
    for (I j = low; j <= high; j++) {
        T value = x[place + (j - c) * area];
        total += value * value;
    }
    T scale = k + alpha * total;
    d[i] = scale;
    y[i] = x[i] * power(scale, beta);
    """,
)

# The windows that hold this channel: those of the forward pass, mirrored. Powers are computed again by every thread that
# needs them: writing them down and reading them would move more memory than the arithmetic costs.
lrn_backward = Kernel(
    "lrn_backward",
    "raw T g, raw T x, raw T d, T alpha, T beta, I channels, I area, I before, I after",
    "raw T dx",
    """
    I place = i;
    I c = place / area % channels;
    I low = c > after ? c - after : 0, high = c + before < channels ? c + before : channels - 1;
    T total = 0;
    for (I j = low; j <= high; j++) {
        I other = place + (j - c) * area;
        total += g[other] * x[other] * power(d[other], beta) / d[other];
    }
    dx[i] = g[i] * power(d[i], beta) - 2 * alpha * beta * x[i] * total;
    """,
)

# Losses ---------------------------------------------------------------------------------------------------------------

# One thread a class; that of the right one writes the row's loss.
cross_entropy = Kernel(
    "cross_entropy",
    "raw T z, raw T top, raw T total, raw L labels, I classes",
    "raw T p, raw T loss",
    """
    I place = i;
    I n = place / classes;
    T shifted = z[i] - top[n];
    p[i] = exp(shifted) / total[n];
    if (labels[n] == place % classes) loss[n] = log(total[n]) - shifted;
    """,
)

cross_entropy_backward = Kernel(
    "cross_entropy_backward",
    "raw T g, raw T p, raw L labels, I classes",
    "raw T dz",
    """
    I place = i;
    I n = place / classes;
    dz[i] = g[n] * (p[i] - T(labels[n] == place % classes));
    """,
)

# Elementwise, on arrays of any layout ---------------------------------------------------------------------------------

exp_below = cp.ElementwiseKernel("T z, T top", "T e", "e = exp(z - top)", "exp_below")

dropout = cp.ElementwiseKernel("T x, M mask, T scale", "T y", "y = x * T(mask) * scale", "dropout")

relu_backward = cp.ElementwiseKernel("T g, T y", "T dx", "dx = y != 0 ? g : T(0)", "relu_backward")

sgd = cp.ElementwiseKernel(
    "T g, T lr, T momentum, T weight_decay",
    "T w, T v",
    """
    v = momentum * v - lr * (weight_decay * w + g);
    w += v;
    """,
    "sgd",
)
