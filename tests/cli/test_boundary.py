"""Every kind of failure becomes a message with an exit code, and unknown ones stay visible."""

import errno
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from smalti.cli import boundary
from smalti.cli.boundary import explain, guarded
from smalti.configs.errors import InputError, SmaltiError


def run(error: BaseException, monkeypatch: pytest.MonkeyPatch, *, resumes: bool = True):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    @guarded("Take --batch-size 1.", resumes=resumes)
    def fail() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["/usr/bin/mosaic-gen", "--ref", "my photo.jpg"])
    return CliRunner().invoke(app, [])


def chained(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


class OutOfMemoryError(RuntimeError):
    """Stands for torch.OutOfMemoryError, which has this name."""


CASES = [
    (InputError("No such folder."), 2, ["No such folder."]),
    (SmaltiError("The loss became NaN."), 1, ["The loss became NaN."]),
    (KeyboardInterrupt(), 130, ["saved", "mosaic-gen --ref 'my photo.jpg'"]),
    (OutOfMemoryError("CUDA out of memory"), 1, ["out of memory", "--batch-size 1", "mosaic-gen"]),
    (MemoryError(), 1, ["out of memory"]),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: ..."), 1, ["out of memory"]),
    (OSError(errno.ENOSPC, "No space left on device", "/x/tile.png"), 1, ["full", "/x/tile.png"]),
    (RuntimeError("I/O error: No space left on device (os error 28)"), 1, ["disk is full"]),
    (chained(RuntimeError("writer"), OSError(errno.ENOSPC, "full")), 1, ["disk is full"]),
    (PermissionError(errno.EACCES, "Permission denied", "/root/out"), 2, ["/root/out", "another"]),
    (OSError(errno.ENAMETOOLONG, "File name too long", "/x/aaa"), 2, ["aaa"]),
    (OSError(errno.EROFS, "Read-only file system", "/mnt/out"), 2, ["/mnt/out"]),
]


@pytest.mark.parametrize(("error", "code", "words"), CASES, ids=lambda case: str(case)[:30])
def test_known_failures_become_messages(error, code, words, monkeypatch):
    result = run(error, monkeypatch)
    assert result.exit_code == code
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(errno.ENOSPC, "")])
def test_only_what_goes_on_says_so(error, monkeypatch):
    told = [run(error, monkeypatch, resumes=resumes).stderr for resumes in (True, False)]
    assert ["saved" in text for text in told] == [True, False]
    assert all("mosaic-gen --ref 'my photo.jpg'" in text for text in told)


def test_a_flag_that_has_done_its_work_is_not_asked_for_again(monkeypatch):
    monkeypatch.setattr(boundary, "_forgotten", set())
    monkeypatch.setattr(sys, "argv", ["mosaic-train", "mug", "--restart", "--rank", "2"])
    assert "mosaic-train mug --restart --rank 2" in explain(MemoryError())[0]
    boundary.forget_option("--restart")
    assert "mosaic-train mug --rank 2" in explain(MemoryError())[0]


def test_an_unknown_error_is_not_hidden(monkeypatch):
    result = run(ValueError("a bug"), monkeypatch)
    assert isinstance(result.exception, ValueError)
    assert explain(ValueError("a bug")) is None
    assert explain(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None


def test_torch_still_names_its_class_as_we_expect():
    import torch

    assert explain(torch.OutOfMemoryError("CUDA out of memory"))[1] == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_really_full_disk_is_recognised(tmp_path: Path):
    import numpy as np
    from safetensors.numpy import save_file

    with pytest.raises(OSError, match="No space") as caught, open("/dev/full", "w") as file:
        file.write("x")
        file.flush()
    assert "disk is full" in explain(caught.value)[0]
    (tmp_path / "full").symlink_to("/dev/full")
    try:
        save_file({"a": np.zeros(10)}, str(tmp_path / "full"))
    except Exception as error:
        assert "disk is full" in explain(error)[0]
