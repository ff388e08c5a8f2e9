"""Is my backward right, and if not, where and why? Gradients against numbers that nobody derived by hand.

`gradcheck` compares every gradient of a function with central differences, `assert_gradients` raises if one is wrong,
`directional_check` does it for whole networks, and `compare_precision` holds float32, or another device, against
float64. `python -m tinynet.gradcheck` checks every operation of tinynet.

Nothing in tinynet needs this package; it only looks at the rest.
"""

from tinynet.gradcheck.check import assert_gradients, gradcheck
from tinynet.gradcheck.network import directional_check
from tinynet.gradcheck.precision import compare_precision
from tinynet.gradcheck.report import GradientError, Report, Result

__all__ = ["GradientError", "Report", "Result", "assert_gradients", "compare_precision", "directional_check", "gradcheck"]
