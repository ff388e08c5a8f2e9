"""no_grad above a function: with parentheses or without, and around all that runs of its body, but nothing else."""

import asyncio

import pytest
from oracles import leaf

import tinynet as tn

X = leaf([1.0])


def recording():
    return (X * 2).requires_grad


DECORATORS = {"no parentheses": lambda f: tn.no_grad(f), "parentheses": lambda f: tn.no_grad()(f)}


@pytest.fixture(params=DECORATORS)
def decorate(request):
    return DECORATORS[request.param]


def test_a_function_keeps_its_name_its_arguments_and_its_result(decorate):
    @decorate
    def evaluate(a, *, b):
        """What it does."""
        return a, b, recording()

    assert evaluate(1, b=2) == (1, 2, False) and recording()
    assert evaluate.__name__ == "evaluate" and evaluate.__doc__ == "What it does."

    class Model:
        @decorate
        def evaluate(self):
            return self, recording()

        @classmethod
        @decorate
        def build(cls):
            return cls, recording()

    model = Model()
    assert model.evaluate() == (model, False) and Model.build() == (Model, False)


def test_a_generator_records_nothing_while_its_caller_does(decorate):
    seen = []

    @decorate
    def batches(n):
        try:
            for i in range(n):
                try:
                    seen.append((i, (yield recording())))
                except KeyError as error:
                    seen.append((repr(error), recording()))
        finally:
            seen.append(("end", recording()))
        return "done", recording()

    def all_of(n):
        return (yield from batches(n))

    running = all_of(3)
    assert next(running) is False and recording()
    assert running.send("sent") is False and recording()
    assert running.throw(KeyError("k")) is False and recording()
    with tn.no_grad(), pytest.raises(StopIteration) as end:
        next(running)
    assert end.value.value == ("done", False) and recording()
    assert seen == [(0, "sent"), ("KeyError('k')", False), (2, None), ("end", False)]

    running = batches(3)
    next(running)
    running.close()
    assert seen[-1] == ("end", False) and recording() and list(running) == []
    with pytest.raises(ValueError, match="outside"):
        next(running := batches(2)), running.throw(ValueError("outside"))
    assert recording()


def test_a_coroutine_records_nothing_while_others_that_run_meanwhile_do(decorate):
    gate = []

    @decorate
    async def evaluate():
        before = recording()
        gate.append(1)
        await asyncio.sleep(0)
        return before, recording()

    async def train():
        while not gate:
            await asyncio.sleep(0)
        return recording()

    async def both():
        return await asyncio.gather(evaluate(), train())

    assert asyncio.run(both()) == [(False, False), True]


async def numbers():
    yield 1


@pytest.mark.parametrize("what, sentence", [
    (False, "no_grad: expected a function to decorate, got False; decorate functions and methods"),
    (X, "no_grad: expected a function to decorate, got tensor"),
    (tn.nn.ReLU, "no_grad: expected a function to decorate, got the class ReLU; decorate functions and methods"),
    (numbers, r"no_grad: an asynchronous generator is not decorated; write `with no_grad\(\):` inside it"),
], ids=["no function", "a tensor", "a class", "an asynchronous generator"])  # fmt: skip
def test_what_it_cannot_surround_is_refused(decorate, what, sentence):
    with pytest.raises(TypeError, match=sentence):
        decorate(what)


def test_it_yields_what_pytorchs_decorated_generator_yields():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

    def protocol(decorator):
        @decorator
        def generator():
            got = []
            for i in range(4):
                try:
                    got.append((yield i))
                except ZeroDivisionError:
                    got.append("error")
            return got

        running, out = generator(), []
        for step in (lambda: next(running), lambda: running.send("a"), lambda: running.throw(ZeroDivisionError()),
                     lambda: next(running), lambda: next(running), lambda: next(running)):  # fmt: skip
            try:
                out.append(step())
            except StopIteration as end:
                out.append(("stop", end.value))
        return out

    assert protocol(tn.no_grad) == protocol(torch.no_grad) == protocol(tn.no_grad())
