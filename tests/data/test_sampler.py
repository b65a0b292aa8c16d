"""Samplers name every row once, and a loader follows them."""

import gradus
from gradus.data import DataLoader, RandomSampler, SequentialSampler, TensorDataset
from gradus.random import Generator


def test_orders():
    rows = range(20)
    assert list(SequentialSampler(rows)) == list(rows)
    sampler = RandomSampler(rows, Generator(1))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(rows) and first != second
    assert list(RandomSampler(rows, Generator(1))) == first
    assert len(sampler) == 20 and list(RandomSampler([])) == []


def test_a_loader_follows_its_sampler():
    data = TensorDataset(gradus.arange(6))
    batches = [batch[0].tolist() for batch in DataLoader(data, batch_size=4, sampler=[5, 3, 1, 0])]
    assert batches == [[5, 3, 1, 0]]
    shuffled = [i for batch in DataLoader(data, batch_size=4, sampler=RandomSampler(data, Generator(2))) for i in batch[0].tolist()]
    assert shuffled == list(RandomSampler(data, Generator(2)))


def test_pytorch_finds_them_where_it_looks():
    import gradus.utils.data as door

    assert door.RandomSampler is RandomSampler and door.DataLoader is DataLoader
