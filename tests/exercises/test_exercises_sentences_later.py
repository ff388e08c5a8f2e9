"""As test_exercises_sentences.py, for e22 to e42: natural wrong answers fail, and what is said of them is true."""

import pytest
from learners import edited
from test_exercises_sentences import function, told

DROPOUT, LRN = "dropout_forward(x, p, training, rng)", "lrn(x, n, alpha, beta, k)"
SUMS = "s = np.stack([(x[:, {}] ** 2).sum(1) for i in range(x.shape[1])], axis=1)\n"
ALL, FIVE = SUMS.format("max(0, i - n // 2) : i + n // 2 + 1"), SUMS.format("max(0, i - 2) : i + 3")
BACK, EXCHANGE, GRID = "e25_lrn_backward", "e36_exchange_backward", "e40_kernel_grid"
ENDS = "not exactly 0 or 255"
CASES = {
    "e23 the stride as the window": (
        "e23",
        edited("e23_ragged_edge", "oh, ow = pool_size(x.shape[2], window,", "oh, ow = pool_size(x.shape[2], stride,"),
        "max_pool: 3x3",
    ),
    "e24 no k": ("e24", function(LRN, ALL + "return x / (alpha * s) ** beta"), "k is missing"),
    "e24 windows of five": ("e24", function(LRN, FIVE + "return x / (k + alpha * s) ** beta"), "always five maps wide"),
    "e24 over space": ("e24", function(LRN, """
        padded = np.pad(x**2, ((0, 0), (0, 0), (n // 2, n // 2), (n // 2, n // 2)))
        s = sum(padded[:, :, u : u + x.shape[2], v : v + x.shape[3]] for u in range(n) for v in range(n))
        return x / (k + alpha * s) ** beta
    """), "neighbouring pixels of a map"),
    "e25 no k": ("e25", edited(BACK, "d = k + alpha", "d = alpha"), "k is missing"),
    "e25 alpha / n": ("e25", edited(BACK, "d = k + alpha", "alpha = alpha / n\n    d = k + alpha"), "divided by n"),
    "e25 the exponent": ("e25", edited(BACK, "-(beta + 1)", "-beta"), "takes one more off"),
    "e25 dy outside": (
        "e25", edited(BACK, "x * window_sum(dy * x *", "dy * x * window_sum(x *"), "dy belongs into the sum"
    ),
    "e30 a generator of its own": (
        "e30",
        function(DROPOUT, """
            if not training:
                return x, np.ones_like(x)
            factor = (np.random.default_rng().random(x.shape) >= p) / (1 - p)
            return x * factor, factor
        """),
        "another one each time",
    ),
    "e30 a seed of its own": (
        "e30",
        edited("e30_dropout", "rng.random(x.shape)", "np.random.default_rng(0).random(x.shape)"),
        "draw them from the one that is handed in",
    ),
    "e36 along the images": ("e36", edited(EXCHANGE, "dz[:, :c0], dz[:, c0:]", "dz[:c0], dz[c0:]"), "cut along the images"),
    "e36 along the last axis": (
        "e36",
        function("exchange(x0, x1)", "z = np.concatenate([x0, x1], axis=-1)\nreturn z, z.copy()"),
        "put together along the last axis",
    ),
    "e40 almost white": ("e40", edited(GRID, "3), 255, np.uint8)", "3), 254, np.uint8)"), ENDS),
    "e40 almost black": ("e40", edited(GRID, "127.5 + 127.5 * values", "127.5 + 126.5 * values"), ENDS),
    "e40 the gap is a height": ("e40", edited(GRID, "* (w + gap)\n", "* (w + h)\n"), "the picture of 5 kernels"),
    "e42 weak units are off": ("e42", edited("e42_image_gradient", "(z > 0)", "(z > 1)"), "one pixel by hand"),
}  # fmt: skip
NEVER = {"e30 a generator of its own": ("not linear in dy",)}


@pytest.mark.parametrize("case", CASES)
def test_it_fails_and_what_is_said_is_true(case):
    told(*CASES[case], never=NEVER.get(case, ()))
