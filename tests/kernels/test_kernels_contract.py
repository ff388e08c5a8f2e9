"""The contract of the kernels, held by every set: names, signatures, and what a call promises."""

import inspect
from itertools import chain

import cupy_double
import numpy as np
import pytest
from kernel_calls import (
    CONVOLUTIONS,
    LRNS,
    POOLS,
    check,
    check_sgd,
    conv_calls,
    elementwise_calls,
    lrn_calls,
    pool_calls,
    results,
)
from oracles import normal

from tinynet.kernels import contract, cpu, reference, textbook

PARTS = {"textbook": {"conv2d", "conv2d_bias_grad", "conv2d_input_grad", "conv2d_weight_grad"}}
SETTINGS = {"cuda": {"WORKSPACE", "tf32", "use_workspace"}}


@pytest.fixture(params=["reference", "textbook", "cpu", "cuda"])
def kernels(request):
    """A set of kernels; `cuda` on NumPy arrays."""
    found = {"reference": reference, "textbook": textbook, "cpu": cpu, "cuda": None}[request.param]
    return found or cupy_double.load()


@pytest.fixture
def names(kernels):
    """What this set has of the contract."""
    return PARTS.get(kernels.__name__.rpartition(".")[2], set(contract.NAMES))


def test_the_contract_has_17_functions():
    assert len(contract.NAMES) == 17


def test_a_set_has_all_functions_with_the_signatures_of_the_contract(kernels, names):
    def shape(function, skip=0):
        return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()][skip:]

    for name in names:
        assert shape(getattr(kernels, name)) == shape(getattr(contract.Kernels, name), skip=1), name


def test_a_set_lists_the_functions_of_the_contract_and_its_settings(kernels):
    if hasattr(kernels, "__all__"):
        settings = SETTINGS.get(kernels.__name__.rpartition(".")[2], set())
        assert set(kernels.__all__) == set(contract.NAMES) | settings
        assert all(hasattr(kernels, name) for name in kernels.__all__)


def small_calls(dtype):
    """A call of every function that returns something, and one of an empty batch where there are batches."""
    return chain(
        *(conv_calls(case, dtype) for case in (CONVOLUTIONS[2], CONVOLUTIONS[8])),
        *(pool_calls(case, dtype) for case in (POOLS[0], POOLS[7])),
        *(lrn_calls(case, dtype) for case in (LRNS[4], ((0, 5, 2, 2), 3))),
        elementwise_calls(dtype),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_call_keeps_the_contract(kernels, names, dtype):
    calls = [call for call in small_calls(dtype) if call[0] in names]
    assert {name for name, *_ in calls} == names - {"sgd"}
    check(calls, np.float64 if kernels is reference else dtype, kernels)
    for name, arguments, *_ in calls:
        first, second = results(name, arguments, kernels), results(name, arguments, kernels)
        given = [a for a in (*arguments, *second) if isinstance(a, np.ndarray)]
        for k, one in enumerate(first):
            assert not any(np.shares_memory(one, other) for other in [*given, *first[:k]]), name


def test_the_oracle_computes_in_float64_whatever_it_is_given():
    for name, arguments, *_ in small_calls(np.float32):
        wide = [a.astype(np.float64) if getattr(a, "dtype", None) == np.float32 else a for a in arguments]
        for one, other in zip(results(name, arguments, reference), results(name, wide, reference), strict=True):
            assert np.array_equal(one, other), name


def test_nobody_needs_to_want_the_winner(kernels, names):
    if "max_pool2d" in names:
        arguments = next(pool_calls(POOLS[0], np.float64))[1]
        with_winner, without = kernels.max_pool2d(*arguments), kernels.max_pool2d(*arguments, False)
        assert np.array_equal(with_winner[0], without[0])
        assert without[1] is None or np.array_equal(with_winner[1], without[1])


def test_nan_is_not_rectified(kernels, names):
    if "relu" in names:
        y = kernels.relu(np.array([-1.0, np.nan, 2.0]))
        assert np.array_equal(y, [0, np.nan, 2], equal_nan=True)
        assert np.array_equal(kernels.relu_backward(np.array([3.0, 4.0, 5.0]), y), [0, 4, 5])


def test_the_update_is_in_place(kernels, names):
    if "sgd" in names:
        check_sgd(kernels, *(normal(6, 5, seed=i, dtype=np.float32) for i in range(3)))


def test_whoever_changes_the_contract_without_a_set_is_told(monkeypatch):
    for wrong in (lambda x, mask: None, lambda x, mask, p, training: None, lambda x, mask, scale=1.0: None):
        monkeypatch.setattr(cpu, "dropout", wrong)
        with pytest.raises(AssertionError, match="dropout"):
            test_a_set_has_all_functions_with_the_signatures_of_the_contract(cpu, contract.NAMES)
