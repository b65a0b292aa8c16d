"""A small GPT learns to write plays, one character at a time, from 1 MB of Shakespeare.

Run it with ``python examples/char_gpt.py [folder]``; 2,000 steps take a few minutes, end at a validation loss of about 1.8 (a network
that has learnt nothing has log 65 = 4.2), and write text that looks like verse from a distance. ``--short`` makes a few steps with a
smaller network, ``--eager`` runs op by op. The text is that of ``--text``, or of ``$GRADUS_DATA/shakespeare/input.txt``.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import gradus
import gradus.nn.functional as F
from gradus import nn
from gradus.compiler.tiers import kernels_installed
from gradus.data.download import data_folder

SOURCE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"


class Attention(nn.Module):
    """Each character looks back at those before it."""

    def __init__(self, width: int, heads: int) -> None:
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: gradus.Tensor) -> gradus.Tensor:
        B, T, D = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, T, D / heads)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, T, D))


class Block(nn.Module):
    """Look back, then think: each part adds to what is there."""

    def __init__(self, width: int, heads: int) -> None:
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(self, x: gradus.Tensor) -> gradus.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.think(self.norm2(x))


class GPT(nn.Module):
    """Characters (B, T) to scores of the next one (B, T, vocabulary)."""

    def __init__(self, vocabulary: int, layers: int, width: int, heads: int, context: int) -> None:
        self.context = context
        self.characters = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.characters.weight  # what means "e" on the way in means "e" on the way out
        for name, p in self.named_parameters():
            if p.ndim == 2:
                # What is added to the stream of a block begins smaller, so that many blocks do not make it louder.
                adds = name.endswith(("out.weight", "think.2.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * layers) if adds else 0.02)

    def forward(self, x: gradus.Tensor) -> gradus.Tensor:
        x = self.characters(x) + self.places(gradus.arange(x.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def loss_of(model: GPT, x: gradus.Tensor, y: gradus.Tensor) -> gradus.Tensor:
    """Mean surprise at the next character."""
    scores = model(x)
    return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), y.reshape(-1))


def training_step(model: GPT, optimizer: gradus.optim.Optimizer, largest_norm: float = 1.0) -> Callable[..., gradus.Tensor]:
    """One whole step of training as a function of a batch."""

    def step(x: gradus.Tensor, y: gradus.Tensor) -> gradus.Tensor:
        loss = loss_of(model, x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), largest_norm)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def rate(t: int, total: int, top: float) -> float:
    """The learning rate of step t: up in a straight line, then down along a cosine to a tenth of the top."""
    warm = max(total // 20, 1)
    if t < warm:
        return top * (t + 1) / warm
    return top * (0.1 + 0.45 * (1 + math.cos(math.pi * (t - warm) / max(total - warm, 1))))


def batches(data: np.ndarray, batch: int, context: int, random: np.random.Generator) -> tuple[gradus.Tensor, gradus.Tensor]:
    """Random pieces of text, and the same pieces one character later."""
    starts = random.integers(0, len(data) - context, batch)[:, None] + np.arange(context)
    return gradus.tensor(data[starts]), gradus.tensor(data[starts + 1])


def estimate(measure: Callable[..., gradus.Tensor], data: np.ndarray, count: int, batch: int, context: int) -> float:
    """The mean loss over some pieces of text, always the same ones."""
    random = np.random.default_rng(0)
    with gradus.no_grad():
        return float(np.mean([measure(*batches(data, batch, context, random)).item() for _ in range(count)]))


def write(model: GPT, start: list[int], length: int, random: np.random.Generator, temperature: float = 0.8) -> list[int]:
    """Go on from ``start``: each character is drawn by the probabilities that the model gives."""
    text = list(start)
    with gradus.no_grad():
        for _ in range(length):
            scores = model(gradus.tensor([text[-model.context :]]))[0, -1]
            p = F.softmax(scores.double() / temperature, dim=0).numpy()
            text.append(int(random.choice(len(p), p=p)))
    return text


def draw(train: list[float], valid: list[tuple[int, float]], path: Path) -> None:
    """Both losses over the steps, if matplotlib is there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    axes = (figure := Figure(figsize=(7, 4), layout="constrained", facecolor="white")).subplots()
    axes.plot(range(1, len(train) + 1), train, color="0.7", linewidth=0.7, label="training, each batch")
    axes.plot(*zip(*valid), color="#d55e00", marker="o", markersize=4, label=f"validation, at last {valid[-1][1]:.2f}")
    axes.set(xlabel="step", ylabel="loss (nats a character)", title="A small GPT reads Shakespeare")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=144)


def main(options: argparse.Namespace) -> float:
    if not (file := options.text or Path(data_folder()) / "shakespeare" / "input.txt").exists():
        sys.exit(f"There is no text in {file}. Put one there, such as {SOURCE}, or name one with --text.")
    text = file.read_text(encoding="utf-8")
    letters = sorted(set(text))
    data = np.array([letters.index(c) for c in letters])[np.searchsorted(letters, list(text))]
    train, valid = data[: int(0.9 * len(data))], data[int(0.9 * len(data)) :]

    gradus.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    layers, width, heads, context, batch = (2, 32, 2, 16, 8) if options.short else (4, 128, 4, 64, 12)
    total = options.iterations or (60 if options.short else 2000)
    model = GPT(len(letters), layers, width, heads, context)
    print(f"{len(text):,} characters, {len(letters)} different; {sum(p.numel() for p in model.parameters()):,} parameters")
    matrices, others = ([p for p in model.parameters() if (p.ndim == 2) is flat] for flat in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others}]
    optimizer = gradus.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.99), weight_decay=0.0)
    step, measure = training_step(model, optimizer), functools.partial(loss_of, model)
    if kernels_installed() and not options.eager:
        step, measure = gradus.compile(step), gradus.compile(measure)

    losses, seconds, found = [], [], [(0, estimate(measure, valid, 20, batch, context))]
    print(f"step {0:5d}  validation loss {found[0][1]:.3f}")
    for done in range(1, total + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate(done - 1, total, options.lr)
        began = time.perf_counter()
        losses.append(step(*batches(train, batch, context, random)).item())
        seconds.append(time.perf_counter() - began)
        if done % max(total // 10, 1) == 0 or done == total:
            found.append((done, estimate(measure, valid, 200 if done == total else 20, batch, context)))
            mean = np.mean(losses[-max(total // 10, 1) :])
            left = np.median(seconds) * (total - done)
            print(f"step {done:5d}  training loss {mean:.3f}  validation loss {found[-1][1]:.3f}  {left:4.0f} s left", flush=True)
    print(f"{1000 * np.median(seconds):.1f} ms a step (median)\n")

    options.folder.mkdir(parents=True, exist_ok=True)
    draw(losses, found, options.folder / "loss.png")
    written = "".join(letters[k] for k in write(model, [letters.index("\n")], 100 if options.short else 500, random))
    (options.folder / "written.txt").write_text(written, encoding="utf-8")
    print(written.strip() + f"\n\nfinal validation loss {found[-1][1]:.3f}")
    return found[-1][1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A small GPT learns to write, one character at a time.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs/char-gpt"), help="where the picture and the text go")
    parser.add_argument("--text", type=Path, help="a text file to learn from")
    parser.add_argument("--iterations", type=int, help="steps (2,000)")
    parser.add_argument("--lr", type=float, default=2e-3, help="top learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="a small network, a few steps")
    parser.add_argument("--eager", action="store_true", help="op by op, also where Numba is installed")
    main(parser.parse_args())
