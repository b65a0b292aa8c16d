"""Gradus, eager and compiled: the code that a user of the library writes."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

import gradus
from engines import Unit, at_once


def set_threads(count: int) -> None:
    gradus.set_num_threads(count)


def import_compiler() -> None:
    """What Gradus imports when something is to be compiled; a program whose kernels are on disk does without."""
    importlib.import_module("numba")


def compiled(f: Any, wanted: bool) -> Any:
    return gradus.compile(f) if wanted else f


def numbers(result: Any) -> list[float]:
    parts = result if isinstance(result, tuple) else (result,)
    return [float(np.abs(part.detach().numpy()).mean()) for part in parts]


def tensors(arrays: Any) -> tuple[Any, ...]:
    return tuple(gradus.tensor(np.ascontiguousarray(array)) for array in arrays)


def model_of(workload: Any, start: Any) -> Any:
    model = workload.network(gradus)
    model.load_state_dict({name: gradus.tensor(value) for name, value in start.weights.items()})
    return model


def training_step(workload: Any, start: Any, compile: bool) -> Any:
    model = model_of(workload, start)
    name, options = workload.OPTIMIZER
    optimizer = getattr(gradus.optim, name)(model.parameters(), **options)

    def step(*batch: Any) -> Any:
        loss = workload.loss(gradus, model, *batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return compiled(step, compile)


def training(workload: Any, start: Any, compile: bool) -> Unit:
    return Unit(training_step(workload, start, compile), [tensors(batch) for batch in zip(*start.data, strict=True)], numbers, at_once)


def gradient(workload: Any, start: Any, compile: bool) -> Unit:
    weights = {name: gradus.tensor(value).requires_grad_() for name, value in start.weights.items()}
    inputs = list(weights.values())

    def value_and_gradients(*batch: Any) -> Any:
        value = workload.value(gradus, weights, *batch)
        return (value, *gradus.autograd.grad(value, inputs))

    return Unit(compiled(value_and_gradients, compile), [tensors(batch) for batch in zip(*start.data, strict=True)], numbers, at_once)


def inference(workload: Any, start: Any, compile: bool) -> Unit:
    model = model_of(workload, start)
    model.eval()

    def answer(*batch: Any) -> Any:
        with gradus.no_grad():
            return workload.output(gradus, model, *batch)

    return Unit(compiled(answer, compile), [tensors(batch) for batch in zip(*start.data, strict=True)], numbers, at_once)


def epoch(workload: Any, start: Any, compile: bool) -> Unit:
    step = training_step(workload, start, compile)
    x, y, orders = start.data
    dataset = gradus.data.TensorDataset(gradus.tensor(x), gradus.tensor(y))

    def one_epoch(order: Any) -> Any:
        total = gradus.tensor(0.0)
        loader = gradus.data.DataLoader(dataset, batch_size=workload.BATCH, sampler=order, drop_last=True)
        for batch in loader:
            total += step(*batch).detach()
        return total / len(loader)

    return Unit(one_epoch, [(order,) for order in orders], numbers, at_once)
