"""The operations, one idea a file: each is a docstring with the formula, the forward and the backward, side by side."""
