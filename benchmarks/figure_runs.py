"""Run a measurement's commands in its folder, once, and say on what it was measured."""

import hashlib
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path
from time import monotonic

from figure_list import Command, Measurement, Size

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.files import file_hash, read_json, remove, write_json

ROOT = Path(__file__).parents[1]
ROOMS = ("configs", "evaluate", "generate", "models", "train", "starter", "cli")
"""What a figure depends on, beside the benchmark itself; not pages, tests or how tables look."""
KINDS = ("py", "toml")
WEIGHTS = "models/starter/unet/diffusion_pytorch_model.safetensors"
PROGRAMS = {"mosaic": "smalti.cli.main"}
DONE, LOG = "done.json", "log.txt"
running: set["subprocess.Popen[bytes]"] = set()
INTERRUPTED = (130, -signal.SIGINT)
QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TTY_COMPATIBLE": "0"}


@dataclass(frozen=True)
class Provenance:
    """On what a measurement was made."""

    commit: str
    weights: str
    """First digits of the SHA-256 of the starter's UNet."""
    machine: str
    day: str
    minutes: float
    """What it took, those of earlier starts left out."""

    def line(self, command: str) -> str:
        """The line below a table."""
        return (
            f"*`{command}`; commit {self.commit}, starter {self.weights}, {self.machine}; "
            f"{self.day}*"
        )


@dataclass(frozen=True)
class Setting:
    """What is the same for all measurements of one run."""

    size: Size
    lpips: Path | None
    """AlexNet's weights; without them tables have no LPIPS."""
    threads: int
    """Of a process that does not run alone."""
    work: Path
    """Where output lies, relative to the repository."""

    def folder(self, measurement: Measurement) -> Path:
        """Where this measurement's output lies; another key has another folder."""
        return self.work / f"{measurement.name}-{self.key(measurement)}"

    def done(self, measurement: Measurement) -> Provenance | None:
        """On what it was measured, None when that is still to be done."""
        found = read_json(ROOT / self.folder(measurement) / DONE)
        return Provenance(**found) if found else None

    def key(self, measurement: Measurement) -> str:
        """Changes with everything that a measurement's numbers depend on."""
        concepts = {name: adapter_hash(name) for name in measurement.concepts}
        code = {"sources": sources_hash(), "scripts": scripts_hash()}
        files = {"weights": weights(), "concepts": concepts, "lpips": self.lpips is not None}
        facts = {"commands": self.shown(measurement), "machine": machine(), **code, **files}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:10]

    def shown(self, measurement: Measurement) -> str:
        """The commands as pages show them."""
        texts = [one.shown.format(**asdict(self.size)) for one in measurement.commands if one.shown]
        return "; ".join(
            text if text.split()[0] in PROGRAMS else f"python {text}" for text in texts
        )

    def words(self, command: Command, out: Path) -> list[str]:
        """A command as it is run."""
        lpips = f"--lpips {shlex.quote(str(self.lpips))}" if self.lpips else ""
        places = {"out": shlex.quote(out.as_posix()), "lpips": lpips}
        text = f"{command.shown} {command.files}".format(**asdict(self.size), **places)
        program, *rest = shlex.split(text)
        start = ["-m", PROGRAMS[program]] if program in PROGRAMS else [program]
        return [sys.executable, *start, *rest]


def measure(setting: Setting, measurement: Measurement) -> Provenance:
    """Run a measurement's commands; each goes on where an earlier start was stopped.

    Raises SmaltiError when one fails, with the end of what it said.
    """
    out, began = setting.folder(measurement), monotonic()
    (ROOT / out).mkdir(parents=True, exist_ok=True)
    threads = os.cpu_count() or 1 if measurement.alone else setting.threads
    for command in measurement.commands:
        run(setting.words(command, out), ROOT / out / LOG, threads)
    minutes = round((monotonic() - began) / 60, 2)
    found = Provenance(commit(), weights(), machine(), date.today().isoformat(), minutes)
    write_json(ROOT / out / DONE, asdict(found))
    return found


def run(words: list[str], log: Path, threads: int) -> None:
    """Run a command from the repository, its words in `log`; raises SmaltiError when it fails."""
    environment = {**os.environ, **QUIET, "OMP_NUM_THREADS": str(threads)}
    with log.open("a", encoding="utf-8") as file:
        print("$", shlex.join(words[1:]), file=file, flush=True)
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=file, stderr=file)
        running.add(process)
        code = process.wait()
        running.discard(process)
    if code in INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        end = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        raise SmaltiError("\n".join([f"exit code {code}; {log} ends:", *end]))


def stop() -> None:
    """Interrupt the commands that run, as Ctrl-C does that reaches only this process."""
    for process in tuple(running):
        process.send_signal(signal.SIGINT)


def forget(setting: Setting, measurement: Measurement) -> None:
    """Remove what a measurement left, so that it is made anew."""
    remove(ROOT / setting.folder(measurement))


def adapter_hash(concept: str) -> str:
    """Of a sample concept's adapter; raises InputError for one that is not trained."""
    path = ROOT / "concepts" / concept / "edlora.safetensors"
    if not path.is_file():
        raise InputError(f"concepts/{concept} is not trained. `make figures` does that, or: "
                         f"mosaic-train concepts/{concept}")  # fmt: skip
    return file_hash(path)


@cache
def weights() -> str:
    """First digits of the hash of the starter's UNet."""
    return file_hash(ROOT / WEIGHTS)[:12]


def sources() -> Iterator[Path]:
    """Code and presets of the rooms that figures depend on."""
    for room in ROOMS:
        yield from sorted(p for p in (ROOT / room).rglob("*") if p.suffix[1:] in KINDS)


@cache
def sources_hash() -> str:
    """Of code and presets as they lie there, committed or not."""
    return _hashed(sources())


@cache
def scripts_hash() -> str:
    """Of the benchmarks, but for what only lays out pages."""
    scripts = (ROOT / "benchmarks").glob("*.py")
    return _hashed(path for path in sorted(scripts) if not path.stem.startswith("figure"))


def _hashed(paths: Iterator[Path]) -> str:
    texts: Mapping[str, str] = {str(path.relative_to(ROOT)): file_hash(path) for path in paths}
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


@cache
def commit() -> str:
    """The checkout's commit, and whether its code was changed since."""
    short = _git("rev-parse", "--short=8", "HEAD")
    code = [f":(glob){room}/**/*.{kind}" for room in (*ROOMS, "benchmarks") for kind in KINDS]
    changed = _git("status", "--porcelain", "--", *code)
    return (short or "unknown") + (" with changes" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode else done.stdout.strip()


@cache
def machine() -> str:
    """What computed: the GPU or the processor, its cores and instructions, torch's version."""
    import torch

    from smalti.models.device import pick_device, resolve_precision

    if pick_device() == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    bf16 = "bf16" if resolve_precision("auto", "cpu") == "bf16" else "no bf16"
    wide = torch.backends.cpu.get_cpu_capability()
    avx = "AVX-512" if "AVX512" in wide else "no AVX-512"
    return f"{_processor()}, {os.cpu_count()} cores, {bf16}, {avx}, torch {torch.__version__}"


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
