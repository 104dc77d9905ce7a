"""Install smalti and what it needs into the environment of the Python that runs this.

    .venv/bin/python .ci/install.py ".[dev]"

On Linux torch's usual build carries 3 GB of CUDA. It is taken only where there is an NVIDIA GPU:
elsewhere uv, which knows where torch's CPU builds lie, fetches one of 0.2 GB first. macOS has no
CUDA build to avoid.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
CUDA = re.compile(r"nvidia|cuda|triton", re.IGNORECASE)
CPU_SIZE, CUDA_SIZE = "0.5 GB", "4 GB"
NO_CPU_BUILD = (
    "torch's CPU build could not be fetched, and its usual build brings 3 GB of CUDA to a machine "
    "without an NVIDIA GPU. Look at the message above, then type make again; to take the usual "
    "build all the same, first type: {python} -m pip install torch=={version}"
)


def main(target: str) -> int:
    """Install `target` (a pip requirement, such as ".[dev]"); returns the exit code."""
    if is_there("torch"):
        return pip("install", "--progress-bar", "off", "-c", str(CONSTRAINTS), "-e", target)
    torch = pinned("torch")
    cuda = any(CUDA.search(name) for name in would_install(torch))
    gpu = cuda and has_nvidia_gpu()
    say(f"Downloading about {CUDA_SIZE if gpu else CPU_SIZE} of packages, once:")
    say("torch for your NVIDIA GPU." if gpu else "torch without CUDA, as no NVIDIA GPU is here.")
    if cuda and not gpu and not install_cpu_torch(torch):
        version = torch.partition("==")[2]
        say(NO_CPU_BUILD.format(python=sys.executable, version=version))
        return 1
    return pip("install", "--progress-bar", "off", "-c", str(CONSTRAINTS), "-e", target)


def is_there(package: str) -> bool:
    """Whether this Python can import a package."""
    return importlib.util.find_spec(package) is not None


def pinned(package: str) -> str:
    """The requirement of a package as constraints.txt has it."""
    return next(
        line for line in CONSTRAINTS.read_text().splitlines() if line.startswith(f"{package}==")
    )


def would_install(requirement: str) -> list[str]:
    """Names of what pip would install for it; nothing is downloaded but metadata."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ("--dry-run", "--quiet", "--report", str(report))
        if pip("install", *options, "-c", str(CONSTRAINTS), requirement):
            return []  # the installation will say why
        return [item["metadata"]["name"] for item in json.loads(report.read_text())["install"]]


def has_nvidia_gpu() -> bool:
    """Whether the driver's own tool finds a GPU."""
    tool = shutil.which("nvidia-smi")
    return bool(tool) and subprocess.run([tool, "-L"], capture_output=True).returncode == 0


def install_cpu_torch(requirement: str) -> bool:
    """Install torch without CUDA; False where it cannot be fetched."""
    python = sys.executable
    command = ["-m", "uv", "pip", "install", "--python", python, "--torch-backend", "cpu"]
    return not pip("install", "--quiet", "uv") and not run([python, *command, requirement])


def pip(*arguments: str) -> int:
    """Run pip of this environment; its exit code."""
    return run([sys.executable, "-m", "pip", *arguments])


def run(command: list[str]) -> int:
    """Run a command in the checkout; its exit code."""
    return subprocess.run(command, cwd=ROOT).returncode


def say(text: str) -> None:
    """Print a line at once, so that it stands above what follows."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
