"""An exercise as its author wrote it, and what is made of that: the learner's file, the solution, the mistakes."""

import ast
import functools
import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from tinynet.exercises import book


class Check(NamedTuple):
    """A judgement under a title: `run` is called with the functions it names and a generator."""

    title: str
    run: object

    def __call__(self, functions, rng):
        self.run(**{name: rng if name == "rng" else functions[name] for name in inspect.signature(self.run).parameters})


@dataclass
class Mistake:
    """A wrong answer and the sentence that a learner who gives it deserves."""

    sentence: str
    edits: tuple = ()
    function: object = None
    compiled: dict | None = None


class Exercise:
    """What an author file declares; see the package's docstring for the parts.

    chapter, minutes, difficulty (1 to 5): for lists and points. after: names of exercises that this one builds on.
    compare: the library's file to read after passing. no_library: why the library has nothing to compare with.
    in_place: the learner's functions may change their arguments. lines: how many lines of what the learner starts with may
    change, for a bug to be found. seconds: the time limit of a judgement.
    """

    def __init__(
        self, chapter, minutes, difficulty, *,
        after=(), compare=None, no_library=None, in_place=False, lines=None, seconds=20,
    ):  # fmt: skip
        self.chapter, self.minutes, self.difficulty, self.after = chapter, minutes, difficulty, tuple(after)
        self.compare, self.no_library, self.in_place = compare, no_library, in_place
        self.lines, self.seconds = lines, seconds
        self.functions, self.starts, self.kept = {}, {}, []
        self.checks, self.mistakes, self.ladder = [], [], ()
        self.adapters, self.place, self.module = {}, None, None

    # What authors write -----------------------------------------------------------------------------------------------

    def given(self, thing):
        """A function or class that stands in the learner's file as it is."""
        self.kept.append(thing.__name__)
        return thing

    def solution(self, function):
        """A function that the learner is to write."""
        self.functions[function.__name__] = function
        return function

    def starts_as(self, function):
        """For a bug to be found: the function whose body the learner is given, where other exercises give a stub."""
        self.starts[list(self.functions)[-1]] = function
        return function

    def check(self, title):
        """A judgement: a function of the solutions it names and `rng`."""
        return lambda function: self.checks.append(Check(title, function)) or function

    def mistake(self, sentence, *edits):
        """A wrong answer: pairs of old and new text in the solution, or, as a decorator, a function instead of the last."""
        if edits:
            self.mistakes.append(Mistake(sentence, tuple(zip(edits[::2], edits[1::2], strict=True))))
            return None
        return lambda function: self.mistakes.append(Mistake(sentence, function=function)) or function

    def hints(self, *ladder):
        """From where to look to nearly the answer."""
        self.ladder = ladder

    def library(self, **functions):
        """tinynet's own answer to each solution, under its name and with its parameters."""
        self.adapters.update(functions)

    def takes_the_place(self, function):
        """For `try`: from the learner's functions to [(module, name, what to put there)]."""
        self.place = function
        return function

    # What is made of it -----------------------------------------------------------------------------------------------

    @functools.cached_property
    def name(self):
        return self.module.__name__.rpartition(".")[2]

    @property
    def short(self):
        return self.name.split("_")[0]

    @property
    def number(self):
        return int(self.short[1:])

    @property
    def title(self):
        return inspect.cleandoc(self.module.__doc__).split("\n")[0].rstrip(".")

    @property
    def _headline(self):
        return f"{self.short}: {self.title}{'' if self.title[-1:] in '?!' else '.'}"

    @property
    def statement(self):
        return inspect.cleandoc(self.module.__doc__).partition("\n")[2].strip()

    @property
    def points(self):
        """What it is worth to a teacher."""
        return float(2 * self.difficulty)

    @functools.cached_property
    def source(self):
        return Path(self.module.__file__).read_text(encoding="utf-8")

    @functools.cached_property
    def stub(self):
        """The learner's file as it starts."""
        after = f"; builds on {', '.join(self.after)}" if self.after else ""
        facts = f"Chapter {self.chapter}, about {self.minutes} minutes, difficulty {self.difficulty} of 5{after}."
        command = f"python -m tinynet.exercises check {self.short}"
        head = f'"""{self._headline}\n\n{self.statement}\n\n{facts}\nJudge it: {command}\n"""'
        return self._file(head, self._start)

    @functools.cached_property
    def answer(self):
        """The solution as a file."""
        return self._file(f'"""{self._headline} A solution."""', lambda node: self._lines(node))

    def _file(self, head, body):
        parts, imports = [head], "\n".join(self._imports())
        if imports:
            parts.append("\n" + imports)
        for node in self._tree.body:
            if getattr(node, "name", None) in self.kept:
                parts.append("\n\n" + self._lines(node))
            elif isinstance(node, ast.FunctionDef) and node.name in self.functions and _decorated(node, "solution"):
                parts.append("\n\n" + body(node))
        return "\n".join(parts) + "\n"

    @functools.cached_property
    def _tree(self):
        return ast.parse(self.source)

    def _lines(self, node, last=None):
        return "\n".join(self.source.split("\n")[node.lineno - 1 : last or node.end_lineno])

    def _start(self, node):
        signature = self._lines(node, node.body[0].end_lineno)  # and the docstring
        if node.name not in self.starts:
            return f'{signature}\n    raise NotImplementedError("{self.name}")'
        function = self.starts[node.name]
        start = next(n for n in self._tree.body if n.lineno == _def_line(function))
        first = 1 if ast.get_docstring(start) else 0
        lines = self.source.split("\n")
        above = start.body[first - 1].end_lineno if first else start.body[0].lineno - 1
        return signature + "\n" + "\n".join(lines[above : start.end_lineno])

    def _imports(self):
        """The author's imports from outside of tinynet; NumPy always, others if the learner's part uses them."""
        parts = [n for n in self._tree.body if getattr(n, "name", None) in (*self.kept, *self.functions)]
        used = {n.id for part in parts for n in ast.walk(part) if isinstance(n, ast.Name)} | {"np"}
        for node in self._tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.asname or alias.name.split(".")[0] for alias in node.names]
                if "tinynet" not in (getattr(node, "module", None) or node.names[0].name) and used & set(names):
                    yield self._lines(node)

    def wrong(self, mistake):
        """The functions of a mistake, by name."""
        if mistake.function is not None:
            return {**self.functions, list(self.functions)[-1]: mistake.function}
        if mistake.compiled is None:
            mistake.compiled = self.compiled(self._edited(mistake), f"<{self.name}: {mistake.sentence}>")
        return mistake.compiled

    def _edited(self, mistake):
        text = self.answer
        for old, new in mistake.edits:
            if text.count(old) != 1:
                raise ValueError(f"{self.name}: a mistake replaces {old!r}, which the solution has {text.count(old)} times")
            text = text.replace(old, new)
        return text

    def compiled(self, text, filename="<solution>"):
        """The functions that a text defines, by name."""
        space = {"__name__": self.name}
        exec(compile(text, filename, "exec"), space)
        return {name: space[name] for name in self.functions}

    def changed(self, text):
        """How many lines of the stub are changed or added in a file; comments, docstrings and layout aside."""
        before, after = (ast.unparse(program(t)).split("\n") for t in (self.stub, text))
        blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        return sum(max(b - a, d - c) for kind, a, b, c, d in blocks if kind != "equal")

    def signature(self, name):
        """How the function is to be called, for messages."""
        return f"{name}{inspect.signature(self.functions[name])}"


def program(text):
    """The syntax tree of a text without its docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree


def _decorated(node, kind):
    marks = getattr(node, "decorator_list", ())
    return any(isinstance(m, ast.Attribute) and m.attr == kind for m in marks)


def _def_line(function):
    code = function.__code__
    lines = Path(code.co_filename).read_text(encoding="utf-8").split("\n")
    line = code.co_firstlineno  # of the first decorator
    while not re.match(r"\s*def ", lines[line - 1]):
        line += 1
    return line


@functools.cache
def exercises():
    """All exercises in their order: name -> Exercise."""
    found = {}
    for info in sorted(pkgutil.iter_modules(book.__path__), key=lambda i: i.name):
        if re.fullmatch(r"e\d\d_\w+", info.name):
            found[info.name] = load(importlib.import_module(f"{book.__name__}.{info.name}"))
    return found


def load(module):
    """The exercise of an author's module."""
    module.exercise.module = module
    return module.exercise


def find(word):
    """The exercise meant by `e19_relu_backward`, `e19`, `19`, `relu` or the name of its file; KeyError if not one is."""
    everything = exercises()
    word = Path(word).name.removesuffix(".py")
    if word in everything:
        return everything[word]
    number = re.fullmatch(r"e?(\d{1,2})", word)
    meant = [e for e in everything.values() if (e.number == int(number[1]) if number else word and word in e.name)]
    if len(meant) != 1:
        raise KeyError(word)
    return meant[0]
