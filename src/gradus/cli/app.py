"""The commands and their options, as typer reads them off function signatures."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradus
from gradus.cli.exhibits import show
from gradus.cli.information import print_information
from gradus.cli.ladder import EXPERIMENTS, broadcasting, run_experiment
from gradus.cli.prediction import predict_images
from gradus.cli.run_folder import refuse_unusable
from gradus.cli.speed import print_speed
from gradus.cli.training import DEFAULTS, Options, train
from gradus.ctrl_c import EXIT_CODE, STOPPED
from gradus.errors import UsageError, missing_extra

Dataset = enum.StrEnum("Dataset", ["digits", "mnist", "fashion"])
Model = enum.StrEnum("Model", ["linear", "mlp", "cnn"])
OptimizerName = enum.StrEnum("OptimizerName", ["sgd", "adam", "adamw"])


class ScheduleName(enum.StrEnum):
    """Names with a hyphen, which Python's own names cannot have."""

    NONE = "none"
    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"


def execute(arguments: Sequence[str]) -> int:
    """Run the command that ``arguments`` name and return its exit code.

    Raises:
        UsageError: an argument that no command takes.
        MissingExtraError: typer is not installed.
    """
    try:
        import typer
    except ImportError as error:
        raise missing_extra("typer", "cli", "The command line") from error
    command = typer.main.get_command(make_app(typer))
    # The ancestor of all complaints about arguments; its home has moved between versions of typer, its heirs have not.
    complaint: Any = typer.BadParameter.__mro__[2]
    try:
        return int(command.main(list(arguments), prog_name="gradus", standalone_mode=False) or 0)
    except typer.Exit as exit_:
        return exit_.exit_code
    except typer.Abort as error:  # as which typer passes on what it caught
        raise KeyboardInterrupt from error
    except complaint as error:
        context = getattr(error, "ctx", None)
        if not error.format_message():  # a group of commands without a command, which has shown its help
            return 2
        sentence = error.format_message().rstrip(".").replace("Value error, ", "")  # pydantic's words, in some versions of typer
        raise UsageError(sentence, fix=f"{context.command_path if context else 'gradus'} --help", where="") from error


def make_app(typer: Any) -> Any:
    """The typer application with its commands."""
    app = typer.Typer(
        name="gradus",
        help="Gradus: a deep-learning framework built from its foundations.",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            print(f"gradus {gradus.__version__}")
            raise typer.Exit

    def common(
        context: typer.Context,
        version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Print the version."),
    ) -> None:
        if context.invoked_subcommand is None:
            print(context.get_help())

    # typer resolves annotations in the module's globals, where typer itself is not: it is imported when a command runs.
    common.__annotations__["context"] = typer.Context
    app.callback(invoke_without_command=True)(common)
    app.command("train")(train_command(typer))
    app.command("predict")(predict_command(typer))
    app.command("bench")(bench_command(typer))
    app.command("info")(print_information)
    app.add_typer(ladder_commands(typer))
    return app


def by_dataset(field: str, lead: str = "Default: ") -> str:
    """The default of an option for each data set, in words for the help text."""
    values = {name: getattr(defaults, field) for name, defaults in DEFAULTS.items()}
    texts = {name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in values.items()}
    if len(set(texts.values())) == 1:
        return lead + texts["digits"]
    return lead + ", ".join(f"{name} {text}" for name, text in texts.items())


def train_command(typer: Any) -> Any:
    """The function behind ``gradus train``, whose parameters are its options."""
    option = typer.Option

    def command(
        dataset: Dataset = typer.Argument(Dataset.digits, help="What to learn."),
        model: Model = option(
            Model.mlp, help="linear: softmax regression. mlp: hidden layers with ReLU. cnn: two convolutions before them."
        ),
        hidden: list[str] = option(None, help="Widths of the hidden layers: --hidden 256,128. " + by_dataset("hidden") + "."),
        dropout: float = option(None, min=0.0, max=0.9, help="Share of hidden values left out in training. " + by_dataset("dropout") + "."),
        epochs: int = option(None, min=1, help="Passes over the training images. " + by_dataset("epochs") + "."),
        batch_size: int = option(None, min=1, help="Images per step. " + by_dataset("batch_size") + "."),
        lr: float = option(None, help="Highest learning rate. " + by_dataset("lr") + ". With sgd: " + by_dataset("sgd_lr", "") + "."),
        optimizer: OptimizerName = option(OptimizerName.adamw, help="The update rule."),
        schedule: ScheduleName = option(ScheduleName.ONE_CYCLE, help="How the learning rate moves."),
        label_smoothing: float = option(0.1, min=0.0, max=0.9, help="Share of the target spread over all classes."),
        compile: bool = option(
            None, "--compile/--no-compile", help="One compiled function for each step. Default: if Numba is installed.", show_default=False
        ),
        seed: int = option(0, min=0, help="The same seed gives the same network, bit for bit."),
        out: Path = option(None, help="Run folder. Default: runs/<dataset>-<model>-<time>."),
        overwrite: bool = option(False, "--overwrite", help="Replace an earlier run in the folder."),
    ) -> int:
        """Train a network, and write curves, mistakes and the model to a run folder."""
        options = Options.make(
            dataset=dataset.value,
            model=model.value,
            hidden=widths(hidden),
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer.value,
            schedule=schedule.value,
            label_smoothing=label_smoothing,
            seed=seed,
            compile=compile,
        )
        try:
            return train(options, out, overwrite)
        except KeyboardInterrupt:  # while data is read or pictures are drawn; typer would end in silence
            print(STOPPED, file=sys.stderr)
            return EXIT_CODE

    return command


def predict_command(typer: Any) -> Any:
    """The function behind ``gradus predict``."""

    def command(
        run: Path = typer.Argument(help="Folder of a finished run, or its model.safetensors."),
        images: list[Path] = typer.Argument(help="PNG, JPEG or .npy files."),
    ) -> None:
        """Say what images show, with the probability of each class."""
        predict_images(run, images)

    return command


def bench_command(typer: Any) -> Any:
    """The function behind ``gradus bench``."""

    def command(rounds: int = typer.Option(40, min=1, help="How often each way has its turn.")) -> None:
        """Time a training step here, op by op and compiled."""
        print_speed(rounds)

    return command


def ladder_commands(typer: Any) -> Any:
    """``gradus ladder``, with a command for each experiment."""
    ladder = typer.Typer(
        name="ladder", help="The road from three loops to a compiled step: experiments with tables and pictures.", no_args_is_help=True
    )

    def command_of(name: str, words: str) -> Any:
        def command(
            seed: int = typer.Option(0, min=0, help="The same seed gives the same numbers."),
            out: Path = typer.Option(Path("ladder"), help="Folder of the pictures."),
        ) -> None:
            refuse_unusable(out)
            run_experiment(name, seed, out)

        command.__doc__ = words
        return command

    def broadcast(a: str = typer.Argument(help="A shape: 64,3,256,256."), b: str = typer.Argument(help="Another one: 3,1,1.")) -> None:
        """Explain how two shapes meet, axis by axis."""
        show("broadcast", broadcasting(a, b), Path())

    for name, experiment in EXPERIMENTS.items():
        ladder.command(name)(command_of(name, experiment.__doc__ or ""))
    ladder.command("broadcast")(broadcast)
    ladder.command("all")(command_of("all", "All of them, one after the other."))
    return ladder


def widths(texts: Sequence[str] | None) -> tuple[int, ...] | None:
    """The numbers in ``--hidden 256,128 --hidden 64``; None when the option is not there."""
    parts = [part.strip() for text in texts or () for part in text.split(",")]
    if not parts:
        return None
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError("--hidden takes positive whole numbers", got=",".join(parts), wanted="widths such as 256,128", where="")
    return tuple(int(part) for part in parts)
