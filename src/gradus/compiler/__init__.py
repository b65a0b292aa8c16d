"""The tracing compiler: a function of tensors becomes a graph, the graph becomes one flat program.

=================  ===========================================================================================
``trace``          runs the function once on abstract arrays and notes every op: forward, backward and update alike
``graph``          the notes: a typed list of calls that prints, checks itself, and runs on NumPy (the oracle)
``passes``         the same graph, smaller: each pass is one file
``plan``           what is computed together, in which order, in which memory
``emit``           the plan as a NumPy function, or as Numba kernels called from a table
``compiled``       what users hold: it picks the program whose guards hold, or traces anew
=================  ===========================================================================================
"""
