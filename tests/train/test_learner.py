"""The Learner on the real digits: what it learns, what it refuses, and what it leaves behind."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from gradus import nn
from gradus.data import DataLoader, Normalizer, TensorDataset, digits
from gradus.errors import DataError, GradusError, LabelError, NonFiniteError, ShapeError, UsageError
from gradus.optim import SGD, Adam
from gradus.random import Generator, manual_seed
from gradus.tensors import Tensor
from gradus.train import Callback, CancelBatch, CancelEpoch, CancelFit, ClipGradients, EarlyStopping, Learner
from gradus.train.models import build_model


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, ...]:
    return tuple(part.numpy() for part in digits())


def mlp(hidden: int = 32, dropout: float = 0.0) -> nn.Sequential:
    return build_model({"kind": "mlp", "inputs": [8, 8], "classes": 10, "hidden": [hidden], "dropout": dropout})


def quiet(model: nn.Module | None = None, loss="cross_entropy", optimizer="adam", **options) -> Learner:
    return Learner(model or mlp(), loss, optimizer, progress=False, **options)


def weights(learner: Learner) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in learner.model.state_dict().items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_it_learns_real_digits(images) -> None:
    x, y, x_test, y_test = images
    learner = quiet(lr=0.01, normalizer=Normalizer())
    history = learner.fit(x, y, epochs=8, validation=0.1, schedule="one-cycle")
    assert list(history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "samples_per_second", "seconds"]
    assert history["epoch"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len(history.step_losses) == learner.step == 8 * -(-1293 // 32)
    assert learner.score(x_test, y_test) > 0.94
    measured = learner.evaluate(x_test, y_test)
    assert measured["accuracy"] == learner.score(x_test, y_test) == (learner.predict(x_test) == y_test).mean()
    assert not learner.model.training
    assert all(parameter.grad is None for parameter in learner.model.parameters())


def test_the_same_seed_gives_the_same_bits(images) -> None:
    def run(seed: int):
        manual_seed(seed)
        learner = quiet(mlp(dropout=0.3))
        return learner.fit(images[0][:300], images[1][:300], epochs=2, validation=0.2).step_losses, weights(learner)

    (first, w1), (again, w2), (other, w3) = run(1), run(1), run(2)
    assert first == again
    assert same(w1, w2)
    assert first != other
    assert not same(w1, w3)


def test_it_equals_the_loop_written_by_hand(images) -> None:
    x, y = Tensor(images[0][:100]), Tensor(images[1][:100])
    manual_seed(3)
    learner = quiet(optimizer=lambda parameters: SGD(parameters, lr=0.1, momentum=0.9))
    learner.fit(x, y, epochs=3, batch_size=30, shuffle=False)
    manual_seed(3)
    model, loss_function = mlp(), nn.CrossEntropyLoss()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        for start in range(0, 100, 30):
            loss = loss_function(model(x[start : start + 30]), y[start : start + 30])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert same(weights(learner), {name: value.detach().numpy() for name, value in model.state_dict().items()})


def test_the_loss_of_an_epoch_weighs_batches_by_their_size() -> None:
    x, y = np.arange(10.0).reshape(10, 1), np.arange(10.0).reshape(10, 1) ** 2
    model = nn.Linear(1, 1).double()
    learner = Learner(model, "mse", SGD(model.parameters(), lr=0.0), progress=False)
    whole = float(((learner.predict(x) - y) ** 2).mean())
    for loss in (nn.MSELoss(), nn.MSELoss(reduction="sum")):
        learner.loss_function = loss
        history = learner.fit(x, y, epochs=1, batch_size=4, validation=(x, y))
        assert history["loss"] == pytest.approx([whole], rel=1e-12)
        assert history["val_loss"] == pytest.approx([whole], rel=1e-12)


def test_fit_batch_is_one_step_in_training_mode(images) -> None:
    x, y = images[0][:20], images[1][:20]
    learner = quiet()
    before = weights(learner)
    loss = learner.fit_batch(x, y)
    assert learner.step == 1
    assert learner.model.training
    assert not same(before, weights(learner))
    assert learner.fit_batch(x, y) < loss


# Data as people have it.


def test_lists_and_float64_are_cast_with_one_notice(images) -> None:
    learner = quiet()
    learner.fit(images[0][:64].astype(np.float64), images[1][:64], epochs=1)
    learner.fit(images[0][:64].astype(np.float64), images[1][:64], epochs=1)
    assert learner.notices == ["X is float64: cast to float32, the dtype that the model computes in"]
    silent = Learner(nn.Linear(2, 1), "mse", progress=False)
    silent.fit([[0, 0], [0, 1], [1, 0]], [[0.0], [1.0], [1.0]], epochs=1)
    assert silent.notices == []
    assert all(parameter.dtype == np.float32 for parameter in silent.model.parameters())


def test_bytes_are_cast_with_a_word_on_their_scale(images) -> None:
    learner = quiet()
    learner.fit((images[0][:64] * 255).astype(np.uint8), images[1][:64], epochs=1)
    assert "not scaled" in learner.notices[0]


def test_validation_rows_are_not_trained_on() -> None:
    x = np.arange(50.0, dtype=np.float32).reshape(50, 1)
    seen: dict[bool, set[float]] = {True: set(), False: set()}

    class Watch(Callback):
        def before_batch(self, learner: Learner) -> None:
            seen[learner.training] |= set(learner.inputs[0].numpy().reshape(-1).tolist())

    Learner(nn.Linear(1, 1), "mse", lr=1e-6, progress=False, callbacks=[Watch()]).fit(x, x, epochs=3, batch_size=7, validation=0.2)
    assert len(seen[True]) == 40
    assert seen[True] | seen[False] == set(range(50))
    assert not seen[True] & seen[False]


def test_the_normalizer_sees_training_rows_alone() -> None:
    x = np.concatenate([np.zeros((30, 2)), np.ones((30, 2))]).astype(np.float32)
    normalizer = Normalizer()
    Learner(nn.Linear(2, 2), "cross_entropy", normalizer=normalizer, progress=False).fit(
        x[:30] + np.eye(30, 2, dtype=np.float32), np.zeros(30, int), epochs=1, validation=(x + 100, np.zeros(60, int))
    )
    assert normalizer.mean < 1


def test_held_out_rows_do_not_enter_the_normalizer() -> None:
    seen: dict[bool, list[np.ndarray]] = {True: [], False: []}

    class Watch(Callback):
        def before_batch(self, learner: Learner) -> None:
            seen[learner.training].append(learner.inputs[0].numpy())

    x = np.random.default_rng(0).normal(5.0, 3.0, (40, 1)).astype(np.float32)
    Learner(nn.Linear(1, 1), "mse", normalizer=Normalizer(), progress=False, callbacks=[Watch()]).fit(x, x, epochs=1, validation=0.5)
    trained_on, held_out = (np.concatenate(seen[kind]) for kind in (True, False))
    assert abs(trained_on.mean()) < 1e-6
    assert trained_on.std() == pytest.approx(1, rel=1e-5)
    assert abs(held_out.mean()) > 1e-3


def test_strings_are_labels(images) -> None:
    names = np.array(["even", "odd"])[images[1] % 2]
    learner = quiet(build_model({"kind": "mlp", "inputs": [8, 8], "classes": 2, "hidden": [32]}), lr=0.01)
    learner.fit(images[0], names, epochs=3)
    assert learner.classes == ["even", "odd"]
    assert set(learner.predict(images[2])) == {"even", "odd"}
    assert learner.score(images[2], np.array(["even", "odd"])[images[3] % 2]) > 0.9


def test_one_example_without_rows_is_told_from_many() -> None:
    learner = Learner(nn.Linear(4, 3), "cross_entropy", progress=False)
    with pytest.raises(ShapeError, match="X must have rows") as caught:
        learner.predict(np.zeros(4, np.float32))
    assert "(4,)" in caught.value.got
    assert learner.predict(np.zeros(4, np.float32)[None]).shape == (1,)


def test_yes_or_no(images) -> None:
    y = (images[1] == 0).astype(np.int64)
    learner = quiet(nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0)), "bce_with_logits", lr=0.02)
    learner.fit(images[0], y, epochs=5)
    assert learner.predict(images[2]).dtype == np.int64
    assert learner.predict_proba(images[2]).shape == (360,)
    assert learner.score(images[2], images[3] == 0) > 0.97


def test_regression_scores_r_squared() -> None:
    x = np.linspace(-1, 1, 60, dtype=np.float32).reshape(-1, 1)
    learner = Learner(nn.Linear(1, 1), "mse", "sgd", lr=0.3, progress=False, metrics=["mae"])
    history = learner.fit(x, 3 * x + 1, epochs=30, batch_size=20)
    assert history["mae"][-1] < 0.01
    assert learner.score(x, 3 * x + 1) > 0.999
    with pytest.raises(UsageError, match="no probabilities"):
        learner.predict_proba(x)


def test_loaders_and_datasets(images) -> None:
    rows = TensorDataset(Tensor(images[0].astype(np.float64)), Tensor(images[1]))
    learner = quiet(lr=0.01)
    history = learner.fit(DataLoader(rows, batch_size=64, shuffle=True), DataLoader(rows, batch_size=512), epochs=2)
    assert history["val_accuracy"][-1] > 0.7
    assert learner.notices == ["the loader yields float64: cast to float32, the dtype that the model computes in"]
    assert learner.evaluate(rows)["accuracy"] == pytest.approx(history["val_accuracy"][-1])
    learner.fit(rows, epochs=1, batch_size=100)
    assert learner.step == 2 * 23 + 15
    with pytest.raises(UsageError, match="validation="):
        learner.fit(rows, epochs=1, validation=0.1)


def test_probabilities(images) -> None:
    learner = quiet(mlp(dropout=0.5))
    learner.model.train()
    probabilities = learner.predict_proba(images[2], batch_size=100)
    assert probabilities.shape == (360, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities, learner.predict_proba(images[2], batch_size=100))  # dropout is off
    assert learner.model.training  # and the mode is as it was
    assert learner.outputs(images[2]).shape == (360, 10)
    assert not learner.outputs(images[2]).requires_grad


def planted(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[37, 2, 5] = np.nan
    return x


@pytest.mark.parametrize(
    "change, error, words",
    [
        (lambda x, y: (x, y[:-1]), DataError, ["same number of rows", "100 and 99"]),
        (lambda x, y: (x[:0], y[:0]), DataError, ["no rows"]),
        (lambda x, y: (planted(x), y), DataError, ["row 37", "[2, 5]", "1 of 6400"]),
        (lambda x, y: ([[1.0, 2.0], [3.0]], y[:2]), DataError, ["differ in shape", "row 1"]),
        (lambda x, y: (x, None), UsageError, ["Y is missing"]),
        (lambda x, y: (x, y + 1), LabelError, ["label 10", "labels start at 1", "Y - 1"]),
        (lambda x, y: (x, y - 1), LabelError, ["label -1", "a label is negative", "Y + 1"]),
        (lambda x, y: (x, np.where(np.arange(100) == 41, -1, y)), LabelError, ["row 41", "negative"]),
        (lambda x, y: (x, np.where(np.arange(100) == 41, 12, y)), LabelError, ["label 12 in row 41", "13 outputs"]),
        (lambda x, y: (x, y.astype(np.float32)), GradusError, ["E08"]),
        (lambda x, y: (x, y[:, None]), GradusError, ["E08"]),
        (lambda x, y: (np.array([object()] * 100), y), DataError, ["must hold numbers"]),
        (lambda x, y: (3.0, y), DataError, ["must have rows"]),
    ],
)
def test_wrong_data_is_named_and_nothing_is_trained(images, change, error, words) -> None:
    learner = quiet()
    before = weights(learner)
    with pytest.raises(error) as caught:
        learner.fit(*change(images[0][:100], images[1][:100]), epochs=1)
    for word in words:
        assert word in str(caught.value)
    assert same(before, weights(learner))


def test_an_ignored_label_is_no_error(images) -> None:
    y = np.where(np.arange(100) == 41, -100, images[1][:100])
    history = quiet().fit(images[0][:100], y, epochs=1)
    assert np.isfinite(history["loss"][0])


@pytest.mark.parametrize(
    "options, words",
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"validation": 1.5}, "0 < share < 1"),
        ({"validation": 0.001}, "leaves 0 for validation"),
        ({"validation": "some"}, "validation must be"),
        ({"schedule": "zigzag"}, "zigzag"),
        ({"callbacks": [ClipGradients]}, "ClipGradients()"),
    ],
)
def test_wrong_options_of_fit(images, options, words) -> None:
    with pytest.raises(UsageError) as caught:
        quiet().fit(images[0][:100], images[1][:100], **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: quiet(loss="crossentropy"), "cross_entropy"),
        (lambda: quiet(optimizer="rmsprop"), "adamw"),
        (lambda: quiet(metrics=["f1"]), "accuracy"),
        (lambda: quiet(task="guess"), "classification"),
        (lambda: quiet(optimizer=Adam(mlp().parameters())), "no parameter of this model"),
        (lambda: Learner(lambda x: x, "mse"), "trains a module"),
    ],
)
def test_wrong_options_of_the_learner(make, words) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)


def test_loss_and_target_of_different_shape_raise() -> None:
    with pytest.raises(ShapeError, match="E07"):
        Learner(nn.Linear(2, 1), "mse", progress=False).fit(np.zeros((8, 2)), np.zeros(8), epochs=1)


def test_a_loss_per_row_is_refused(images) -> None:
    with pytest.raises(ShapeError, match="one number"):
        quiet(loss=nn.CrossEntropyLoss(reduction="none")).fit(images[0][:10], images[1][:10], epochs=1)


# Numbers that are none.


class Poison(Callback):
    """Makes one weight infinite after the second step."""

    def after_step(self, learner: Learner) -> None:
        if learner.step == 2:
            learner.model[3].bias.value[1] = np.inf


def test_a_loss_that_is_nan_stops_before_the_update(images) -> None:
    learner = quiet(callbacks=[Poison()], lr=0.005)
    kept: list[dict[str, np.ndarray]] = []

    class Keep(Callback):
        def before_batch(self, learner: Learner) -> None:
            kept.append(weights(learner))

    with pytest.raises(NonFiniteError) as caught:
        learner.fit(images[0], images[1], epochs=1, batch_size=16, callbacks=[Keep()])
    text = str(caught.value)
    assert "step 3" in text
    assert "0.005" in text
    assert "3 (Linear)" in text
    assert "not updated" in text
    assert same(kept[-1], weights(learner))
    assert learner.step == 2
    assert all(parameter.grad is None for parameter in learner.model.parameters())


def test_a_gradient_that_is_nan_stops_before_the_update() -> None:
    def steep(outputs: Tensor, target: Tensor) -> Tensor:
        return ((outputs - target) * 1e25).sum() * 1e-20

    model = nn.Linear(2, 1, bias=False)
    model.weight.value[...] = 0.0
    learner = Learner(model, steep, SGD(model.parameters(), lr=0.1), progress=False)
    with pytest.raises(NonFiniteError, match="the gradient of weight"):
        learner.fit(np.full((4, 2), 1e35, np.float32), np.zeros((4, 1), np.float32), epochs=1, batch_size=4)
    assert not model.weight.detach().numpy().any()


# Callbacks.


def test_events_come_in_order(images) -> None:
    told: list[str] = []

    def teller(event: str):
        return lambda self, learner: told.append(event)

    events = ["before_fit", "before_epoch", "before_pass", "before_batch", "after_predict", "after_loss", "after_backward", "after_step"]
    events += ["after_batch", "cleanup_batch", "after_pass", "cleanup_pass", "after_epoch", "cleanup_epoch", "after_fit", "cleanup_fit"]
    Everything = type("Everything", (Callback,), {event: teller(event) for event in events})
    quiet(callbacks=[Everything()]).fit(images[0][:10], images[1][:10], epochs=1, batch_size=10)
    assert told == events


def test_callbacks_are_told_by_order_then_as_listed(images) -> None:
    told: list[str] = []

    class Named(Callback):
        def __init__(self, name: str, order: int) -> None:
            self.name, self.order = name, order

        def before_fit(self, learner: Learner) -> None:
            told.append(self.name)

    quiet(callbacks=[Named("c", 70), Named("a", 1), Named("d", 70), Named("b", 2)]).fit(images[0][:10], images[1][:10], epochs=1)
    assert told == ["a", "b", "c", "d"]


def test_a_misspelt_event_is_refused() -> None:
    with pytest.raises(UsageError, match="after_epcoh"):
        type("Wrong", (Callback,), {"after_epcoh": lambda self, learner: None})


class CancelAt(Callback):
    def __init__(self, kind: type[Exception], event: str) -> None:
        self.kind, self.event, self.calls = kind, event, 0
        setattr(self, event, self.act)

    def act(self, learner: Learner) -> None:
        self.calls += 1
        if self.calls == 2:
            raise self.kind


@pytest.mark.parametrize("kind, steps, rows", [(CancelBatch, 7, 2), (CancelEpoch, 5, 1), (CancelFit, 1, 0)])
def test_cancelling(images, kind, steps, rows) -> None:
    """Two epochs of four batches; the second batch cancels itself after backward, the epoch, or the fit."""
    learner = quiet(callbacks=[CancelAt(kind, "after_backward")])
    history = learner.fit(images[0][:40], images[1][:40], epochs=2, batch_size=10)
    assert (learner.step, len(history.rows)) == (steps, rows)
    assert all(parameter.grad is None for parameter in learner.model.parameters())


def test_a_skipped_batch_leaves_no_gradient_to_the_next(images) -> None:
    x, y = images[0][:20], images[1][:20]
    manual_seed(0)
    skipping = quiet(optimizer="sgd", lr=0.1)
    skip_first = CancelAt(CancelBatch, "after_backward")
    skip_first.calls = 1
    skipping.fit(x, y, epochs=1, batch_size=10, shuffle=False, callbacks=[skip_first])
    manual_seed(0)
    second_alone = quiet(optimizer="sgd", lr=0.1)
    second_alone.fit(x[10:], y[10:], epochs=1, batch_size=10, shuffle=False)
    assert same(weights(skipping), weights(second_alone))


def test_early_stopping(images) -> None:
    history = quiet(lr=0.0001).fit(images[0][:50], images[1][:50], epochs=50, validation=0.2, callbacks=[EarlyStopping("lr", patience=3)])
    assert len(history.rows) == 4
    with pytest.raises(UsageError, match="does not measure"):
        quiet().fit(images[0][:50], images[1][:50], epochs=2, callbacks=[EarlyStopping()])


def test_clipping_bounds_the_step(images) -> None:
    model = mlp()
    learner = quiet(model, optimizer=SGD(model.parameters(), lr=1.0), callbacks=[ClipGradients(0.01)])
    before = weights(learner)
    learner.fit(images[0][:32], images[1][:32], epochs=1)
    moved = np.sqrt(sum(((after - before[name]) ** 2).sum() for name, after in weights(learner).items()))
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_a_schedule_moves_the_rate_and_gives_it_back(images) -> None:
    learner = quiet(lr=0.02)
    rates: list[float] = []

    class Watch(Callback):
        def before_batch(self, learner: Learner) -> None:
            rates.append(learner.lr)

    history = learner.fit(images[0][:100], images[1][:100], epochs=10, batch_size=10, schedule="one-cycle", callbacks=[Watch()])
    assert len(rates) == 100
    assert max(rates) == pytest.approx(0.02)
    assert np.argmax(rates) in range(25, 35)
    assert rates[0] < 0.001
    assert rates[-1] < 1e-5
    assert history["lr"] == rates[9::10]
    assert learner.lr == 0.02


def test_a_schedule_steps_between_steps(images) -> None:
    """After the last step there is no next one: a schedule of n steps that is asked n + 1 times may refuse."""
    asked: list[int] = []

    class Counting:
        def __init__(self, optimizer, steps: int) -> None:
            self.steps = steps

        def step(self) -> None:
            asked.append(self.steps)

    quiet().fit(images[0][:30], images[1][:30], epochs=2, batch_size=10, schedule=Counting)
    assert asked == [6] * 5


def test_dropout_is_on_in_training_and_off_in_validation(images) -> None:
    modes: set[tuple[bool, bool]] = set()

    class Watch(Callback):
        def before_batch(self, learner: Learner) -> None:
            modes.add((learner.training, learner.model.training))

    quiet().fit(images[0][:50], images[1][:50], epochs=2, validation=0.2, callbacks=[Watch()])
    assert modes == {(True, True), (False, False)}


# Ctrl-C.


class Press(Callback):
    """Sends this process the signal of Ctrl-C in the middle of a step."""

    def __init__(self, at: int, times: int = 1) -> None:
        self.at, self.times = at, times

    def after_backward(self, learner: Learner) -> None:
        if learner.step + 1 == self.at:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_the_run_after_the_step(images) -> None:
    learner = quiet(callbacks=[Press(at=30)])
    history = learner.fit(images[0][:200], images[1][:200], epochs=50, batch_size=10)
    assert history.interrupted
    assert learner.step == 30
    assert len(history.rows) == 1
    assert not learner.model.training
    assert "stopped after step 30" in learner.notices[0]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    learner.callbacks = ()
    assert not learner.fit(images[0][:200], images[1][:200], epochs=1).interrupted


def test_a_second_ctrl_c_ends_it_at_once(images) -> None:
    learner = quiet(callbacks=[Press(at=3, times=2)])
    with pytest.raises(KeyboardInterrupt):
        learner.fit(images[0][:200], images[1][:200], epochs=50, batch_size=10)
    assert learner.step == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# The range test.


def test_lr_find_suggests_a_rate_and_restores_everything(images) -> None:
    learner = quiet(mlp(dropout=0.2), optimizer="sgd", lr=0.123)
    learner.fit(images[0][:100], images[1][:100], epochs=1)
    before, step, generator = weights(learner), learner.step, Generator(5)
    found = learner.lr_find(images[0], images[1], generator=generator)
    assert 0.01 < found.suggestion < 5
    assert len(found.rates) == len(found.losses) > 100
    assert same(before, weights(learner))
    assert (learner.step, learner.lr) == (step, 0.123)
    assert generator.get_state() == Generator(5).get_state()
    manual_seed(1)
    learner.fit(images[0][:100], images[1][:100], epochs=1)
    after = weights(learner)
    for name, value in before.items():
        learner.model.state_dict()[name].value[...] = value
    manual_seed(1)
    learner.fit(images[0][:100], images[1][:100], epochs=1)
    assert same(after, weights(learner))


def test_lr_find_leaves_the_statistics_to_fit(images) -> None:
    """Rows that will be held out later must not have gone into the normalizer."""
    learner = quiet(normalizer=Normalizer())
    learner.lr_find(images[0], images[1])
    assert not learner.feed.normalizer.fitted


def test_lr_find_needs_a_sensible_range(images) -> None:
    with pytest.raises(UsageError, match="low < high"):
        quiet().lr_find(images[0], images[1], low=1.0, high=0.1)


def test_callbacks_are_named_after_their_class() -> None:
    class LRFinderOfMine(Callback):
        pass

    class Other(Callback):
        name = "mine"

    assert [kind().name for kind in (LRFinderOfMine, Other)] == ["lr_finder_of_mine", "mine"]
