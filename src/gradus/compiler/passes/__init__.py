"""Passes: each takes a graph and gives the same function as a smaller or plainer one.

Their order is in :func:`gradus.compiler.compiled.passes_in_order` and, for programs on NumPy, in
:func:`gradus.compiler.numpy_program.prepared`.
:mod:`gradus.compiler.passes.rewriting` is the walk that they share.
"""
