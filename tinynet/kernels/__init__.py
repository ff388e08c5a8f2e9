"""The heavy inner loops, on plain arrays: `reference` is the formula as loops, `cpu` is fast NumPy, `cuda` is CuPy."""
