"""Files appear whole or not at all, and what stops a write becomes a message."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from refusals import refused

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.files import (
    ensure_writable,
    file_hash,
    read_json,
    replacing,
    sweep,
    user_path,
    write_json,
    write_text,
)


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "new" / "note.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_a_folder(tmp_path: Path):
    path = tmp_path / "step"
    for content in ("one", "two"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert [p.name for p in path.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, SmaltiError),
        (errno.EDQUOT, SmaltiError),
        (errno.EACCES, InputError),
        (errno.EROFS, InputError),
        (errno.EIO, SmaltiError),
    ],
)
def test_errors_of_the_system_become_messages(tmp_path: Path, number, kind):
    with refused(str(tmp_path), kind=kind), replacing(tmp_path / "a"):
        raise OSError(number, "the system's own words")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [lambda p: write_text(p / "a", ""), ensure_writable])
def test_a_file_in_the_place_of_a_folder_is_bad_input(tmp_path: Path, write):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError) as caught:
        write(tmp_path / "taken" / "deeper" / "still")
    told = str(caught.value)
    assert f"{tmp_path / 'taken'} " in told and "deeper" not in told and ".tmp" not in told


def test_a_folder_in_the_place_of_a_file_is_bad_input_and_stays(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("")
    with refused(str(tmp_path / "taken")):
        write_text(tmp_path / "taken", "")
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "mine"]


def test_texts_are_utf8_and_hashed_as_bytes(tmp_path: Path):
    write_text(tmp_path / "a", "Ö\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\x96\n"
    assert file_hash(tmp_path / "a") == hashlib.sha256(b"\xc3\x96\n").hexdigest()


def test_json_comes_back_and_what_is_no_object_is_nothing(tmp_path: Path):
    value = {"text": "Ö", "list": [1, None]}
    write_json(tmp_path / "new" / "a.json", value)
    assert read_json(tmp_path / "new" / "a.json") == value
    for text in ("[1]", "{", "3", "\x00"):
        write_text(tmp_path / "b.json", text)
        assert read_json(tmp_path / "b.json") is None
    assert read_json(tmp_path / "none.json") is None


def test_names_that_are_no_text_come_back_from_json(tmp_path: Path):
    write_json(tmp_path / "a.json", {"ref": "caf\udce9.jpg"})
    assert read_json(tmp_path / "a.json") == {"ref": "caf\udce9.jpg"}


@pytest.mark.parametrize("write", [lambda path: write_text(path, ""), ensure_writable])
def test_a_name_that_is_too_long_is_bad_input(tmp_path: Path, write):
    with refused("aaa"):
        write(tmp_path / ("a" * 256))


def test_home_is_known_and_a_stranger_is_a_name(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert user_path("~/a") == tmp_path / "a"
    assert user_path("~nobody-is-called-so/a") == Path("~nobody-is-called-so/a")


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path: Path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        kept = [tmp_path / name for name in (
            "a.png", f".a.png.{alive.pid}.tmp", f".a.png.{os.getpid()}.tmp", f"a.{dead.pid}.tmp",
            f".a.png.{dead.pid}.tmp.png", ".hidden.tmp", f"deeper/.a.{dead.pid}.tmp",
        )]  # fmt: skip
        left = [tmp_path / f".a.png.{dead.pid}.tmp", tmp_path / f".step_1.{dead.pid}.tmp" / "x"]
        for path in (*kept, *left):
            path.parent.mkdir(exist_ok=True)
            path.touch()
        sweep(tmp_path, tmp_path / "nothing")
    finally:
        alive.communicate()
    found = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert found == sorted(kept)
    assert not left[1].parent.exists()


def test_a_number_that_a_younger_process_has_inherited_protects_nothing(tmp_path: Path):
    """As in containers, where every run may be process 7."""
    path = tmp_path / f".a.png.{os.getpid()}.tmp"
    path.touch()
    os.utime(path, (1e9, 1e9))
    sweep(tmp_path)
    assert not path.exists()
