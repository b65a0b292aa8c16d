"""The command line: ``gradus train``, ``gradus predict``, ``gradus bench``, ``gradus info``."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from gradus.cli.app import execute
from gradus.ctrl_c import EXIT_CODE, STOPPED
from gradus.errors import GradusError

LONGEST_SENTENCE = 400  # characters: as much as can be read in one go


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the program: 0 when all went well, 2 after saying what was wrong, 130 after Ctrl-C.

    Args:
        arguments: the words after ``gradus``; those of the command line when not given.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a question mark for what a terminal's encoding lacks, rather than a traceback
            stream.reconfigure(errors="replace")
    try:
        code = execute(sys.argv[1:] if arguments is None else list(arguments))
    except GradusError as error:
        code = complain(error.sentence()) if len(error.sentence()) <= LONGEST_SENTENCE else complain_at_length(error)
    except OSError as error:
        code = complain(f"{error.filename or 'a file'}: {error.strerror or error}")
    except MemoryError as error:
        code = complain(f"not enough memory: {str(error) or 'the system has no more'}; fix: a smaller --hidden or --batch-size")
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        code = EXIT_CODE
    raise SystemExit(code)


def complain(sentence: str) -> int:
    """One line on standard error."""
    print("gradus: " + " ".join(sentence.split()), file=sys.stderr)
    return 2


def complain_at_length(error: GradusError) -> int:
    """A line on standard error for each part of the message."""
    error.where = ""  # a line of Gradus
    print(f"gradus: {error}", file=sys.stderr)
    return 2
