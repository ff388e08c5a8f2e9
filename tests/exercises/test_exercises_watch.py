"""`watch`: without a terminal line by line, in one key by key; it judges what is saved and never goes on by itself."""

import os
import subprocess
import time

import pytest
from learners import PROGRAM, RELU, answer, edited, environment

from tinynet.exercises import watch
from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.workspace import Workspace

RUN = [*PROGRAM, "watch", "e19"]


def lines(course, text, *flags):
    done = subprocess.run(
        [*RUN, *flags], input=text, capture_output=True, text=True, cwd=course, env=environment(TERM="xterm"), timeout=60
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_without_a_terminal_a_line_is_a_key(course):
    (course / f"{RELU}.py").write_text(edited(RELU, "dy * (x > 0)", "dy * (dy > 0)"))
    code, out = lines(course, "\nh\nl\nn\nz\nx\nn\nq\nr\n")
    assert code == 0
    for text in ("it is x that decides", "hint 1 of", "chapter 1", "is not a key", "nothing was changed"):
        assert text in out
    assert out.count("0 of 3 checks") + out.count("1 of 3 checks") == 1, "q ends it"
    assert "\x1b" not in out and "\r" not in out
    assert Workspace.open(course).of(find(RELU))["hints"] == 1


def test_it_stays_with_the_exercise_until_told_to_go_on(course):
    (course / f"{RELU}.py").write_text(answer(RELU))
    code, out = lines(course, "\n\nn\nr\n")
    assert code == 0 and out.count("all 3 public checks") == 2
    after = list(exercises())[list(exercises()).index(RELU) + 1]
    assert f"go on to {after}" in out and f"{after}.py" in out and "not attempted yet" in out


def test_reset_by_key_keeps_the_answer(course):
    (course / f"{RELU}.py").write_text("mine")
    code, _ = lines(course, "x\ny\n")
    assert code == 0 and (course / f"{RELU}.bak").read_text() == "mine"
    assert (course / f"{RELU}.py").read_text() == find(RELU).stub


def test_the_solution_by_key_only_after_passing(course):
    assert "has not passed yet" in lines(course, "s\n")[1]
    (course / f"{RELU}.py").write_text(answer(RELU))
    assert "return dy * (x > 0)" in lines(course, "\ns\n")[1]


class Terminal:
    """`watch` in a terminal of its own."""

    def __init__(self, course, *flags, **more):
        pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
        self.master, slave = pty.openpty()
        self.child = subprocess.Popen(
            [*RUN, *flags],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=course,
            env=environment(TERM="xterm", **more),
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self.master, False)
        self.seen = ""

    def until(self, text, seconds=30):
        """Wait for a text; what was shown up to it is taken away."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
            except BlockingIOError:
                time.sleep(0.02)
        before, _, self.seen = self.seen.partition(text)
        return before

    def press(self, key):
        os.write(self.master, key.encode())

    def close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.master)


@pytest.fixture
def terminal(course):
    opened = []

    def start(*flags, **more):
        opened.append(Terminal(course, *flags, **more))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_in_a_terminal_saving_judges_and_keys_need_no_enter(course, terminal):
    screen = terminal(NO_COLOR="")
    screen.until("q: quit")
    path = course / f"{RELU}.py"
    path.write_text(edited(RELU, "dy * (x > 0)", "dy * x"))
    shown = screen.until("checks passed")
    assert "checking e19" in shown and "\x1b[31m" in shown
    screen.until("q: quit")
    screen.press("h")
    screen.until("hint 1 of")
    new = path.with_suffix(".new")  # as editors save: write another file, then put it in place
    new.write_text(answer(RELU))
    os.replace(new, path)
    screen.until("passed: all 3")
    screen.until("q: quit")
    (course / "notes.py").write_text("not an exercise")
    (course / "e11_sgd.py").write_text(answer("e11_sgd"))
    assert "notes" not in screen.until("e11_sgd")
    screen.until("passed: all 3")
    screen.press("q")
    assert screen.child.wait(20) == 0


def test_ctrl_c_ends_it_and_gives_the_terminal_back(course, terminal):
    import termios

    screen = terminal(NO_COLOR="1")
    before = termios.tcgetattr(screen.master)
    shown = screen.until("q: quit")
    assert "\x1b" not in shown
    time.sleep(0.3)
    assert not termios.tcgetattr(screen.master)[3] & termios.ICANON
    screen.child.send_signal(2)
    assert screen.child.wait(20) == 130
    assert termios.tcgetattr(screen.master)[3] == before[3]


def test_a_long_judgement_says_how_to_stop_it_and_ctrl_c_stops_nothing_else(course, terminal):
    screen = terminal(NO_COLOR="1")
    screen.until("q: quit")
    path = course / f"{RELU}.py"
    path.write_text(edited(RELU, "return dy * (x > 0)", "while True: pass"))
    assert "keys wait" not in screen.until("checking e19")
    screen.until("keys wait; Ctrl-C stops it")
    screen.child.send_signal(2)
    screen.until("was not judged to the end")
    screen.until("q: quit")
    path.write_text(answer(RELU))
    screen.until("passed: all 3")
    screen.until("q: quit")
    screen.child.send_signal(2)
    assert screen.child.wait(20) == 130


def test_a_short_judgement_is_not_called_long(monkeypatch, capsys):
    watching = object.__new__(watch.Watch)
    watching.exercise, watching.prompt = find(RELU), lambda: None
    monkeypatch.setattr(watch, "PATIENCE", 30.0)

    def stopped(workspace, exercise):
        raise KeyboardInterrupt

    watching.workspace = None
    monkeypatch.setattr(watch.steps, "judge_one", stopped)
    began = time.monotonic()
    watching.judge()
    assert time.monotonic() - began < 20  # it does not wait until it could speak
    assert "keys wait" not in capsys.readouterr().out


def test_manual_mode_in_a_terminal_judges_on_enter_only(course, terminal):
    screen = terminal("--manual")
    screen.until("Enter judges")
    (course / f"{RELU}.py").write_text(answer(RELU))
    time.sleep(1.2)
    screen.press("\n")
    assert "passed" not in screen.until("passed: all 3").split("PASS")[0]
    screen.press("q\n")
    assert screen.child.wait(20) == 0
