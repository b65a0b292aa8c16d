"""Handwritten digits from the first import to the last picture: find a learning rate, train, look at the mistakes, keep the network.

Run it with ``python examples/digits.py [folder] [--eager]``; it takes a few seconds and writes to ``runs/example`` when no folder is
named. Steps are compiled where Numba is installed; ``--eager`` runs them op by op.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gradus
from gradus import nn
from gradus.data import Normalizer, digits
from gradus.train import Callback, Learner
from gradus.viz import draw_mistakes


class Weights(Callback):
    """A callback of one's own: how far the weights are from where they began."""

    def before_fit(self, learner: Learner) -> None:
        self.start = [parameter.detach().clone() for parameter in learner.model.parameters()]

    def after_pass(self, learner: Learner) -> None:
        moved = [((now.detach() - then) ** 2).sum().item() for now, then in zip(learner.model.parameters(), self.start)]
        learner.row["distance"] = sum(moved) ** 0.5


def main(folder: Path, compile: bool | None) -> None:
    gradus.manual_seed(0)
    x_train, y_train, x_test, y_test = digits()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.4), nn.Linear(128, 10))
    print(model.summary((1, 8, 8)))

    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    learner = Learner(model, loss, "adamw", normalizer=Normalizer(), callbacks=[Weights()], compile=compile)
    rates = learner.lr_find(x_train, y_train)
    print(rates)
    learner.lr = rates.suggestion
    history = learner.fit(x_train, y_train, epochs=20, validation=0.1, schedule="one-cycle")

    learner.save(folder)
    history.plot(folder / "curves.png")
    rates.plot(folder / "learning_rate.png")
    names = [str(digit) for digit in range(10)]
    draw_mistakes(x_test.numpy(), y_test.numpy(), learner.predict_proba(x_test), names, folder / "mistakes.png", "digits")
    print(f"pictures and model in {folder}; test accuracy {learner.score(x_test, y_test):.1%}")

    again = gradus.load_run(folder, model=model)
    assert (again.predict(x_test) == learner.predict(x_test)).all()


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--eager"]
    main(Path(words[0] if words else "runs/example"), False if "--eager" in sys.argv else None)
