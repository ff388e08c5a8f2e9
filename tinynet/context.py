"""Contexts that also decorate: `with no_grad():` around a block, `@no_grad` or `@no_grad()` above a function."""

import contextlib
import functools
import inspect


def context(generator):
    """contextlib.contextmanager for a context without arguments, whose decorator needs no parentheses.

    A decorated generator function, or `async def`, has the context around what runs of its body, never around its caller.
    The decorator raises TypeError for what is no function: classes, whose methods are decorated one by one; and
    asynchronous generators, in which `with` does it.
    """
    manager = contextlib.contextmanager(generator)

    @functools.wraps(generator)
    def make(function=None):
        return _Context(manager) if function is None else _around(manager, function)

    return make


class _Context:
    def __init__(self, manager):
        self.manager = manager

    def __enter__(self):
        self.entered = self.manager()
        return self.entered.__enter__()

    def __exit__(self, *error):
        return self.entered.__exit__(*error)

    def __call__(self, function):
        return _around(self.manager, function)


def _around(manager, function):
    name = manager.__name__
    if inspect.isclass(function) or not callable(function):
        what = f"the class {function.__name__}" if inspect.isclass(function) else repr(function)
        raise TypeError(f"{name}: expected a function to decorate, got {what}; decorate functions and methods")
    if inspect.isasyncgenfunction(function):
        raise TypeError(f"{name}: an asynchronous generator is not decorated; write `with {name}():` inside it")

    if inspect.isgeneratorfunction(function):
        kind = _generator
    elif inspect.iscoroutinefunction(function):
        kind = _coroutine
    else:
        kind = _function
    return functools.wraps(function)(kind(manager, function))


def _function(manager, function):
    def decorated(*args, **kwargs):
        with manager():
            return function(*args, **kwargs)

    return decorated


def _coroutine(manager, function):
    async def decorated(*args, **kwargs):
        with manager():
            return await function(*args, **kwargs)

    return decorated


def _generator(manager, function):
    def decorated(*args, **kwargs):
        running = function(*args, **kwargs)
        go, given = running.send, None
        try:
            while True:
                with manager():
                    result = go(given)
                try:
                    go, given = running.send, (yield result)
                except BaseException as error:  # thrown in by the caller, or GeneratorExit from close()
                    go, given = running.throw, error
        except StopIteration as end:
            return end.value

    return decorated
