"""What must hold for the files of the repository as a whole."""

import ast
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUFFIXES = {".py", ".md", ".toml", ".txt", ".sh", ".mjs", ".yml", ".cfg", ".json", ""}
LARGEST_TEXT = 300_000  # bytes; tokenizer files are larger and made by a library
# Home folders, our own workplace, addresses of package indexes: nothing that only one machine has.
# Every machine has a loopback address.
LOCAL = re.compile(
    r"(?<![\w.])/(?:home|Users|root|work|opt|mnt|workspace)/\w"
    r"|\b(?:10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+)\b"
    r"|--(?:extra-)?index-url|(?:pypi\.org|registry\.npmjs\.org|artifactory|pythonhosted)"
)
# Names of paths in examples and tests that stand for any machine's.
ALLOWED = {"tests/test_repository.py", "tests/cli/test_boundary.py"}


def git(*words: str) -> str:
    """What git says of the checkout, whoever owns it; outside one there is nothing to look at."""
    command = ["git", "-c", f"safe.directory={ROOT}", *words]
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def tracked() -> list[Path]:
    """Files that git knows."""
    names = git("ls-files", "-z").split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    """Names and contents of the tracked text files."""
    found = []
    for path in tracked():
        if path.suffix in SUFFIXES and path.stat().st_size < LARGEST_TEXT:
            found.append((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")))
    return found


def test_no_file_names_a_machine_or_a_package_index():
    checked = [(name, text) for name, text in texts() if name not in ALLOWED]
    assert len(checked) > 100
    hits = [
        f"{name}:{number}: {match[0]}"
        for name, text in checked
        for number, line in enumerate(text.splitlines(), 1)
        if (match := LOCAL.search(line))
    ]
    assert not hits, "\n".join(hits)


@pytest.mark.parametrize(
    "line", ["/home/ann/x", "see /work/main", "--index-url", "http://10.0.0.1"]
)
def test_the_pattern_finds_what_it_is_for(line: str):
    assert LOCAL.search(line)


def link_targets(text: str) -> list[str]:
    """Relative targets of Markdown links and HTML images."""
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    return [target.split("#")[0] for target in found if not re.match(r"[a-z]+:|#", target)]


PAGES = [
    "README.md", "CONTRIBUTING.md", "concepts/README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
]  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_tracked_files(name: str):
    path = ROOT / name
    known = {str(file) for file in tracked()}
    for target in link_targets(path.read_text(encoding="utf-8")):
        assert str((path.parent / target).resolve()) in known, target


def test_no_placeholder_is_left():
    left = {word for name, text in texts() if name.endswith(".md")
            for word in re.findall(r"\bFIGURE_\w+", text)}  # fmt: skip
    assert not left, f"numbers still to be filled in: {sorted(left)}"


def test_what_users_make_is_ignored_by_git():
    made = ["concepts/mug/edlora.safetensors", "concepts/mug/validation.png",
            "concepts/mug/.training/log.jsonl", "mosaics/demo/mosaic.png", ".venv/x"]  # fmt: skip
    assert git("check-ignore", *made).split() == made


def test_every_room_is_in_the_contributing_guide():
    rooms = {
        path.relative_to(ROOT).parts[0]
        for path in tracked()
        if len(path.parts) > len(ROOT.parts) + 1
    }
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {room for room in rooms if not room.startswith(".") and f"`{room}/`" not in guide} <= {
        "docs"
    }


SOURCES = (
    "cli", "configs", "evaluate", "generate", "models", "starter", "studio", "train", "benchmarks",
)  # fmt: skip


def functions(path: Path) -> list[tuple[str, int]]:
    """Name and length in lines of every function of a file, signature and docstring included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [(f"{path.name}:{n.name}", n.end_lineno - n.lineno + 1) for n in nodes]


def test_files_and_functions_stay_small():
    sources = [p for p in tracked() if p.suffix == ".py"
               and p.relative_to(ROOT).parts[0] in SOURCES]  # fmt: skip
    lengths = [found for path in sources for found in functions(path)]
    assert not [name for name, length in lengths if length > 40]
    assert statistics.median(length for _, length in lengths) <= 8
    assert not [p for p in sources if len(p.read_text(encoding="utf-8").splitlines()) > 350]


def test_rooms_import_only_what_stands_below_them():
    code = "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
