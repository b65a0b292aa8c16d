"""The folder of one run: where it is, when it may be written to, and its config.json."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from gradus.errors import CheckpointError, UsageError
from gradus.io.atomic import atomic_write

CONFIG = "config.json"
FORMAT = 1
FILES = (CONFIG, "metrics.jsonl", "curves.png", "confusion.png", "mistakes.png", "model.safetensors")


def open_folder(wanted: Path | None, dataset: str, model: str, overwrite: bool) -> Path:
    """Make the run's folder. Only the files of an earlier run are ever removed, and only when ``overwrite`` says so.

    Raises:
        UsageError: there can be no such folder; or it holds an earlier run and ``overwrite`` is not set, or it holds something else.
    """
    if wanted is None:
        return new_folder(Path("runs") / f"{dataset}-{model}-{time.strftime('%Y%m%d-%H%M%S')}")
    refuse_unusable(wanted)
    if wanted.is_dir() and any(wanted.iterdir()):
        if not (wanted / CONFIG).is_file():
            raise UsageError(
                f"{wanted} is not empty and holds no run of Gradus, so nothing is written there", fix="--out another folder", where=""
            )
        read_config(wanted)
        if not overwrite and any(path.name != CONFIG for path in wanted.iterdir()):  # a run that kept nothing may be begun again
            raise UsageError(f"{wanted} holds an earlier run", fix="--overwrite to replace it, or --out another folder", where="")
        for name in FILES:
            (wanted / name).unlink(missing_ok=True)
    make_folder(wanted)
    return wanted


# What the system's refusals mean for a folder.
REASONS = {
    errno.ENAMETOOLONG: "a name in it is longer than the file system takes, most of which take 255 bytes",
    errno.ELOOP: "a symbolic link in it leads back to itself",
    errno.EEXIST: "a file or a broken link of that name is there",
    errno.ENOTDIR: "a part of it is a file",
    errno.EACCES: "the folder above it belongs to somebody else",
    errno.EPERM: "the folder above it belongs to somebody else",
    errno.EROFS: "the file system may only be read",
    errno.ENOSPC: "the disk is full",
    errno.ENOENT: "the system makes no folders there",
}


def unusable(wanted: Path, error: OSError | ValueError) -> UsageError:
    """The system's refusal of a folder in the words of all other complaints."""
    name = str(wanted).replace("\0", "\\0")
    name = name if len(name) <= 80 else f"{name[:50]}…{name[-20:]}"
    number = error.errno if isinstance(error, OSError) else None
    return UsageError(
        f"no folder can be made at {name}",
        got=str(error.strerror if isinstance(error, OSError) and error.strerror else error),
        wanted="a folder, or the name of a new one, that you may write to",
        why=REASONS.get(number, "") if number is not None else "no file or folder can have that character in its name",
        fix="--out another folder",
        where="",
    )


def refuse_unusable(wanted: Path) -> None:
    """See to it before any work is done that a folder can be there and be written to.

    Raises:
        UsageError: a file is in its way, the system takes no such name, or refuses to write to it.
    """
    try:
        wanted.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # to be made, or the search below finds what is in the way
    except (OSError, ValueError) as error:
        raise unusable(wanted, error) from error
    there = next((place for place in (wanted, *wanted.parents) if place.exists()), Path())
    if not there.is_dir():
        raise UsageError(
            f"{there} is a file, not a folder",
            got=f"--out {wanted}",
            wanted="a folder, or the name of a new one",
            fix="--out another folder",
            where="",
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(
            f"{there} cannot be written to", got=f"--out {wanted}", wanted="a folder that is yours", fix="--out another folder", where=""
        )


def make_folder(wanted: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        UsageError: the system refuses.
    """
    try:
        wanted.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise unusable(wanted, error) from error


def new_folder(path: Path) -> Path:
    """``path``, or ``path-2`` and so on when another run began in the same second."""
    refuse_unusable(path)
    make_folder(path.parent)
    number = 1
    while True:
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            candidate.mkdir()
        except FileExistsError:
            number += 1
        else:
            return candidate


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.json, with the number of its format."""
    atomic_write(folder / CONFIG, (json.dumps({"format": FORMAT, **config}, indent=2, ensure_ascii=False) + "\n").encode())


def read_config(folder: Path) -> dict[str, Any]:
    """The config of a run.

    Raises:
        CheckpointError: there is none, or it is not one that Gradus wrote.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise CheckpointError(f"there is no run folder {folder}", code="E32", where="")
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is not a run folder: it has no {CONFIG}", wanted="a folder that `gradus train` wrote", code="E32", where=""
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is damaged", got=str(error), wanted="JSON", code="E32", where="") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT or "dataset" not in config:
        raise CheckpointError(f"{path} is not the config of a run of this version of Gradus", code="E32", where="")
    return config
