"""Throw odd files, captions, settings and options at the commands: no traceback, hang or loss.

    python benchmarks/fuzz.py                 2,000 cases, about a minute
    python benchmarks/fuzz.py --cases 200 --seed 7

Cases are drawn by hypothesis, which shrinks a failing one to its simplest form and prints it.
Commands run in this process with --dry-run. Whatever they are given, they end with exit code 0 or
2, within 20 seconds, and leave every file of the working folder as it was.
"""

import os
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from fuzz_cases import (
    CAPTIONS,
    GEN_OPTIONS,
    SETTINGS_FILES,
    TRAIN_OPTIONS,
    WORDS,
    OddPicture,
    odd_pictures,
    options,
)
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning
from PIL import Image
from typer.testing import CliRunner

from smalti.cli import gen, train
from smalti.cli.console import console, print_table
from smalti.configs.errors import InputError
from smalti.models.concept_files import CAPTION_SUFFIXES, IMAGE_SUFFIXES
from smalti.models.photos import load_photo
from smalti.models.pixels import flatten
from smalti.train.concept import load_concept, open_image

SECONDS = 20
GOOD = 3  # photos in the concept folder, which make it a concept

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


class Hang(BaseException):
    """A case takes too long; no `except Exception` may swallow it."""


@dataclass
class Tally:
    """What became of the cases of one kind."""

    ends: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


@contextmanager
def studio() -> Iterator[Path]:
    """A working folder with the concept "cup", of three photos, and a photo beside it."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("concepts/cup").mkdir(parents=True)
        for number in range(GOOD):
            Image.new("RGB", (64, 64), (80 * number, 0, 0)).save(f"concepts/cup/{number}.png")
        Image.new("RGB", (64, 80), "red").save("photo.png")
        yield Path(folder)


def snapshot() -> dict[str, bytes]:
    """Every file of the working folder with its content."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@contextmanager
def in_time() -> Iterator[None]:
    """Raise Hang when what happens within takes too long."""

    def stop(*_: Any) -> None:
        raise Hang(f"more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def added(path: Path, data: bytes) -> Iterator[None]:
    """A file that lies there for one case, and must come out of it as it went in."""
    path.write_bytes(data)
    try:
        yield
        assert path.read_bytes() == data
    finally:
        path.unlink(missing_ok=True)


def run_command(command: typer.Typer, words: list[str]) -> str:
    """Run a command that shall do nothing; returns how it ended."""
    before = snapshot()
    result = CliRunner().invoke(command, ["--dry-run", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 2), result.exit_code
    assert result.exit_code == 0 or result.stderr.strip(), "refused without a word"
    assert "Traceback" not in result.stderr
    assert snapshot() == before, "files were changed"
    return "ok" if result.exit_code == 0 else "refused"


@given(odd=odd_pictures(), suffix=st.sampled_from(sorted(IMAGE_SUFFIXES)))
def pictures(odd: OddPicture, suffix: str) -> str:
    """A picture file as the reference and as a concept's photo: both or neither can be read."""
    path = Path(f"concepts/cup/odd{suffix}")
    with added(path, odd.data):
        try:
            image = load_photo(path)
        except InputError as error:
            assert path.name in str(error) and not odd.readable, error
            image = None
        concept = load_concept("concepts/cup", "cup")
        assert len(concept.images) == GOOD + (image is not None)
        assert any(path.name in line for line in concept.warnings) == (image is None)
        for item in concept.images[GOOD:]:
            assert flatten(open_image(item)[0])[0].size == tuple(image.shape[:0:-1])
    return "refused" if image is None else "ok"


@given(
    stem=st.one_of(st.sampled_from(("0", "1", "x")), WORDS),
    ending=st.sampled_from((*CAPTION_SUFFIXES, ".TXT", ".mask.png", "_mask.png", "-masklabel.png")),
    data=CAPTIONS,
)
def captions_and_masks(stem: str, ending: str, data: bytes) -> str:
    """A file beside the photos whose name says that it is a caption or a mask."""
    short = os.fsdecode(os.fsencode(stem.replace("/", ""))[:50])
    with added(Path("concepts/cup") / f"{short}{ending}", data):
        return run_command(train.app, ["cup"])


@given(data=SETTINGS_FILES, name=st.sampled_from(("concepts/cup/concept.toml", "a.toml", "a.json")))
def settings_files(data: bytes, name: str) -> str:
    """A file of settings, read by the command that it is for."""
    with added(Path(name), data):
        if name == "a.json":
            return run_command(gen.app, ["--config", name, "--tile-prompt", "x"])
        return run_command(train.app, ["cup", *(["--config", name] if name == "a.toml" else [])])


@given(words=options(GEN_OPTIONS))
def options_of_gen(words: list[str]) -> str:
    """Options of mosaic-gen."""
    return run_command(gen.app, ["--tile-prompt", "x", *words])


@given(words=options(TRAIN_OPTIONS), name=st.one_of(*[st.just("cup")] * 4, WORDS))
def options_of_train(words: list[str], name: str) -> str:
    """Options of mosaic-train."""
    return run_command(train.app, [*words, "--", name])


SHARES: dict[Callable[..., str], float] = {
    pictures: 0.5,
    captions_and_masks: 0.1,
    settings_files: 0.1,
    options_of_gen: 0.2,
    options_of_train: 0.1,
}


def fuzz(cases: int, start: int) -> dict[str, Tally]:
    """Run so many cases, drawn from `start`; raises what a command did wrong, its case shrunk."""
    tallies = {}
    with studio(), warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)  # long lists of words print long
        for kind, share in SHARES.items():
            tallies[kind.__name__] = tally = Tally()
            _run(kind, max(1, round(cases * share)), start, tally)
    return tallies


def _run(kind: Callable[..., str], cases: int, start: int, tally: Tally) -> None:
    inner = kind.hypothesis.inner_test  # type: ignore[attr-defined]

    def timed(**values: Any) -> None:
        began = time.perf_counter()
        with in_time():
            tally.ends[inner(**values)] += 1
        tally.slowest = max(tally.slowest, time.perf_counter() - began)

    kind.hypothesis.inner_test = timed  # type: ignore[attr-defined]
    try:
        quiet = settings(
            max_examples=cases, deadline=None, database=None, suppress_health_check=HealthCheck
        )
        seed(start)(quiet(kind))()
    finally:
        kind.hypothesis.inner_test = inner  # type: ignore[attr-defined]


@app.command()
def main(
    cases: Annotated[int, typer.Option(min=10, help="Cases in all.")] = 2000,
    start: Annotated[int, typer.Option("--seed", help="Where the cases are drawn from.")] = 0,
) -> None:
    """Fuzz the commands, and say how the cases ended."""
    rows = [
        (name, str(tally.ends["ok"]), str(tally.ends["refused"]), f"{tally.slowest:.2f} s")
        for name, tally in fuzz(cases, start).items()
    ]
    print_table(f"{cases} cases from seed {start}", ("kind", "ok", "refused", "slowest"), rows)
    console().print("No traceback, no hang, nothing lost.")


if __name__ == "__main__":
    app()
