"""The learner's file is judged whatever it does, in a process that ends in time, and never passes by accident."""

import os
import re
import sys
import time

import pytest
from learners import RELU, answer, edited

from tinynet.exercises.exercise import find
from tinynet.exercises.runner import judge_file

SOLVED = answer(RELU)


def running(pid):
    """Whether a process is there and does something: a dead one stays until somebody asks for its exit code."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


EXERCISE = find(RELU)


def judged(folder, text, **how):
    path = folder / f"{RELU}.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return judge_file(EXERCISE, path, **how)


def test_a_right_answer_passes(tmp_path):
    verdict = judged(tmp_path, SOLVED)
    assert (verdict.state, verdict.sentence, verdict.passed) == ("pass", "", len(EXERCISE.checks))
    assert [f.name for f in verdict.findings] == [c.title for c in EXERCISE.checks]


def test_a_wrong_answer_fails_with_the_sentence_of_its_mistake(tmp_path):
    verdict = judged(tmp_path, edited(RELU, "(x > 0)", "(dy > 0)"))
    assert verdict.state == "fail"
    assert {f.hint for f in verdict.findings if f.state == "fail"} == {EXERCISE.mistakes[1].sentence}


@pytest.mark.parametrize("what", ["as it is", "with comments", "with an import"])
def test_the_stub_is_not_attempted(tmp_path, what):
    text = {"as it is": "", "with comments": "\n# to do\n", "with an import": "\nimport math\n"}[what]
    assert judged(tmp_path, EXERCISE.stub + text).state == "unattempted"


def test_half_an_answer_is_not_attempted_yet(tmp_path):
    verdict = judged(tmp_path, edited(RELU, "return dy * (1 - np.tanh(x) ** 2)", "raise NotImplementedError"))
    assert verdict.state == "unattempted"
    assert [f.state for f in verdict.findings] == ["pass", "pass", "unattempted"]


LOOP = "while True: pass"
HOSTILE = {
    "a syntax error": (SOLVED.replace("(x > 0)", "(x > 0"), "is not Python"),
    "bytes that are no text": (b"\xff\xfe\x00", "cannot be read as Python|is not Python"),
    "an error when it is loaded": (SOLVED + "\n1 / 0\n", r"cannot be loaded: ZeroDivisionError in line \d+, '1 / 0'"),
    "an endless loop": (edited(RELU, "return dy * (x > 0)", LOOP), "no answer after 2 seconds, in the check 'relu: four"),
    "an endless loop when it is loaded": (SOLVED + f"\n{LOOP}\n", "no answer after 2 seconds"),
    "sys.exit in the function": (edited(RELU, "return dy * (x > 0)", "import sys; sys.exit(0)"), "sys.exit"),
    "sys.exit when it is loaded": (SOLVED + "\nimport sys\nsys.exit(0)\n", "sys.exit"),
    "the end of the process": (edited(RELU, "return dy * (x > 0)", "import os; os._exit(0)"), "ended by itself with code 0"),
    "a signal": (edited(RELU, "return dy * (x > 0)", "import os; os.kill(os.getpid(), 9)"), "SIGKILL"),
    "a print flood": (edited(RELU, "return dy * (x > 0)", "while True: print('flood' * 100)"), "characters printed"),
    "an import of tinynet": (SOLVED.replace("import numpy as np", "import numpy as np\nimport tinynet"), "NumPy alone"),
    "an import from tinynet": (edited(RELU, "return dy * (x > 0)", "from tinynet.kernels import cpu"), "NumPy alone"),
    "tinynet by a back door": (
        edited(RELU, "return dy * (x", "__import__('importlib').import_module('tinynet.kernels.cpu')\n    return dy * (x"),
        "imports? tinynet.kernels.cpu",
    ),
    "tinynet in a try": (
        edited(RELU, "return dy * (x", "try: __import__('tinynet')\n    except ImportError: pass\n    return dy * (x"),
        "your code imports tinynet while it runs",
    ),
    "no such function": (SOLVED.replace("def relu_backward", "def rely_backward"), r"no function relu_backward; .*dy, x"),
    "a function from elsewhere": (SOLVED + "\nrelu_backward = np.multiply\n", "comes from elsewhere"),
    "a name that is no function": (SOLVED + "\nrelu_backward = 3\n", "defines no function relu_backward"),
    "other parameters": (SOLVED.replace("def relu_backward(dy, x)", "def relu_backward(dy)"), "takes 1 positional argument"),
    "endless recursion": (edited(RELU, "return dy * (x > 0)", "return relu_backward(dy, x)"), "called itself too often"),
    "another program that prints": (edited(RELU, "return dy * (x > 0)", "print('hello, learner')"), "never reaches"),
    "its argument changed": (edited(RELU, "return dy * (x > 0)", "dy *= x > 0\n    return dy"), "changed its argument dy"),
    "an answer of strings": (edited(RELU, "return dy * (x > 0)", "return 'right'"), "expected numbers of shape"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_never_a_pass_and_always_a_sentence(tmp_path, case):
    text, sentence = HOSTILE[case]
    verdict = judged(tmp_path, text, limit=2 if "loop" in case else None)
    assert verdict.state == "fail"
    told = "\n".join([verdict.sentence, *(line for f in verdict.findings for line in f.lines)])
    assert re.search(sentence, told), told


def test_a_bug_may_not_be_found_by_writing_everything_anew(tmp_path):
    exercise = find("e29")
    path = tmp_path / f"{exercise.name}.py"
    path.write_text(exercise.stub.replace("np.empty_like(images)", "np.zeros(images.shape)  # not bytes"))
    assert judge_file(exercise, path).state == "pass"
    path.write_text(exercise.stub.replace("    batch =", "    a = 1\n    b = 2\n    c = 3\n    batch ="))
    verdict = judge_file(exercise, path)
    assert verdict.state == "fail" and "3 lines" in verdict.sentence and "2 are allowed" in verdict.sentence


def test_what_the_learner_prints_is_shown_and_cut(tmp_path):
    verdict = judged(tmp_path, edited(RELU, "return dy * (x", "print('dy is', dy.shape)\n    return dy * (x"))
    assert verdict.state == "pass" and verdict.printed[0] == "dy is (4,)"
    verdict = judged(tmp_path, edited(RELU, "return dy * (x", "print('\\n' * 99)\n    return dy * (x"))
    assert verdict.state == "pass" and len(verdict.printed) == 21 and verdict.printed[-1] == "..."


def test_a_failing_line_of_the_learner_is_quoted(tmp_path):
    verdict = judged(tmp_path, edited(RELU, "return dy * (x > 0)", "return dy * (x > zero)"))
    assert verdict.findings[0].lines == [
        "relu_backward raised NameError: name 'zero' is not defined",
        "line 8:  return dy * (x > zero)",
    ]


def test_processes_that_the_learner_starts_end_with_the_judgement(tmp_path):
    left = tmp_path / "left"
    script = f"import time; time.sleep(1.5); open({str(left)!r}, 'w')"
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {script!r}])"
    assert judged(tmp_path, edited(RELU, "return dy * (x", f"{start}\n    return dy * (x")).state == "pass"
    time.sleep(2)
    assert not left.exists()


def test_threads_of_the_learner_do_not_keep_the_judgement_waiting(tmp_path):
    start = "import threading, time; threading.Thread(target=time.sleep, args=(30,)).start()"
    began = time.monotonic()
    assert judged(tmp_path, edited(RELU, "return dy * (x", f"{start}\n    return dy * (x")).state == "pass"
    assert time.monotonic() - began < 25


def test_files_of_the_learner_do_not_stand_in_for_modules_but_can_be_imported(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    (tmp_path / "tinynet.py").write_text("raise SystemExit('the wrong tinynet')")
    (tmp_path / "my_helpers.py").write_text("def where(x):\n    return x > 0\n")
    text = SOLVED.replace("import numpy as np", "import numpy as np\nfrom my_helpers import where")
    assert judged(tmp_path, text.replace("(x > 0)", "where(x)")).state == "pass"


def test_a_missing_file_is_not_attempted(tmp_path):
    verdict = judge_file(EXERCISE, tmp_path / f"{RELU}.py")
    assert verdict.state == "unattempted" and "init --update" in verdict.sentence


def test_another_seed_draws_other_values(tmp_path):
    wrong = edited(RELU, "(x > 0)", "(dy > 0)")
    first, again, other = (judged(tmp_path, wrong, seed=seed).findings[1] for seed in (0, 0, 7))
    assert first == again and first.lines != other.lines


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_no_process_is_left_after_a_time_limit(tmp_path):
    pid = tmp_path / "pid"
    loop = f"import os; open({str(pid)!r}, 'w').write(str(os.getpid()))\n    {LOOP}"
    judged(tmp_path, edited(RELU, "return dy * (x > 0)", loop), limit=1)
    assert not running(int(pid.read_text()))
