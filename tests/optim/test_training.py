"""A whole training run beside PyTorch's: model, loss, clipping, optimiser and schedule together, equal after 60 steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradus

OPTIMISERS = {
    "SGD": {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "Adam": {"lr": 0.01, "amsgrad": True},
    "AdamW": {"lr": 0.01, "weight_decay": 0.1},
}


def model(library):
    nn = library.nn
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 16, bias=False), nn.Tanh(), nn.Linear(16, 4)).double()


def run(library, net, batches, name: str, schedule: str) -> list[float]:
    """The same code for both libraries."""
    opt = getattr(library.optim, name)(net.parameters(), **OPTIMISERS[name])
    if schedule == "one cycle":
        rates = library.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.05, total_steps=len(batches))
    else:
        rates = library.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=len(batches))
    loss_of = library.nn.CrossEntropyLoss(weight=library.tensor([1.0, 2.0, 0.5, 1.0], dtype=library.float64), label_smoothing=0.1)
    losses = []
    for x, y in batches:
        loss = loss_of(net(library.tensor(x)), library.tensor(y))
        opt.zero_grad()
        loss.backward()
        library.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        rates.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("schedule", ["one cycle", "cosine"])
def test_sixty_steps(name, schedule) -> None:
    theirs, mine = model(torch), model(gradus)
    mine.load_state_dict(theirs.state_dict())
    batches = [(np.random.standard_normal((8, 6)), np.random.randint(0, 4, 8)) for _ in range(60)]
    ours, original = run(gradus, mine, batches, name, schedule), run(torch, theirs, batches, name, schedule)
    np.testing.assert_allclose(ours, original, rtol=1e-10)
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-10)
