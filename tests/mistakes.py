"""Wrong backward passes: for every operation the mistakes that people make in it, each with the sentence that names it.

Every right rule here is plain NumPy, written from the formula and not from tinynet's code; a mistake is that rule with one
thing wrong. Two mistakes of one operation may give one and the same wrong gradient of some argument, never of all.
"""

from dataclasses import dataclass

import numpy as np

import tinynet as tn
from tinynet.gradcheck.cases import crossing, distinct, normal, positive


@dataclass
class Rule:
    """An operation at a hard point: f on arrays, how to draw its arguments, the right vjp, (sentence, wrong vjp) pairs."""

    f: object
    draw: object
    shapes: tuple
    vjp: object
    mistakes: list

    def args(self, seed):
        return [self.draw(*shape, seed=100 * seed + k) for k, shape in enumerate(self.shapes)]


def on_arrays(f):
    """tinynet's function f, called with arrays and giving an array."""
    return lambda *arrays: f(*map(tn.tensor, arrays)).numpy()


def rule(f, draw, shapes, vjp, **mistakes):
    """mistakes: vjps, named by their sentences with _ for blanks."""
    return Rule(on_arrays(f), draw, shapes, vjp, [(name.replace("_", " "), wrong) for name, wrong in mistakes.items()])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def hot(labels, classes):
    return np.eye(classes)[labels]


# Convolution: x (N, C, H, W), weight (F, C/groups, KH, KW), one loop over the kernel's elements ------------------------

STRIDE, PAD, GROUPS = 2, 1, 2


def conv_vjp(dy, x, w, b, *, step=STRIDE, add=True, crop="start", flip=False, swap=False, groups=GROUPS, scale=1.0):
    """The right rule by default; each argument puts one thing wrong."""
    h, wide = x.shape[2:]
    f, part, kh, kw = w.shape
    oh, ow = dy.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    dpad, dw = np.zeros(padded.shape), np.zeros(w.shape)
    for g in range(groups):
        outs = slice(g * f // groups, (g + 1) * f // groups)
        ins = slice(g * part, (g + 1) * part) if groups > 1 else slice(0, part)
        for u, v in np.ndindex(kh, kw):
            window = (slice(None), ins, slice(u, u + step * oh, step), slice(v, v + step * ow, step))
            kernel = w[outs, :, kh - 1 - u, kw - 1 - v] if flip else w[outs, :, u, v]
            back = np.einsum("nfij,fc->ncij", dy[:, outs], kernel)
            dpad[window] = dpad[window] + back if add else back
            seen = padded[:, ins, u : u + STRIDE * oh : STRIDE, v : v + STRIDE * ow : STRIDE]
            dw[outs, :, u, v] = np.einsum("nfij,ncij->fc", dy[:, outs], seen) * scale
    rows, cols = {"start": (PAD, PAD), "not": (0, 0), "end": (2 * PAD, 2 * PAD)}[crop]
    dx = dpad[:, :, rows : rows + h, cols : cols + wide]
    return dx, dw.transpose(0, 1, 3, 2).reshape(w.shape) if swap else dw, dy.sum(axis=(0, 2, 3))


def conv_but(**wrong):
    return lambda dy, x, w, b: conv_vjp(dy, x, w, b, **wrong)


def conv_parts(**parts):
    """The right gradients, with those named x, w or b replaced."""

    def vjp(dy, x, w, b):
        right = dict(zip("xwb", conv_vjp(dy, x, w, b), strict=True))
        return tuple((right | {k: f(dy, x, w, right[k]) for k, f in parts.items()}).values())

    return vjp


# Pooling: 3x3 windows, 2 apart, on images of 6x7 ------------------------------------------------------------------------


def windows(x):
    for n, c, i, j in np.ndindex(*x.shape[:2], (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1):
        yield (n, c, i, j), (n, c, slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3))


def max_pool_vjp(dy, x, write=lambda old, new: old + new, step=2, choose=np.argmax, everyone=False):
    dx = np.zeros(x.shape)
    for (n, c, i, j), window in windows(x):
        if everyone:
            dx[window] += dy[n, c, i, j]
            continue
        u, v = np.unravel_index(choose(x[window]), (3, 3))
        at = n, c, step * i + u, step * j + v
        dx[at] = write(dx[at], dy[n, c, i, j])
    return (dx,)


def avg_pool_vjp(dy, x, add=True, part=1 / 9, step=2):
    dx = np.zeros(x.shape)
    for (n, c, i, j), _ in windows(x):
        window = n, c, slice(step * i, step * i + 3), slice(step * j, step * j + 3)
        dx[window] = (dx[window] if add else 0) + dy[n, c, i, j] * part
    return (dx,)


# Response normalisation with an even window, so that "whose window holds me" is not "who is in my window" -----------------

SIZE, ALPHA, BETA, K = 4, 0.5, 0.75, 1.3


def lrn_vjp(dy, x, factor=2.0, alpha=ALPHA, beta=BETA, cross=True, power=BETA, direct=True, mirrored=True, sign=-1.0):
    channels = x.shape[1]
    window = [[j for j in range(i - SIZE // 2, i + (SIZE - 1) // 2 + 1) if 0 <= j < channels] for i in range(channels)]
    d = np.stack([K + ALPHA * (x[:, js] ** 2).sum(axis=1) for js in window], axis=1)
    dx = dy * d**-power if direct else np.zeros(x.shape)
    inner = dy * x * d ** -(BETA + 1)
    for i in range(channels):
        holders = [j for j in range(channels) if i in window[j]] if mirrored else window[i]
        dx[:, i] += sign * cross * factor * alpha * beta * x[:, i] * inner[:, holders].sum(axis=1)
    return (dx,)


def lrn_but(**wrong):
    return lambda dy, x: lrn_vjp(dy, x, **wrong)


# Batch normalisation in training, x (N, C, H, W) --------------------------------------------------------------------------

AXES, EPS = (0, 2, 3), 1e-5


def bn_vjp(dy, x, w, b, mean_term=True, var_term=True, ddof=0, scaled=True):
    along = lambda a: a[:, None, None]  # noqa: E731
    inverse = 1 / np.sqrt(x.var(axis=AXES, ddof=ddof) + EPS)
    z = (x - along(x.mean(axis=AXES))) * along(inverse)
    dw, db, n = (dy * z).sum(axis=AXES), dy.sum(axis=AXES), x[:, 0].size
    g = dy - mean_term * along(db) / n - var_term * z * along(dw) / n
    return g * along(w * inverse if scaled else inverse), dw, db


def bn_parts(**parts):
    def vjp(dy, x, w, b):
        right = dict(zip("xwb", bn_vjp(dy, x, w, b), strict=True))
        return tuple((right | {k: f(dy, x, w, right[k]) for k, f in parts.items()}).values())

    return vjp


# All operations -----------------------------------------------------------------------------------------------------------

KEY = [1, 1, 0, 1]
LABELS = np.array([2, 0, 0, 3])
MASK = np.random.default_rng(0).random((4, 5)) < 0.6
OTHER_MASK = np.random.default_rng(1).random((4, 5)) < 0.6
N, P, D = normal, positive, distinct


def permuted(rule_of_axes):
    return lambda dy, x: (dy.transpose(rule_of_axes),)


def put(dy, x, add):
    dx = np.zeros(x.shape)
    if add:
        np.add.at(dx, KEY, dy)
    else:
        dx[KEY] = dy
    return (dx,)


RULES = {
    "add": rule(lambda a, b: a + b, N, ((4, 4), (4,)), lambda dy, a, b: (dy, dy.sum(0)),
        db_is_not_summed_over_the_broadcast_axis=lambda dy, a, b: (dy, dy),
        db_is_summed_over_the_wrong_axis=lambda dy, a, b: (dy, dy.sum(1)),
        db_is_a_mean_where_it_should_be_a_sum=lambda dy, a, b: (dy, dy.mean(0)),
        db_takes_the_first_row_only=lambda dy, a, b: (dy, dy[0])),
    "sub": rule(lambda a, b: a - b, N, ((3, 4), (3, 1)), lambda dy, a, b: (dy, -dy.sum(1, keepdims=True)),
        the_minus_sign_of_b_is_missing=lambda dy, a, b: (dy, dy.sum(1, keepdims=True)),
        a_got_the_minus_sign_too=lambda dy, a, b: (-dy, -dy.sum(1, keepdims=True)),
        the_summed_axis_is_dropped=lambda dy, a, b: (dy, -dy.sum(1))),
    "mul": rule(lambda a, b: a * b, N, ((3, 4), (3, 4)), lambda dy, a, b: (dy * b, dy * a),
        each_factor_got_itself_instead_of_the_other=lambda dy, a, b: (dy * a, dy * b),
        the_other_factor_is_missing=lambda dy, a, b: (dy, dy)),
    "div": rule(lambda a, b: a / b, P, ((3, 4), (3, 4)), lambda dy, a, b: (dy / b, -dy * a / b**2),
        the_denominator_is_not_squared=lambda dy, a, b: (dy / b, -dy * a / b),
        the_minus_sign_of_the_denominator_is_missing=lambda dy, a, b: (dy / b, dy * a / b**2),
        the_numerator_is_multiplied_by_b=lambda dy, a, b: (dy * b, -dy * a / b**2)),
    "pow": rule(lambda a, b: a**b, P, ((3, 4), (3, 4)), lambda dy, a, b: (dy * b * a ** (b - 1), dy * a**b * np.log(a)),
        the_factor_b_is_missing=lambda dy, a, b: (dy * a ** (b - 1), dy * a**b * np.log(a)),
        the_exponent_is_not_lowered=lambda dy, a, b: (dy * b * a**b, dy * a**b * np.log(a)),
        the_logarithm_is_missing=lambda dy, a, b: (dy * b * a ** (b - 1), dy * a**b)),
    "neg": rule(lambda x: -x, N, ((3, 4),), lambda dy, x: (-dy,), the_sign_is_missing=lambda dy, x: (dy,)),
    "abs": rule(abs, D, ((3, 4),), lambda dy, x: (dy * np.sign(x),),
        the_sign_is_missing=lambda dy, x: (dy,),
        the_result_stands_where_its_sign_should=lambda dy, x: (dy * np.abs(x),)),
    "exp": rule(tn.exp, N, ((3, 4),), lambda dy, x: (dy * np.exp(x),),
        the_derivative_is_x_instead_of_exp_x=lambda dy, x: (dy * x,),
        the_exponential_was_taken_twice=lambda dy, x: (dy * np.exp(np.exp(x)),)),
    "log": rule(tn.log, P, ((3, 4),), lambda dy, x: (dy / x,),
        x_should_be_in_the_denominator=lambda dy, x: (dy * x,),
        the_derivative_divides_by_log_x=lambda dy, x: (dy / np.log(x),)),
    "sqrt": rule(tn.sqrt, P, ((3, 4),), lambda dy, x: (dy / (2 * np.sqrt(x)),),
        the_factor_one_half_is_missing=lambda dy, x: (dy / np.sqrt(x),),
        the_root_is_missing_in_the_denominator=lambda dy, x: (dy / (2 * x),)),
    "maximum": rule(tn.maximum, crossing, ((3, 4), (3, 4)), lambda dy, a, b: (dy * (a > b), dy * (b > a)),
        the_loser_gets_the_gradient=lambda dy, a, b: (dy * (a < b), dy * (b < a)),
        both_get_all_of_the_gradient=lambda dy, a, b: (dy, dy)),
    "minimum": rule(tn.minimum, crossing, ((3, 4), (4,)), lambda dy, a, b: (dy * (a < b), (dy * (b < a)).sum(0)),
        the_larger_one_gets_the_gradient=lambda dy, a, b: (dy * (a > b), (dy * (b > a)).sum(0)),
        the_gradient_of_b_is_not_summed=lambda dy, a, b: (dy * (a < b), dy * (b < a))),
    "relu": rule(tn.relu, D, ((4, 5),), lambda dy, x: (dy * (x > 0),),
        the_mask_is_missing=lambda dy, x: (dy,),
        the_mask_comes_from_dy_instead_of_x=lambda dy, x: (dy * (dy > 0),),
        the_mask_is_upside_down=lambda dy, x: (dy * (x < 0),),
        the_mask_keeps_only_x_above_1=lambda dy, x: (dy * (x > 0.5),)),
    "tanh": rule(tn.tanh, N, ((3, 4),), lambda dy, x: (dy * (1 - np.tanh(x) ** 2),),
        tanh_is_not_squared=lambda dy, x: (dy * (1 - np.tanh(x)),),
        x_is_squared_instead_of_tanh_x=lambda dy, x: (dy * (1 - x**2),)),
    "sigmoid": rule(tn.sigmoid, N, ((3, 4),), lambda dy, x: (dy * sigmoid(x) * (1 - sigmoid(x)),),
        the_factor_1_minus_y_is_missing=lambda dy, x: (dy * sigmoid(x),),
        the_second_factor_has_x_instead_of_y=lambda dy, x: (dy * sigmoid(x) * (1 - x),)),
    "matmul": rule(lambda a, b: a @ b, N, ((4, 4), (4, 4)), lambda dy, a, b: (dy @ b.T, a.T @ dy),
        b_is_not_transposed=lambda dy, a, b: (dy @ b, a.T @ dy),
        a_is_not_transposed=lambda dy, a, b: (dy @ b.T, a @ dy),
        the_factors_are_in_the_wrong_order=lambda dy, a, b: (b.T @ dy, dy @ a.T),
        db_came_out_transposed=lambda dy, a, b: (dy @ b.T, dy.T @ a)),
    "linear": rule(tn.linear, N, ((4, 4), (4, 4), (4,)), lambda dy, x, w, b: (dy @ w, dy.T @ x, dy.sum(0)),
        the_weight_is_transposed_in_dx=lambda dy, x, w, b: (dy @ w.T, dy.T @ x, dy.sum(0)),
        dW_came_out_transposed=lambda dy, x, w, b: (dy @ w, x.T @ dy, dy.sum(0)),
        db_is_not_summed_over_the_batch=lambda dy, x, w, b: (dy @ w, dy.T @ x, dy),
        db_is_averaged_over_the_batch=lambda dy, x, w, b: (dy @ w, dy.T @ x, dy.mean(0)),
        db_is_summed_over_the_outputs=lambda dy, x, w, b: (dy @ w, dy.T @ x, dy.sum(1))),
    "sum": rule(lambda x: x.sum(axis=0), N, ((4, 4),), lambda dy, x: (np.broadcast_to(dy, x.shape),),
        the_gradient_is_not_spread_over_the_summed_axis=lambda dy, x: (dy,),
        the_gradient_is_spread_along_the_wrong_axis=lambda dy, x: (np.broadcast_to(dy[:, None], x.shape),),
        it_is_divided_as_if_sum_were_mean=lambda dy, x: (np.broadcast_to(dy, x.shape) / 4,)),
    "mean": rule(lambda x: x.mean(axis=1), N, ((4, 5),), lambda dy, x: (np.repeat(dy[:, None], 5, 1) / 5,),
        it_is_not_divided_by_the_number_of_terms=lambda dy, x: (np.repeat(dy[:, None], 5, 1),),
        it_is_divided_by_the_length_of_the_other_axis=lambda dy, x: (np.repeat(dy[:, None], 5, 1) / 4,),
        it_is_divided_by_all_elements=lambda dy, x: (np.repeat(dy[:, None], 5, 1) / 20,)),
    "max": rule(lambda x: x.max(axis=1), D, ((4, 5),), lambda dy, x: (dy[:, None] * (x == x.max(1, keepdims=True)),),
        everyone_got_the_gradient_not_only_the_largest=lambda dy, x: (np.repeat(dy[:, None], 5, 1),),
        the_gradient_went_to_the_smallest=lambda dy, x: (dy[:, None] * (x == x.min(1, keepdims=True)),),
        the_largest_of_all_instead_of_each_row=lambda dy, x: (dy[:, None] * (x == x.max()),)),
    "min": rule(lambda x: x.min(axis=1), D, ((4, 5),), lambda dy, x: (dy[:, None] * (x == x.min(1, keepdims=True)),),
        everyone_got_the_gradient_not_only_the_smallest=lambda dy, x: (np.repeat(dy[:, None], 5, 1),),
        the_gradient_went_to_the_largest=lambda dy, x: (dy[:, None] * (x == x.max(1, keepdims=True)),)),
    "reshape": rule(lambda x: x.reshape(4, 6), N, ((2, 3, 4),), lambda dy, x: (dy.reshape(x.shape),),
        the_gradient_is_not_reshaped_back=lambda dy, x: (dy,),
        it_is_read_in_column_order=lambda dy, x: (dy.reshape(x.shape, order="F"),)),
    "transpose": rule(lambda x: x.transpose(1, 2, 0), N, ((3, 3, 3),), permuted((2, 0, 1)),
        the_axes_are_permuted_again_instead_of_back=permuted((1, 2, 0)),
        the_axes_are_not_permuted_back=permuted((0, 1, 2))),
    "index": rule(lambda x: x[KEY], N, ((3, 4),), lambda dy, x: put(dy, x, True),
        rows_that_were_picked_twice_get_only_the_last_gradient=lambda dy, x: put(dy, x, False),
        the_gradient_has_the_shape_of_the_picked_rows=lambda dy, x: (dy,)),
    "concat": rule(lambda a, b: tn.concat([a, b]), N, ((2, 3), (2, 3)), lambda dy, a, b: (dy[:2], dy[2:]),
        the_two_parts_are_swapped=lambda dy, a, b: (dy[2:], dy[:2]),
        both_got_the_whole_gradient=lambda dy, a, b: (dy, dy)),
    "stack": rule(lambda a, b: tn.stack([a, b], 1), N, ((2, 2), (2, 2)), lambda dy, a, b: (dy[:, 0], dy[:, 1]),
        the_gradient_is_taken_apart_along_the_wrong_axis=lambda dy, a, b: (dy[0], dy[1])),
    "pad": rule(lambda x: tn.pad(x, ((1, 2), (2, 1))), N, ((4, 5),), lambda dy, x: (dy[1:5, 2:7],),
        the_border_is_not_cropped=lambda dy, x: (dy,),
        the_border_is_cropped_at_the_end_only=lambda dy, x: (dy[:4, :5],),
        before_and_after_are_swapped=lambda dy, x: (dy[2:6, 1:6],)),
    "transfer": rule(lambda x: x.to("cpu:1"), N, ((3, 4),), lambda dy, x: (dy,),
        the_gradient_stayed_on_the_other_device=lambda dy, x: (np.zeros(x.shape),)),
    "astype": rule(lambda x: x.astype(np.float64), N, ((3, 4),), lambda dy, x: (dy,),
        the_gradient_is_left_in_float32=lambda dy, x: (dy.astype(np.float32),),
        the_gradient_was_rounded_to_integers=lambda dy, x: (np.rint(dy),)),
    "softmax": rule(tn.softmax, N, ((4, 4),),
        lambda dy, x: (softmax(x) * (dy - (dy * softmax(x)).sum(-1, keepdims=True)),),
        the_sum_over_the_other_classes_is_missing=lambda dy, x: (softmax(x) * dy,),
        only_the_diagonal_of_the_Jacobian_is_there=lambda dy, x: (dy * softmax(x) * (1 - softmax(x)),),
        the_sum_runs_over_the_batch=lambda dy, x: (softmax(x) * (dy - (dy * softmax(x)).sum(0, keepdims=True)),),
        the_sum_is_added=lambda dy, x: (softmax(x) * (dy + (dy * softmax(x)).sum(-1, keepdims=True)),)),
    "log_softmax": rule(tn.log_softmax, N, ((4, 4),), lambda dy, x: (dy - softmax(x) * dy.sum(-1, keepdims=True),),
        the_sum_of_dy_is_missing=lambda dy, x: (dy - softmax(x),),
        the_softmax_term_is_missing=lambda dy, x: (dy,),
        the_sum_runs_over_the_batch=lambda dy, x: (dy - softmax(x) * dy.sum(0, keepdims=True),)),
    "cross_entropy": rule(lambda z: tn.cross_entropy(z, LABELS), N, ((4, 5),),
        lambda dy, z: (dy * (softmax(z) - hot(LABELS, 5)) / 4,),
        the_1_over_N_of_the_mean_is_missing=lambda dy, z: (dy * (softmax(z) - hot(LABELS, 5)),),
        it_is_divided_by_the_classes_instead_of_the_batch=lambda dy, z: (dy * (softmax(z) - hot(LABELS, 5)) / 5,),
        the_minus_1_at_the_label_is_missing=lambda dy, z: (dy * softmax(z) / 4,),
        dy_is_forgotten=lambda dy, z: ((softmax(z) - hot(LABELS, 5)) / 4,)),
    "dropout": rule(lambda x: tn.dropout(x, 0.4, mask=MASK), N, ((4, 5),), lambda dy, x: (dy * MASK / 0.6,),
        the_mask_is_missing=lambda dy, x: (dy / 0.6,),
        the_scale_1_over_1_minus_p_is_missing=lambda dy, x: (dy * MASK,),
        the_scale_is_p_instead_of_1_minus_p=lambda dy, x: (dy * MASK / 0.4,),
        the_mask_was_drawn_again=lambda dy, x: (dy * OTHER_MASK / 0.6,)),
    "conv2d": rule(lambda x, w, b: tn.conv2d(x, w, b, STRIDE, PAD, 1, GROUPS), N, ((2, 2, 4, 5), (4, 1, 3, 3), (4,)),
        conv_vjp,
        dx_is_written_at_stride_1=conv_but(step=1),
        overlapping_windows_overwrite_each_other_in_dx=conv_but(add=False),
        the_padding_of_dx_is_cropped_at_the_wrong_end=conv_but(crop="not"),
        the_padding_of_dx_is_cropped_twice_at_the_start=lambda dy, x, w, b: (
            np.pad(conv_vjp(dy, x, w, b)[0], ((0, 0), (0, 0), (0, 1), (0, 1)))[:, :, 1:, 1:], *conv_vjp(dy, x, w, b)[1:]),
        the_kernel_is_flipped_in_dx=conv_but(flip=True),
        rows_and_columns_of_dw_are_swapped=conv_but(swap=True),
        dw_sees_only_the_first_image=conv_parts(w=lambda dy, x, w, _: conv_vjp(dy[:1], x[:1], w, None)[1]),
        dw_is_averaged_over_the_batch=conv_but(scale=1 / 2),
        db_is_averaged_over_the_maps=conv_parts(b=lambda dy, x, w, _: dy.mean((0, 2, 3))),
        db_is_not_summed_over_the_batch=conv_parts(b=lambda dy, x, w, _: dy.sum((2, 3))),
        the_two_groups_are_swapped_in_dx=conv_parts(x=lambda dy, x, w, dx: dx[:, ::-1])),
    "max_pool2d": rule(lambda x: tn.max_pool2d(x, 3, 2), D, ((1, 2, 7, 9),), max_pool_vjp,
        overlapping_windows_overwrite_each_other=lambda dy, x: max_pool_vjp(dy, x, write=lambda old, new: new),
        the_stride_is_forgotten=lambda dy, x: max_pool_vjp(dy, x, step=1),
        the_gradient_goes_to_the_smallest=lambda dy, x: max_pool_vjp(dy, x, choose=np.argmin),
        every_pixel_of_a_window_gets_the_gradient=lambda dy, x: max_pool_vjp(dy, x, everyone=True)),
    "avg_pool2d": rule(lambda x: tn.avg_pool2d(x, 3, 2), N, ((1, 2, 7, 9),), avg_pool_vjp,
        the_1_over_9_is_missing=lambda dy, x: avg_pool_vjp(dy, x, part=1),
        it_is_divided_by_3_instead_of_9=lambda dy, x: avg_pool_vjp(dy, x, part=1 / 3),
        overlapping_windows_overwrite_each_other=lambda dy, x: avg_pool_vjp(dy, x, add=False),
        the_stride_is_forgotten=lambda dy, x: avg_pool_vjp(dy, x, step=1)),
    "local_response_norm": rule(lambda x: tn.local_response_norm(x, SIZE, ALPHA, BETA, K), N, ((2, 7, 2, 3),), lrn_vjp,
        the_factor_2_of_the_square_is_missing=lrn_but(factor=1.0),
        the_factor_beta_is_missing=lrn_but(beta=1.0),
        the_factor_alpha_is_missing=lrn_but(alpha=1.0),
        alpha_is_divided_by_the_window_size=lrn_but(alpha=ALPHA / SIZE),
        the_term_of_the_neighbours_is_missing=lrn_but(cross=False),
        the_direct_term_is_missing=lrn_but(direct=False),
        the_direct_term_has_the_power_1=lrn_but(power=1.0),
        the_neighbours_term_has_the_wrong_sign=lrn_but(sign=1.0),
        the_window_is_not_mirrored=lrn_but(mirrored=False)),
    "batch_norm": rule(lambda x, w, b: tn.batch_norm(x, w, b, normal(3), positive(3), True), N, ((4, 3, 2, 3), (3,), (3,)),
        bn_vjp,
        the_mean_is_treated_as_a_constant=lambda dy, x, w, b: bn_vjp(dy, x, w, b, mean_term=False),
        the_variance_is_treated_as_a_constant=lambda dy, x, w, b: bn_vjp(dy, x, w, b, var_term=False),
        mean_and_variance_are_treated_as_constants=lambda dy, x, w, b: bn_vjp(dy, x, w, b, mean_term=False, var_term=False),
        the_variance_is_divided_by_n_minus_1=lambda dy, x, w, b: bn_vjp(dy, x, w, b, ddof=1),
        the_weight_is_missing_in_dx=lambda dy, x, w, b: bn_vjp(dy, x, w, b, scaled=False),
        dw_sums_dy_without_the_normalised_x=bn_parts(w=lambda dy, x, w, _: dy.sum(AXES)),
        db_is_averaged=bn_parts(b=lambda dy, x, w, _: dy.mean(AXES))),
}  # fmt: skip
