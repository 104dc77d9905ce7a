"""One place where errors become messages: what is wrong, what to do, exit code, no traceback."""

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ..configs.errors import SmaltiError, causes, is_out_of_memory
from ..configs.files import NO_ACCESS, NO_NAME, is_disk_full, name_refused

INTERRUPTED = 130
_forgotten: set[str] = set()
_SMALLER = "Close other programs that use memory, or give the command smaller batches."


def guarded(
    lower: str = _SMALLER, *, resumes: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wrap a command so that errors a user can act on end it with a message.

    Args:
        lower: what to make smaller when memory runs out.
        resumes: whether the same command goes on where it was.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                return command(*args, **kwargs)
            except KeyboardInterrupt:
                message, code = f"\nStopped. {_again(resumes)}", INTERRUPTED
            except Exception as error:
                known = explain(error, lower, resumes=resumes)
                if known is None:
                    raise
                message, code = known
            typer.echo(message, err=True)
            raise typer.Exit(code)

        return wrapper

    return decorate


def explain(
    error: BaseException, lower: str = _SMALLER, *, resumes: bool = False
) -> tuple[str, int] | None:
    """Return message and exit code for an error that a user can act on, else None.

    lower, resumes: as in `guarded`.
    """
    if isinstance(error, SmaltiError):
        return f"Error: {error}", error.exit_code
    if any(map(is_out_of_memory, causes(error))):
        return f"Error: out of memory. {lower} {_again(resumes)}", 1
    if is_disk_full(error):
        return f"Error: the disk is full{_where(error)}. Free some space. {_again(resumes)}", 1
    if isinstance(error, OSError) and error.errno in NO_NAME:
        refusal = name_refused(Path(error.filename or ""))
        return f"Error: {refusal}", refusal.exit_code
    if isinstance(error, OSError) and error.errno in NO_ACCESS:
        return (
            f"Error: no permission{_where(error)}. Check who owns it, or choose another folder.",
            2,
        )
    return None


def forget_option(flag: str) -> None:
    """Leave a flag out of the command that goes on: it has done its work, and would undo it."""
    _forgotten.add(flag)


def _again(resumes: bool) -> str:
    """Say what to type: long commands continue where they were, short ones begin anew."""
    program, *words = Path(sys.argv[0]).name, *sys.argv[1:]
    words = [word for word in words if word not in _forgotten]
    kept = "What was done is saved; the same command goes on from there"
    how = kept if resumes else "The same command begins anew"
    return f"{how}:\n  {shlex.join([program, *words])}"


def _where(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f" ({name})" if name else ""
