"""PyTorch, eager and with ``torch.compile``: fused optimisers, gradients set to None, ``inference_mode``, channels last for images.

What is compiled is the model together with its loss, forward and (through AOTAutograd) backward; the fused optimiser is one call already.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engines import Unit, at_once


def set_threads(count: int) -> None:
    torch.set_num_threads(count)
    torch.set_num_interop_threads(1)


def compiled(f: Any, wanted: bool) -> Any:
    return torch.compile(f) if wanted else f


def numbers(result: Any) -> list[float]:
    parts = result if isinstance(result, tuple) else (result,)
    return [float(np.abs(part.detach().numpy()).mean()) for part in parts]


def tensors(arrays: Any) -> tuple[Any, ...]:
    return tuple(torch.tensor(array) for array in arrays)


def model_of(workload: Any, start: Any) -> Any:
    model = workload.network(torch)
    model.load_state_dict({name: torch.tensor(value) for name, value in start.weights.items()})
    return model.to(memory_format=torch.channels_last) if getattr(workload, "TORCH_CHANNELS_LAST", False) else model


def training_step(workload: Any, start: Any, compile: bool) -> Any:
    model = model_of(workload, start)
    name, options = workload.OPTIMIZER
    optimizer = getattr(torch.optim, name)(model.parameters(), **options, fused=True)
    loss_of = compiled(lambda *batch: workload.loss(torch, model, *batch), compile)

    def step(*batch: Any) -> Any:
        loss = loss_of(*batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return step


def training(workload: Any, start: Any, compile: bool) -> Unit:
    return Unit(training_step(workload, start, compile), [tensors(batch) for batch in zip(*start.data, strict=True)], numbers, at_once)


def gradient(workload: Any, start: Any, compile: bool) -> Unit:
    weights = {name: torch.tensor(value).requires_grad_() for name, value in start.weights.items()}
    inputs = list(weights.values())
    value_of = compiled(lambda *batch: workload.value(torch, weights, *batch), compile)

    def value_and_gradients(*batch: Any) -> Any:
        value = value_of(*batch)
        return (value, *torch.autograd.grad(value, inputs))

    return Unit(value_and_gradients, [tensors(batch) for batch in zip(*start.data, strict=True)], numbers, at_once)


def inference(workload: Any, start: Any, compile: bool) -> Unit:
    model = model_of(workload, start).eval()
    output = compiled(lambda *batch: workload.output(torch, model, *batch), compile)

    @torch.inference_mode()
    def answer(*batch: Any) -> Any:
        return output(*batch)

    return Unit(answer, [tensors(batch) for batch in zip(*start.data, strict=True)], numbers, at_once)


def epoch(workload: Any, start: Any, compile: bool) -> Unit:
    step = training_step(workload, start, compile)
    x, y, orders = start.data
    dataset = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))

    def one_epoch(order: Any) -> Any:
        total = torch.tensor(0.0)
        whole = torch.utils.data.BatchSampler(order, workload.BATCH, drop_last=True)
        loader = torch.utils.data.DataLoader(dataset, batch_size=None, sampler=whole)
        for batch in loader:
            total += step(*batch).detach()
        return total / len(loader)

    return Unit(one_epoch, [(order.tolist(),) for order in orders], numbers, at_once)
