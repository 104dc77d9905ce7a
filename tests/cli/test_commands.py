"""The commands as a user types them; the two stages themselves are replaced by recorders."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner

from smalti.cli import gen, main, train
from smalti.configs.describe import field_docs
from smalti.configs.mosaic import changed, mosaic_settings
from smalti.configs.settings import Settings, as_tables
from smalti.generate.plan import MosaicPlan

TORCH_FREE = (
    "import sys; from smalti.cli.{module} import app\n"
    "try: app(sys.argv[1:])\n"
    "except SystemExit as stop: code = stop.code\n"
    "heavy = [n for n in ('torch', 'transformers', 'diffusers', 'datasets') if n in sys.modules]\n"
    "assert not heavy, heavy\n"
    "sys.exit(code)"
)


def typed(module: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as its own process, as the installed script would."""
    command = [sys.executable, "-m", f"smalti.cli.{module}", *words]
    return subprocess.run(
        command, capture_output=True, text=True, errors="surrogateescape", cwd=cwd
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, nothing on standard output, no traceback, the words in the message."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the concepts sylvie (trained) and eileen (not trained)."""
    for name in ("sylvie", "eileen"):
        folder = tmp_path / "concepts" / name
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (64, 64)).save(folder / f"{number}.png")
        Image.new("L", (64, 64)).save(folder / "0.mask.png")
        (folder / "concept.toml").write_text('class_word = "girl"\n')
    facts = {
        "format": 1,
        "method": "edlora",
        "rank": 4,
        "base": {"name": "starter"},
        "training": {"steps": 321},
    }
    metadata = {"edlora": json.dumps(facts)}
    adapter = tmp_path / "concepts" / "sylvie" / "edlora.safetensors"
    save_file({"a": np.zeros(8, np.float32)}, str(adapter), metadata=metadata)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list:
    """Replace both stages by stubs of their signatures; calls are noted as (name, args, kwargs)."""
    from smalti.generate import mosaic, plan, retile
    from smalti.train import dry_run, trainer

    noted: list = []
    shown = create_autospec(MosaicPlan, instance=True)
    shown.facts.return_value = {"grid": "8x8", "pixels": (1024, 1024)}
    shown.settings = Settings(mosaic=mosaic_settings(tile_prompt=("a <cat> [x]",)))
    answers = {
        (trainer, "train_concept"): Path("concepts/sylvie/edlora.safetensors"),
        (dry_run, "dry_run"): {"images": 15, "estimated_time": "4 min [cpu]"},
        (mosaic, "generate_mosaic"): Path("mosaics/x/mosaic.png"),
        (plan, "plan_mosaic"): shown,
        (retile, "plan_retile"): shown,
    }
    for (module, name), answer in answers.items():
        stub = create_autospec(getattr(module, name), return_value=answer)

        def note(*args, _name=name, _answer=answer, **kwargs):
            noted.append((_name, args, kwargs))
            return _answer

        stub.side_effect = note
        monkeypatch.setattr(module, name, stub)
    return noted


def invoke(app, *words: str):
    """Run a command inside this process."""
    return CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("train", ["--help"]),
        ("gen", ["--help"]),
        ("main", ["--help"]),
        ("main", ["gen", "--help"]),
        ("main", ["eval", "--help"]),
        ("main", ["--version"]),
        ("main", ["bases"]),
        ("main", ["concepts"]),
    ],
)
def test_help_and_listings_do_not_load_torch(studio: Path, module: str, words: list[str]):
    command = [sys.executable, "-c", TORCH_FREE.format(module=module), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=studio)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_setting_that_is_an_option_explains_itself(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    text = invoke(gen.app, "--help").stdout
    for name in ("tile_prompt", "level", "noise", "color", "guidance", "cfg_scale"):
        assert field_docs("mosaic")[name] in text
        assert f"--{name.replace('_', '-')}" in text


def test_train_resolves_settings_in_order_and_calls_the_trainer(studio: Path, calls: list):
    (studio / "mine.toml").write_text("[train]\nsteps = 12\nrank = 2\nseed = 5\n")
    result = invoke(
        train.app, "sylvie", "--base", "sd15", "--preset", "edlora-fast", "--config", "mine.toml",
        "--rank", "8", "--gradient-checkpointing", "--set", "train.seed=9", "--restart",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "concepts/sylvie/edlora.safetensors" in result.stdout
    [(name, (folder, settings), kwargs)] = calls
    assert kwargs["restart"] is True
    assert (name, folder) == ("train_concept", Path("concepts/sylvie"))
    found = settings.train
    assert (found.class_word, found.crops_per_image, found.steps) == ("girl", 4, 12)
    assert (found.rank, found.seed, found.gradient_checkpointing) == (8, 9, True)
    assert settings.base.name == "sd15"


def test_gen_passes_options_tiles_and_folder_on(studio: Path, calls: list):
    result = invoke(
        main.app, "gen", "--tile-lora", "sylvie", "--tile-prompt", "a, b", "--tile-prompt", "c",
        "--ref", "p.jpg", "--no-color", "--seed", "7",
    )  # fmt: skip
    assert result.exit_code == 0
    [(_, (settings, out), kwargs)] = calls
    picture, mosaic = settings.mosaic.picture, settings.mosaic
    assert (picture.tile_lora, picture.tile_prompt) == (("sylvie",), ("a, b", "c"))
    assert (mosaic.method.color, mosaic.guide.guidance, picture.seed) == (False, True, 7)
    assert out == Path("mosaics/sylvie-p")
    assert kwargs == {"concepts_dir": Path("concepts"), "retile": [], "progress": None}


def finished(folder: Path, **values) -> Settings:
    """Write the record of a finished mosaic, and return the settings it was made with."""
    made = Settings(mosaic=mosaic_settings(**values))
    folder.mkdir()
    record = {"format": 2, "settings": as_tables(made), "tiles": {}}
    (folder / "mosaic.json").write_text(json.dumps(record))
    return made


def test_retile_takes_what_the_mosaic_was_made_with_but_for_what_is_given(studio, calls):
    made = finished(studio / "m", tile_prompt=("a",), ref="p.jpg", steps=9, seed=3)
    words = ("--out", "m", "--retile", "3,5", "--retile", "0, 1", "--seed", "7")
    assert invoke(gen.app, *words, "--ref", "moved.jpg", "--batch-size", "2").exit_code == 0
    [(_, (settings, out), kwargs)] = calls
    assert settings.mosaic == changed(made.mosaic, seed=7, ref="moved.jpg", batch_size=2)
    assert (out, kwargs["retile"]) == (Path("m"), [(3, 5), (0, 1)])
    assert invoke(gen.app, *words, "-n").exit_code == 0
    (name, (_, _, tiles), _) = calls[-1]
    assert (name, tiles) == ("plan_retile", [(3, 5), (0, 1)])


def test_a_dry_run_takes_no_tile_back(studio: Path):
    from smalti.generate.grid import make_grid
    from smalti.generate.store import Store

    made = finished(studio / "m", tile_prompt=("a",), ref="p.jpg", grid="2x2")
    other = Store(studio / "m", make_grid(made)).kept((0, 1))
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"another")
    before = {path: path.read_bytes() for path in (studio / "m").rglob("*") if path.is_file()}
    told = invoke(gen.app, "--out", "m", "--take-back", "0,1", "-n")
    assert told.exit_code == 0 and "0,1" in told.stdout
    assert before == {p: p.read_bytes() for p in (studio / "m").rglob("*") if p.is_file()}
    missing = invoke(gen.app, "--out", "m", "--take-back", "1,1", "-n")
    assert missing.exit_code == 2 and "1,1" in missing.stderr
    both = invoke(gen.app, "--out", "m", "--take-back", "0,1", "--retile", "0,0", "-n")
    assert both.exit_code == 2 and "--retile" in both.stderr


def test_retile_takes_presets_and_config_files_over_the_mosaics_own_settings(studio, calls):
    finished(studio / "m", tile_prompt=("a",), ref="p.jpg", steps=9, seed=3)
    (studio / "mine.toml").write_text("[mosaic]\ncfg_scale = 2.5\n")
    words = ("--out", "m", "--retile", "3,5", "--preset", "draft", "--config", "mine.toml")
    assert invoke(gen.app, *words).exit_code == 0
    [(_, (settings, _), _)] = calls
    assert (settings.mosaic.sampler.steps, settings.mosaic.sampler.cfg_scale) == (5, 2.5)
    assert settings.mosaic.picture.ref == "p.jpg"


@pytest.mark.parametrize(
    "words", [("--config", "m/mosaic.json"), ("--out", "m", "--retile", "0,0")]
)
def test_an_unknown_setting_in_a_record_is_refused_wherever_it_is_read(studio, calls, words):
    finished(studio / "m", tile_prompt=("a",), ref="p.jpg")
    record = json.loads((studio / "m" / "mosaic.json").read_text())
    record["settings"]["mosaic"]["sampler"]["stepz"] = 3
    (studio / "m" / "mosaic.json").write_text(json.dumps(record))
    result = invoke(gen.app, *words)
    assert result.exit_code == 2 and "stepz" in result.stderr and not calls


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A cat, 2 dogs!", "a-cat-2-dogs"),
        ("ein Mädchen", "ein-mädchen"),
        ("девушка_у моря", "девушка-у-моря"),
        ("दीन", "दीन"),
        ("Ma\u0308dchen", "m\u00e4dchen"),  # as macOS writes the names of files
    ],
)
def test_the_default_folder_keeps_the_letters_of_any_script(prompt: str, name: str):
    settings = mosaic_settings(tile_prompt=(prompt,), ref="фото_1.jpg", method="img2img")
    assert gen.default_out(settings) == Path(f"mosaics/{name}-фото-1-img2img")


def test_default_folders_of_long_or_wordless_prompts_differ():
    prompts = ("a" * 70, "a" * 80, "!!!", "???", "猫" * 40, "猫" * 41)
    found = {
        gen.default_out(mosaic_settings(tile_prompt=(p,), ref_prompt=p, method="noise-blend")).name
        for p in prompts
    }
    no_text = gen.default_out(mosaic_settings(tile_prompt=("x",), ref="\udce4.jpg"))
    assert len(found | {no_text.name}) == len(prompts) + 1
    assert all(len(name.encode()) < 160 and "--" not in name for name in found)


@pytest.mark.parametrize(
    ("app", "words", "shown"),
    [
        (train.app, ["sylvie"], ["estimated time", "4 min [cpu]", "train.rank", "girl"]),
        (gen.app, ["--tile-prompt", "a <cat> [x]"], ["8x8", "1024", "a <cat> [x]", "[mosaic]"]),
    ],
)
def test_dry_run_prints_the_plan_and_all_settings(studio, calls, app, words, shown):
    result = invoke(app, *words, "-n")
    assert result.exit_code == 0
    assert len(calls) == 1 and calls[0][0] in ("dry_run", "plan_mosaic")
    for word in shown:
        assert word in result.stdout
    assert "\x1b" not in result.stdout


def test_each_warning_of_a_dry_run_has_a_line(studio: Path):
    for name in ("0.mask.png", "concept.toml"):
        (studio / "concepts/eileen" / name).unlink()
    lines = invoke(train.app, "eileen", "-n").stdout.splitlines()
    (few,) = (number for number, line in enumerate(lines) if "Only 3 images" in line)
    assert "class word" not in lines[few] and "class word" in lines[few + 1]


@pytest.mark.slow
def test_refusals_of_train(studio: Path):
    refused(typed("train", "silvie", cwd=studio), '"silvie"', "Nearest: sylvie")
    refused(typed("train", "zzz", cwd=studio), "Known: eileen, sylvie")
    refused(typed("train", "sylvie", "--preset", "edlroa", cwd=studio), 'did you mean "edlora"')
    refused(typed("train", "sylvie", "--set", "train.rnak=8", cwd=studio), '"train.rank"')
    refused(typed("train", "sylvie", "--rank", "0", cwd=studio), "train.rank", "at least 1")
    refused(typed("train", "sylvie", "--base", "sd2", cwd=studio), "sd21", "starter")
    refused(typed("train", "sylvie", "--rank", "x", cwd=studio), "--rank", "integer")
    refused(typed("train", cwd=studio), "CONCEPT_DIR")
    refused(typed("train", "sylvie", cwd=studio.parent), "no concepts", "at least 3 images")


def test_refusals_of_gen(studio: Path):
    refused(typed("gen", "--tile-prompt", "x", "--retile", "3;5", cwd=studio), "ROW,COL", "3;5")
    refused(typed("gen", "--tile-prompt", "x", "--level", "9", cwd=studio), "level", "9")
    refused(typed("gen", "--config", "no.toml", cwd=studio), "no.toml")


@pytest.mark.parametrize(
    "words",
    [
        ["--out", "a" * 256],
        ["--out", "/".join(["a" * 200] * 30)],
        ["--ref", "a" * 256],
        ["--tile-lora", "a" * 256],
        ["--config", "a" * 256],
        ["--base", "a" * 256],
        ["--ref", "https://example.org/a.jpg"],
        ["--ref", "-"],
        ["--ref", "~nobody-is-called-so/a.jpg"],
        ["--tile-prompt", "caf\udce9"],
        ["--set", "mosaic.pool=caf\udce9"],
        ["--steps", "100000"],
        ["--tile-size", "100000"],
        ["--cfg-scale", "inf"],
        ["--cfg-scale", "1e30"],
        ["--lora-scale", "1e9"],
        ["--lora-scale", "nan"],
        ["--seed", "9" * 23],
        ["--seed", "9" * 5000],
        ["--set", f"mosaic.seed={'9' * 5000}"],
        ["--set", f"mosaic.tile_prompt={'[' * 5000}"],
        ["--retile", f"{'9' * 5000},0"],
    ],
    ids=lambda words: " ".join(words)[:40].encode("ascii", "replace").decode(),
)
def test_odd_values_of_gen_are_refused_in_a_line(studio: Path, words: list[str]):
    given = [] if "--tile-prompt" in words else ["--tile-prompt", "x"]
    for dry in ([], ["--dry-run"]):
        result = invoke(gen.app, *given, *words, *dry)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(("Error:", "Usage:"))
        assert "Traceback" not in result.stderr
    assert not (studio / "mosaics").exists()


@pytest.mark.parametrize(
    "value",
    [
        "min_snr_gamma=inf",
        "attention_weight=inf",
        "seed=99999999999999999999999",
        "validation_prompts=[]",
        "steps=1e9",
        "class_word=caf\udce9",
    ],
    ids=ascii,
)
def test_odd_values_of_train_are_refused_in_a_line(studio: Path, value: str):
    result = invoke(train.app, "sylvie", "-n", "--set", f"train.{value}")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f"train.{value.split('=')[0]}" in result.stderr


@pytest.mark.parametrize("app", [main.app, gen.app, train.app])
def test_every_command_tells_its_version(app):
    from importlib.metadata import version

    assert invoke(app, "--version").stdout == f"smalti {version('smalti')}\n"


def test_a_photo_whose_name_is_no_text_serves(studio: Path):
    name = os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (64, 64)).save(studio / "a.png")
    (studio / "a.png").rename(studio / name)
    done = typed("gen", "--tile-prompt", "x", "--ref", name, "-n", cwd=studio)
    assert done.returncode == 0, done.stderr


def test_unknown_and_untrained_concepts_are_named(studio: Path):
    unknown = invoke(gen.app, "--tile-lora", "elieen", "--ref-prompt", "x")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert "elieen" in unknown.stderr
    assert "eileen" in unknown.stderr
    untrained = invoke(gen.app, "--tile-prompt", "x", "--ref-lora", "eileen")
    assert untrained.exit_code == 2
    assert "mosaic-train concepts/eileen" in untrained.stderr


def test_concepts_lists_what_is_trained_with_what(studio: Path):
    (studio / "concepts" / "broken").mkdir()
    (studio / "concepts" / "broken" / "edlora.safetensors").write_bytes(b"half a file")
    (studio / "concepts" / "eileen" / ".training").mkdir()
    rows = {}
    for line in invoke(main.app, "concepts").stdout.splitlines()[2:]:
        cells = line.split()
        rows[cells[0]] = cells[1:]
    assert rows["sylvie"][:6] == ["3", "yes", "starter", "edlora", "4", "321"]
    assert rows["eileen"] == ["3", "started"]
    assert rows["broken"][:2] == ["0", "damaged"]
    assert "at least 3 images" in invoke(main.app, "concepts", "--concepts-dir", "nowhere").stdout


def test_bases_and_doctor_say_what_is_missing_and_what_to_type(monkeypatch):
    from smalti.models import locate

    present = {"starter", "sd15"}
    monkeypatch.setattr(locate, "is_present", lambda settings: settings.name in present)
    listed = invoke(main.app, "bases").stdout
    lines = {line.split()[0]: line for line in listed.splitlines() if "px" in line}
    assert " here " in lines["sd15"]
    assert "5.2 GB" in lines["sd21"]
    told = invoke(main.app, "doctor")
    assert told.exit_code == 0, told.stdout
    assert "--base sd21 fetches it at first use" in told.stdout
    for name in ("Python", "torch", "processor", "memory", "bitsandbytes", "xformers"):
        assert name in told.stdout
    present.clear()
    without = invoke(main.app, "doctor")
    assert without.exit_code == 1
    assert "make starter" in without.stdout


@pytest.mark.parametrize(("base", "warned"), [("sd-turbo", True), ("sd15", False)])
def test_a_base_that_is_not_free_for_every_studio_says_so(studio, base, warned):
    """One line on standard error, wherever it is chosen or listed."""
    from smalti.configs.loading import resolve

    note = resolve(base=base).base.license_note
    assert bool(note) is warned
    (studio / "concepts/sylvie/0.mask.png").unlink()  # all black
    drawn = ["--tile-prompt", "a cat", "--ref-prompt", "a dog", "--base", base, "--dry-run"]
    for app, words in ((gen.app, drawn), (train.app, ["sylvie", "--base", base, "--dry-run"])):
        told = invoke(app, *words)
        assert told.exit_code == 0, told.output
        assert ("$1M" in told.stderr) is warned
        assert ("GiB" if app is train.app else "of the model's own") in told.stdout
    listed = [invoke(main.app, name).stdout for name in ("bases", "doctor")]
    assert all("$1M" in " ".join(text.split()) for text in listed)


def test_doctor_tells_what_cards_hold():
    told = invoke(main.app, "doctor").stdout
    (line,) = (line for line in told.splitlines() if line.startswith("sd15 "))
    assert line.count("batch") == 4 and "512 px" in line
    assert all(f"{card} GB" in told for card in (8, 12, 16, 24))


def test_doctor_finds_missing_and_old_packages(monkeypatch):
    from importlib import metadata

    from smalti.cli import doctor

    installed = {"torch": "2.5.1", "typer": "1.10"}

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    needs = ["torch>=2.6", "typer>=0.15", "peft>=0.18", 'ruff>=0.11; extra == "dev"']
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    checks = {check.name: check for check in doctor._packages()}
    assert [checks[name].state for name in ("torch", "typer", "peft")] == [
        "missing",
        "ok",
        "missing",
    ]
    assert checks["peft"].advice == 'pip install "peft>=0.18"'
    assert "ruff" not in checks


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_says_that_work_is_saved_and_how_to_go_on(studio: Path):
    code = (
        "import sys, time; from smalti.train import trainer\n"
        "def train_concept(folder, settings, judge, restart, restarted):\n"
        "    restarted(); print('ready', flush=True); time.sleep(30)\n"
        "trainer.train_concept = train_concept\n"
        "sys.argv[0] = '/somewhere/mosaic-train'\n"
        "from smalti.cli.train import run; run()"
    )
    command = [sys.executable, "-c", code, "concepts/sylvie", "--restart", "--rank", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=studio, **pipes)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "saved" in message
    assert "mosaic-train concepts/sylvie --rank 2" in message  # to restart again would lose it
    assert "Traceback" not in message
