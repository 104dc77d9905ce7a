"""The errors a user sees: one or two lines that say what is wrong and what to do."""


from collections.abc import Iterator


class SmaltiError(Exception):
    """A failed run; the command prints the message without a traceback and exits with `exit_code`.

    Unfinished work stays on disk, so that the same command continues it.
    """

    exit_code = 1


class InputError(SmaltiError):
    """Bad input: a path, an image, an option or a combination of options that cannot work."""

    exit_code = 2


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether memory ran out: torch has its own class on GPUs, a RuntimeError on CPUs."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
