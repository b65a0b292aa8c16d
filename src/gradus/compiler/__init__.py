"""The tracing compiler: a function of tensors becomes a graph, the graph becomes one flat program.

==================  ==========================================================================================
``compiled``        what users hold: it picks the program whose guards hold, or traces anew; ``methods``: for each instance
``specialisation``  one traced program: when it may run, and what it leaves behind (``direct_call``: the same, flat)
``surroundings``    what a function reads from outside, and the ``guards`` on it; ``shared_memory``
``trace``           runs the function once on ``tracers``, in a ``world`` that notes every op, backward and update too.
                    Tensors from outside are ``lifted``, ``effects`` found or refused, ``survivors`` named
``graph``           the notes: a typed list of calls that prints, checks itself, and runs on NumPy (the oracle)
``passes``          the same graph, smaller or plainer: each pass is one file
``layout``          where values lie in memory, and how loops walk there
==================  ==========================================================================================

Two tiers run a graph (``tiers`` says which); both write one function of Python (``flat``, ``source_code``).

==================  ==========================================================================================
native              ``plan``: steps, their order, their memory. ``fusion`` finds the groups, ``loops`` writes their
                    kernels (``stages``: rows and blocks of rows; ``expressions``: op by op), ``products`` and
                    ``descent`` deal with matrix products. ``program`` fills the tables that kernels read (``texts``:
                    kernels that are not generated), ``native`` makes and keeps machine code (``trust``: in whose
                    folder; ``waiting``: what a person sees meanwhile), ``workers`` are threads that help with
                    products, ``report`` measures it all
numpy               ``numpy_places``: which call writes where. ``numpy_program``: one line a call
==================  ==========================================================================================

``fused_function`` is :func:`gradus.elementwise`, a small user of all this.
"""
