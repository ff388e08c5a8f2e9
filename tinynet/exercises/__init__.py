"""Exercises: write a piece of AlexNet yourself and learn whether it is right, and if not, where and why.

`python -m tinynet.exercises` is the learner's door. This page is for authors. An exercise is one file,
`book/eNN_name.py`, read from top to bottom; `python -m tinynet.exercises dev new eNN_name` writes its skeleton.

    docstring             first line: the title; the rest: the statement, at the top of the learner's file
    exercise = Exercise(chapter=6, minutes=10, difficulty=1, ...)
    @exercise.given       a function or class that the learner gets as it stands
    @exercise.solution    the function the learner writes: its signature and docstring go into the learner's file, its body
                          is the answer. There may be several
    @exercise.starts_as   (find the bug) what its body is in the learner's file, instead of `raise NotImplementedError`;
                          Exercise(lines=2) allows two changed lines
    @exercise.check("title")      raises if the learner's function is wrong. Its parameters say what it wants: the functions
                          to judge, by name, and `rng`. `checks.py` has the words: expect, gradients, require, ...
    exercise.mistake("sentence", "old", "new")      a wrong answer, as an edit of the solution's text, with the sentence
                          that a learner deserves who makes it; several pairs of old and new may follow one another
    @exercise.mistake("sentence")                   the same as a function of its own
    exercise.hints("...", "...", "...")             a ladder: where to look, what to do, nearly the answer
    exercise.library(relu_backward=...)             tinynet's own function, with the solution's parameters
    @exercise.takes_the_place     where in tinynet the learner's function goes for `try`: [(module, name, function)]

What a learner's file imports is what the author's imports from outside of tinynet. A learner is told a mistake's sentence
if the answers prove it: the mistake gives the same numbers in the checks that fail, and passes those that pass
(`recognise.py`). So the checks must tell all mistakes apart, the listed ones and those that nobody has listed. Draw shapes
and values from `rng`, in hard places: stride 2, heights that are not widths, windows that overlap, sizes of which no two are
alike, numbers other than 0, 1 and 2, constants that make every term count. `python -m tinynet.exercises dev check eNN`
proves all that CI proves: `proofs.py`.
"""

from tinynet.exercises.notebook import check, grade

__all__ = ["check", "grade"]
