"""What compiled kernels are made of: memory by its address, matrix products, element-wise functions that vectorise.

Every module here imports Numba, so nothing in the house imports this package before it knows that the extra ``fast`` is installed.
"""
