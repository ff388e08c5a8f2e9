"""The heavy inner loops, on plain arrays: four sets of the same functions, whose contract stands in `contract.py`.

`reference.py` is the formula as loops, the oracle of the others. `textbook.py` is convolution by im2col, as books have it.
`cpu/` is fast NumPy, `cuda/` is CuPy: a device's `kernels` is one of these two. `windows.py` is what all but the oracle
ask about the places where a window can be.
"""
