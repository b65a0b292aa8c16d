"""The stages against each other and PyTorch's loop; loaders by counting; mistakes by their price."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradus.data import mnist
from gradus.ladder import training_loop, training_mistakes, training_stages
from gradus.ladder.data_loader import DataLoader, Dataset, Sampler
from gradus.ladder.module import Dropout, LinearLayer, ReLU, Sequential
from gradus.ladder.tape_of_layers import Parameter
from gradus.ladder.training_loop import SGD, evaluate, fit
from gradus.ladder.training_stages import STAGES, make_task, manual

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_stage_has_the_losses_of_the_first(stage, seed: int) -> None:
    task = make_task(seed, n=300, batch_size=64)  # the last batch is smaller
    losses = stage(task)
    assert len(losses) == 2 * 5
    assert losses == manual(task)


def test_the_stages_tell_tasks_apart() -> None:
    assert manual(make_task(0)) != manual(make_task(1))
    assert manual(make_task(0)) != manual(make_task(0, lr=0.4))


def test_agreement_is_a_table() -> None:
    rows = training_stages.agreement(make_task(3))
    assert [row.stage for row in rows] == [stage.__name__ for stage in STAGES]
    assert {row.difference for row in rows} == {0.0}
    assert {row.last_loss for row in rows} == {manual(make_task(3))[-1]}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_loop_is_that_of_pytorch(momentum: float) -> None:
    task = make_task(5, lr=0.1)
    model = Sequential(*training_stages.network(task))
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)).double()
    with torch.no_grad():
        for t, p in zip(theirs.parameters(), model.parameters(), strict=True):
            t.copy_(torch.tensor(p.value))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=momentum)
    losses = []
    data = torch.utils.data.TensorDataset(torch.tensor(task.x), torch.tensor(task.y))
    for x, y in torch.utils.data.DataLoader(data, batch_size=64):
        loss = torch.nn.functional.cross_entropy(theirs(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    ours = training_loop.train_epoch(model, SGD(model.parameters(), 0.1, momentum), DataLoader(Dataset(task.x, task.y), 64))
    np.testing.assert_allclose(ours, losses, rtol=1e-10)
    if momentum == 0:
        np.testing.assert_allclose(manual(task)[: len(losses)], losses, rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_validation_measures_what_was_learnt(seed: int) -> None:
    task = make_task(seed)
    model = Sequential(*training_stages.network(task))
    train, valid = DataLoader(Dataset(task.x, task.y), 64), DataLoader(Dataset(task.x_valid, task.y_valid), 128)
    untrained = evaluate(model, valid)
    history = fit(40, model, SGD(model.parameters(), 0.5), train, valid)
    assert untrained.accuracy < 0.8 < 0.93 < history.accuracies[-1]
    assert (len(history.losses), len(history.valid_losses)) == (40 * len(train), 40)
    assert history.valid_losses[-1] < 0.3 < untrained.loss
    assert all(p.grad is None for p in model.parameters())


def test_validation_weighs_examples_not_batches_and_leaves_no_trace() -> None:
    task = make_task(0, n=130)
    model = Sequential(*training_stages.network(task), Dropout(0.5))
    data = Dataset(task.x, task.y)
    found = [evaluate(model, DataLoader(data, size)) for size in (1, 64, 130)]
    np.testing.assert_allclose(found, [found[0]] * 3, rtol=1e-12)
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


def test_training_mode_comes_back_after_validation() -> None:
    seen: list[tuple[bool, bool]] = []

    class Watch(ReLU):
        def forward(self, x):
            seen.append((self.training, x.requires_grad))
            return super().forward(x)

    model = Sequential(LinearLayer(2, 3), Watch(), LinearLayer(3, 2))
    batch = [(np.ones((2, 2)), np.array([0, 1]))]
    fit(2, model, SGD(model.parameters(), 0.1), batch, batch)
    assert seen == [(True, True), (False, False)] * 2  # and validation keeps no tape


def test_a_frozen_parameter_stays() -> None:
    task = make_task()
    model = Sequential(*training_stages.network(task))
    optimizer = SGD(model.parameters(), 0.5)
    model[0].requires_grad_(False)  # after the optimizer was made
    before = [p.value.copy() for p in model.parameters()]
    training_loop.train_epoch(model, optimizer, DataLoader(Dataset(task.x, task.y), 64))
    moved = [bool((p.value != b).any()) for p, b in zip(model.parameters(), before, strict=True)]
    assert moved == [False, False, True, True]
    model[0].weight.grad = np.ones((16, 2))  # from before it was frozen
    optimizer.step()
    np.testing.assert_array_equal(model[0].weight.value, before[0])


def test_an_optimizer_without_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameters"):
        SGD([], 0.1)
    model = Sequential(LinearLayer(2, 2))
    generator = model.parameters()
    list(generator)
    with pytest.raises(ValueError, match="used up"):
        SGD(generator, 0.1)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_a_parameter_named_twice_moves_once(momentum: float) -> None:
    once, twice = training_mistakes.named_twice(momentum, steps=4)
    p = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=1.0, momentum=momentum)
    for _ in range(4):
        p.grad = torch.ones(())
        optimizer.step()
    assert once == pytest.approx(p.item(), rel=1e-6)
    velocity = place = 0.0
    for _ in range(8):
        velocity = momentum * velocity + 1
        place -= velocity
    assert twice == pytest.approx(place)
    assert twice < once


def test_tied_layers_are_updated_once() -> None:
    layer = LinearLayer(2, 2)
    optimizer = SGD([*layer.parameters(), *layer.parameters()], 1.0)
    layer.weight.grad = np.ones((2, 2))
    before = layer.weight.value.copy()
    optimizer.step()
    np.testing.assert_allclose(layer.weight.value, before - 1)


@pytest.mark.parametrize("seed", range(4))
def test_forgotten_gradients_add_up(seed: int) -> None:
    losses = training_mistakes.forgotten_zero_grad(make_task(seed, epochs=20))
    assert losses.right[0] == losses.mistaken[0]
    assert losses.right[1] == losses.mistaken[1]  # the first step is the same
    assert losses.right[2] != losses.mistaken[2]
    assert np.mean(losses.right[-8:]) < 0.15
    assert np.mean(losses.mistaken[-8:]) > 0.5


def test_gradients_add_up_until_cleared() -> None:
    p = Parameter([2.0])
    optimizer = SGD([p], 1.0)
    p.grad = np.array([1.0])
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()  # nothing to do
    np.testing.assert_array_equal(p.value, [2.0])


@pytest.mark.parametrize("n, size, drop_last", [(10, 3, False), (10, 3, True), (9, 3, True), (2, 5, False), (2, 5, True), (0, 4, False)])
def test_length_is_the_number_of_batches(n: int, size: int, drop_last: bool) -> None:
    loader = DataLoader(Dataset(np.arange(n), np.arange(n)), size, drop_last=drop_last)
    batches = [y.tolist() for _, y in loader]
    whole = [list(range(i, min(i + size, n))) for i in range(0, n, size)]
    assert batches == [b for b in whole if len(b) == size or not drop_last]
    assert len(loader) == len(batches)


def test_shuffled_epochs_have_every_example_once_in_new_orders() -> None:
    data = Dataset(np.arange(20) * 10.0, np.arange(20))
    loader = DataLoader(data, 6, Sampler(20, np.random.default_rng(0)))
    epochs = [[pair for x, y in loader for pair in zip(x, y)] for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert all(sorted(y for _, y in epoch) == list(range(20)) for epoch in epochs)
    assert all(x == 10 * y for epoch in epochs for x, y in epoch)


def test_a_collate_of_ones_own() -> None:
    data = Dataset(np.array(["a", "bcd", "ef"], object), np.arange(3))
    loader = DataLoader(data, 2, collate=lambda items: [text.ljust(max(len(t) for t, _ in items), ".") for text, _ in items])
    assert list(loader) == [["a..", "bcd"], ["ef"]]


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="3 inputs cannot be paired with 2 targets"):
        Dataset(np.zeros(3), np.zeros(2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_five_epochs_of_digits(gradus_data: Path, seed: int) -> None:
    x, y, x_test, y_test = (part.numpy() for part in mnist(download=False))
    x, x_test = x.reshape(-1, 784), x_test.reshape(-1, 784)
    rng = np.random.default_rng(seed)
    model = Sequential(LinearLayer(784, 50, rng), ReLU(), LinearLayer(50, 10, rng))
    train = DataLoader(Dataset(x[:50_000], y[:50_000]), 64, Sampler(50_000, rng))
    accuracies = fit(5, model, SGD(model.parameters(), 0.5), train, DataLoader(Dataset(x_test, y_test), 128)).accuracies
    # Howard's run of the same printed 96.3 %. At this learning rate the accuracy leaps from epoch to epoch, over seeds from 85 to 97 %.
    assert 0.955 < max(accuracies) < 0.98
    assert accuracies[-1] > 0.9
