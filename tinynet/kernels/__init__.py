"""The heavy inner loops, on plain arrays: `reference` is the formula as loops, `cpu` the same in fast NumPy."""
