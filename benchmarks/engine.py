"""What the tape costs: microseconds of Python an operation, forward and backward, beside PyTorch if it is installed.

    python -m benchmarks.engine

Tensors of one element, so that next to nothing is computed: a chain of multiplications, the minimum over several rounds
in which the two take turns, because a shared machine only ever makes things slower.
"""

import argparse
import time

import tinynet as tn

OPERATIONS = 2000


def chain(start):
    """Seconds of OPERATIONS multiplications, and of their backward."""
    began = time.perf_counter()
    y = start
    for _ in range(OPERATIONS):
        y = y * start
    middle = time.perf_counter()
    y.backward()
    return middle - began, time.perf_counter() - middle


def measure(rounds):
    """name -> (forward, backward), microseconds an operation."""
    engines = {"tinynet": tn.tensor(1.0, requires_grad=True)}
    try:
        import torch
    except ModuleNotFoundError:
        print("PyTorch is not installed; measuring tinynet alone")
    else:
        engines["PyTorch"] = torch.tensor(1.0, requires_grad=True)
    times = {name: [] for name in engines}
    for _ in range(rounds):
        for name, start in engines.items():
            times[name].append(chain(start))
    return {name: [min(t) / OPERATIONS * 1e6 for t in zip(*rows, strict=True)] for name, rows in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="how often each engine takes its turn (default 30)")
    for name, (forward, backward) in measure(parser.parse_args().rounds).items():
        print(f"{name:8}  forward {forward:5.2f} us  backward {backward:5.2f} us  an operation")


if __name__ == "__main__":
    main()
