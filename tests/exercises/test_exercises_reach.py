"""Out of the learner's reach: what is compared, with what, and by which seed, is in a process that never held their code."""

import json

import numpy as np
import pytest
from learners import RELU, answer, edited

from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.judge import judge
from tinynet.exercises.runner import judge_file

STUB = find(RELU).stub
SEED = 987654321123


def judged(folder, exercise, text, seed=0):
    path = folder / f"{exercise.name}.py"
    path.write_text(text)
    return judge_file(exercise, path, seed)


ATTACK = """
def attack():
    {}


def stolen(dy, x):
    attack()
    return {}


relu_backward = tanh_backward = None
def relu_backward(dy, x):
    return stolen(dy, x)
def tanh_backward(dy, x):
    return stolen(dy, x)
"""
FINDINGS = [json.dumps({"event": "finding", "name": c.title, "state": "pass"}) for c in find(RELU).checks]
FORGED = "\n".join([*FINDINGS, json.dumps({"event": "done"}), ""])
OPENED = f"""
    import os
    for folder in ("/proc/self/fd", f"/proc/{{os.getppid()}}/fd"):
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            try:
                with open(f"{{folder}}/{{name}}", "ab", buffering=0) as file:
                    os.set_blocking(file.fileno(), False)
                    file.write({FORGED!r}.encode())
            except OSError:
                pass
"""
OBJECTS = """import gc
    for o in gc.get_objects():
        if type(o).__name__ in ("Exercise", "Running"): vars(o).clear()"""
FRAMES = """import sys
    f = sys._getframe()
    while f:
        if "exercise" in f.f_locals: f.f_locals["exercise"].checks.clear()
        f = f.f_back"""
ATTACKS = {
    "modules": "import sys\n    for m in list(sys.modules.values()): vars(m).get('exercise') and 1 / 0",
    "the book": "import importlib; importlib.import_module('tinynet.exercises.book.e19_relu_backward').relu_backward",
    "objects": OBJECTS,
    "frames": FRAMES,
    "a patched NumPy": "np.array_equal = np.allclose = lambda *a, **k: True; np.abs = lambda a: 0 * a",
    "findings on every descriptor": OPENED.strip(),
    "the end": "import os; os._exit(0)",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_earns_nothing(tmp_path, name):
    verdict = judged(tmp_path, find(RELU), "import numpy as np\n" + ATTACK.format(ATTACKS[name], "0 * dy"), SEED)
    assert verdict.state == "fail" and verdict.passed == 0


def test_objects_that_are_equal_to_everything_arrive_as_nothing_in_particular(tmp_path):
    equal = """
class Equal:
    shape = (4,); dtype = np.dtype(float); size = ndim = 1
    def __eq__(self, other): return True
    def __array__(self, *a, **k): return np.zeros(4)
    def __array_ufunc__(self, *a, **k): return np.zeros(4)
"""
    text = "import numpy as np\n" + equal + ATTACK.format("pass", "Equal()")
    verdict = judged(tmp_path, find(RELU), text)
    assert verdict.state == "fail" and verdict.passed == 0
    assert "Equal" in "".join(verdict.findings[0].lines)


def test_the_seed_is_nowhere_to_be_seen(tmp_path):
    look = (
        "import os, sys\n    print(sys.argv, dict(os.environ), globals().keys())\n"
        "    for p in ('self', os.getppid()):\n"
        "        for what in ('cmdline', 'environ'):\n"
        "            print(open(f'/proc/{p}/{what}', 'rb').read().decode(errors='replace'))"
    )
    verdict = judged(tmp_path, find(RELU), "import numpy as np\n" + ATTACK.format(look, "0 * dy"), SEED)
    assert verdict.printed and str(SEED) not in "\n".join(verdict.printed)


SOME = ["e02", "e03", "e15", "e22", "e30", "e36", "e38", "e39"]  # nodes, cycles, functions, generators, shared memory


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n[:3] in SOME else pytest.mark.slow) for n in exercises()])
def test_over_the_wire_the_findings_are_those_of_plain_functions(tmp_path, name):
    exercise = find(name)
    mistake = next(m for m in exercise.mistakes if m.edits)
    for text in (exercise.answer, exercise._edited(mistake)):
        verdict = judged(tmp_path, exercise, text)
        if verdict.untouched:  # the mistake is the bug that is to be found, of which no hint is given
            continue
        here = judge(exercise, exercise.compiled(text))
        if exercise.lines and verdict.sentence:  # too many of its lines are changed
            continue
        assert not verdict.sentence, verdict.sentence
        there = [(f.name, f.state, f.hint) for f in verdict.findings]
        assert there == [(f.name, f.state, f.hint) for f in here]


def test_a_function_that_prints_and_one_that_is_handed_over_work_as_before(tmp_path):
    assert judged(tmp_path, find("e22"), answer("e22_ties")).state == "pass"
    loud = edited(RELU, "return dy * (x", "print('here')\n    return dy * (x")
    assert judged(tmp_path, find(RELU), loud).printed == ["here"] * 5
    assert np.isfinite(judged(tmp_path, find(RELU), answer(RELU)).seconds)
