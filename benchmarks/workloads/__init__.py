"""What is measured: one file a workload, the same work for every engine.

A workload is a module that states

- ``TITLE``: what it is, in a few words; ``UNIT``: what one call does ("step", "call", "epoch").
- ``KIND``: how it is run. "training": loss, gradients, optimiser step. "gradient": value and gradients. "inference": forward alone.
  "epoch": training through the library's own data loader, one epoch a call.
- ``start(rng)``: the initial weights (PyTorch's ``state_dict`` names and layout) and the data, made once with NumPy. The first axis of
  the data counts batches, through which all engines go in the same order.
- ``network(lib)`` and ``loss(lib, model, *batch)``; ``output`` for the kind "inference", ``value(lib, weights, *batch)`` for "gradient".
  ``lib`` is ``gradus`` or ``torch``: Gradus has PyTorch's names, so both run the same lines.
- ``jax_loss(weights, *batch)``, or ``array_loss(xp, weights, *batch)`` which serves HIPS/autograd as well; ``jax_weights``, where JAX is
  faster with another layout, and ``TORCH_CHANNELS_LAST``, where PyTorch is.
- ``OPTIMIZER``: name and options, for the kinds that train.
- ``CHECKED``: after so many calls the engines' losses are compared; ``TOLERANCE``: how far they may differ, as a share of the first loss.
- ``LEFT_OUT``: engines that do not run it, with the reason. ``ROUNDS``: the most rounds that are worth the time.
"""

from __future__ import annotations

from types import ModuleType

from workloads import (
    chain,
    cnn,
    epoch,
    full_batch,
    full_batch_forward,
    gpt,
    inference,
    lstm,
    mlp,
    mlp_small,
    recurrence,
)

ORDER = [mlp_small, mlp, cnn, gpt, lstm, full_batch, full_batch_forward, epoch, inference, recurrence, chain]
WORKLOADS: dict[str, ModuleType] = {module.__name__.split(".")[-1]: module for module in ORDER}
