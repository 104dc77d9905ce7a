"""`mosaic fuse` as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from smalti.cli import main
from smalti.train import fusing

RESIDUALS = {"unet.a": 0.25, "text_encoder.b": 0.125, "unet.c": 0.75}


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the trained concepts harry and hermione."""
    for name in ("harry", "hermione"):
        base = {"name": "starter", "fingerprint": "f"}
        facts = {"format": 1, "name": name, "trigger": f"<{name}-1>", "base": base}
        path = tmp_path / "concepts" / name / "edlora.safetensors"
        path.parent.mkdir(parents=True)
        save_file({"a": np.zeros(1, np.float32)}, path, metadata={"edlora": json.dumps(facts)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words: str):
    return CliRunner().invoke(main.app, ["fuse", *words])


def test_names_become_files_and_a_folder(studio, monkeypatch):
    calls = []

    def fuse(paths, out, base, settings):
        calls.append((paths, out, base.name, settings.method))
        return {"method": "gradient", "residuals": RESIDUALS}

    monkeypatch.setattr(fusing, "fuse_concepts", fuse)
    done = typed("harry", "hermione", "--out", "couple", "--method", "gradient")
    assert done.exit_code == 0, done.output
    files = [Path("concepts") / name / "edlora.safetensors" for name in ("harry", "hermione")]
    couple = Path("concepts/couple/edlora.safetensors")
    assert calls == [(files, couple, "starter", "gradient")]
    for shown in ("unet.c", "0.750", "0.500", "0.125", str(couple)):
        assert shown in done.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["harry"], "two concepts"),
        (["harry", "ron"], "ron"),
        (["harry", "harry"], "harry"),
        (["harry", "hermione", "--ridge", "0"], "ridge"),
        (["harry", "hermione", "--method", "magic"], "magic"),
    ],
)
def test_what_cannot_be_fused_is_said_in_a_line(studio, words, named):
    done = typed(*words, "--out", "couple")
    assert done.exit_code == 2 and named in done.output
    assert len(done.output.strip().splitlines()) <= 2
    assert not (studio / "concepts/couple").exists()


def test_where_nothing_can_be_written_is_said_before_the_work(studio, monkeypatch):
    monkeypatch.setattr(fusing, "load_base", lambda *_, **__: pytest.fail("too late"))
    (studio / "taken").touch()
    done = typed("harry", "hermione", "--out", "taken/couple")
    assert done.exit_code == 2 and "taken" in done.output


def test_a_fused_concept_never_lies_among_photos_nor_under_a_file_s_name(studio):
    (studio / "concepts/ron").mkdir()
    (studio / "concepts/ron/1.jpg").touch()
    for out, named in (("ron", "ron"), ("concepts/ron", "ron"), ("couple.safetensors", "couple")):
        done = typed("harry", "hermione", "--out", out)
        assert done.exit_code == 2 and named in done.output and "--out" in done.output
    assert not list(studio.glob("concepts/ron/*.safetensors"))
    assert not list(studio.glob("concepts/couple*"))
