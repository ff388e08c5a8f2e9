"""The checker can fail: every known wrong backward pass of every operation is rejected and named, and no right one is."""

import re
from pathlib import Path

import numpy as np
import pytest
from mistakes import RULES

import tinynet as tn
from tinynet.gradcheck.cases import CASES

ALL = [(op, sentence) for op, rule in RULES.items() for sentence, _ in rule.mistakes]


@pytest.mark.parametrize("op", RULES)
def test_no_false_alarm_for_a_right_rule(op, seeds):
    rule = RULES[op]
    for seed in seeds:
        report = tn.gradcheck(rule.f, rule.args(seed), rule.vjp, seed=seed, mistakes=rule.mistakes)
        assert report.status == "pass" and not any(r.hints for r in report), report


@pytest.mark.parametrize("op, sentence", ALL, ids=[f"{op}: {sentence}" for op, sentence in ALL])
def test_a_known_mistake_is_rejected_and_named(op, sentence, seeds):
    rule = RULES[op]
    wrong = dict(rule.mistakes)[sentence]
    for seed in seeds:
        report = tn.gradcheck(rule.f, rule.args(seed), wrong, seed=seed, mistakes=rule.mistakes)
        assert report.status == "fail", report
        for result in report:
            assert result.status == "pass" or (result.status == "fail" and sentence in result.hints), report


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_false_alarm_for_tinynets_own_operations(case, seeds):
    for seed in seeds:
        tn.assert_gradients(case.f, case.args(seed), seed=seed)


# Mistakes that can be made in any operation, found without being told of them.
GENERIC = {
    "sign": (lambda vjp: lambda dy, *a: [-g for g in vjp(dy, *a)], "the sign is wrong"),
    "twice": (lambda vjp: lambda dy, *a: [2 * g for g in vjp(dy, *a)], "every entry is 2 times too large"),
    "half": (lambda vjp: lambda dy, *a: [g / 2 for g in vjp(dy, *a)], "every entry is 2 times too small"),
    "3 %": (lambda vjp: lambda dy, *a: [1.03 * g for g in vjp(dy, *a)], "every entry is off by the same factor 1.03"),
    "no dy": (lambda vjp: lambda dy, *a: vjp(np.ones_like(dy), *a), "dy, the gradient from above, is not multiplied in"),
    "dy twice": (lambda vjp: lambda dy, *a: vjp(dy * abs(dy), *a), "the gradient is not linear in dy"),
    "constant": (lambda vjp: lambda dy, *a: [g + 1 for g in vjp(dy, *a)], "for dy = 0 the gradient must be 0"),
    "zeros": (lambda vjp: lambda dy, *a: [0 * g for g in vjp(dy, *a)], "the gradient is 0 everywhere"),
}


@pytest.mark.parametrize("name", GENERIC)
@pytest.mark.parametrize("op", RULES)
def test_a_mistake_that_nobody_listed_is_recognised(op, name, seeds):
    rule = RULES[op]
    spoil, sentence = GENERIC[name]
    for seed in seeds:
        wrong = spoil(rule.vjp)
        report = tn.gradcheck(rule.f, rule.args(seed), wrong, seed=seed)
        # A sum of softmaxes has no slope, so that leaving out dy leaves nothing.
        nothing = op == "softmax" and name == "no dy" and not np.any(wrong(np.ones((4, 4)), *rule.args(seed)))
        for result in report:
            hints = " ".join(result.hints)
            assert result.status == "fail" and ("0 everywhere" if nothing else sentence) in hints, report


@pytest.mark.parametrize("answer", ["None", "Nones", "too few", "NaN", "float32", "integers"])
@pytest.mark.parametrize("op", RULES)
def test_no_answer_is_no_pass(op, answer):
    rule = RULES[op]
    spoil = {
        "None": lambda dy, *a: None,
        "Nones": lambda dy, *a: [None] * len(a),
        "too few": lambda dy, *a: rule.vjp(dy, *a)[:-1],
        "NaN": lambda dy, *a: [np.full(x.shape, np.nan) for x in a],
        "float32": lambda dy, *a: [g.astype(np.float32) for g in rule.vjp(dy, *a)],
        "integers": lambda dy, *a: [np.zeros(x.shape, int) for x in a],
    }[answer]
    report = tn.gradcheck(rule.f, rule.args(0), spoil)
    assert [r.status for r in report] == ["fail"] * len(rule.shapes), report


def test_every_operation_that_tinynet_records_has_hard_cases_and_mistakes():
    source = "".join(path.read_text() for path in (Path(tn.__file__).parent / "ops").glob("*.py"))
    recorded = set(re.findall(r'(?:record|_better|_extreme)\(\s*"(\w+)"', source))
    assert len(recorded) > 30
    assert recorded == {case.op for case in CASES} == set(RULES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_ends_in_the_operation_that_it_is_named_after(case):
    y = case.f(*(tn.tensor(a, requires_grad=True) for a in case.args()))
    assert case.op in {entry.op for entry in tn.tape(y)}
