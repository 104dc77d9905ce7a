"""Work in a process of its own: answers, errors, sudden ends, its own peak of memory."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.presets import load_preset
from smalti.evaluate.processes import peak_memory, run_in_subprocess


def test_another_process_answers():
    assert run_in_subprocess(os.getpid) != os.getpid()
    assert run_in_subprocess(max, 3, 5) == 5


def test_errors_for_users_come_through():
    with pytest.raises(InputError) as raised:
        run_in_subprocess(load_preset, "mosaic", "fasst")
    assert '"fasst"' in str(raised.value)


@pytest.mark.parametrize(
    ("function", "argument", "token"),
    [(os._exit, 3, "exit code 3"), (signal.raise_signal, signal.SIGKILL, "batch_size=1")],
)
def test_a_sudden_end_says_how_and_what_to_do(function, argument, token: str):
    with pytest.raises(SmaltiError) as raised:
        run_in_subprocess(function, argument)
    assert raised.value.exit_code == 1 and token in str(raised.value)


def test_an_unforeseen_error_keeps_its_traceback(capfd: pytest.CaptureFixture):
    with pytest.raises(SmaltiError):
        run_in_subprocess(int, "x")
    assert "ValueError" in capfd.readouterr().err


def test_the_peak_is_the_processes_own():
    held = np.ones(400 * 2**20, np.uint8)  # what the caller holds is not counted
    assert peak_memory("cpu") > held.nbytes
    assert 2**20 < run_in_subprocess(peak_memory, "cpu") < held.nbytes


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_ends_both_at_once():
    code = (
        "import time\nfrom smalti.evaluate.processes import run_in_subprocess\n"
        "if __name__ == '__main__':\n"
        "    print('ready', flush=True)\n"
        "    try: run_in_subprocess(time.sleep, 60)\n"
        "    except KeyboardInterrupt: print('stopped')\n"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)  # to the first process only; the pipes close with the other
    out, err = process.communicate(timeout=120)
    assert (out, err) == ("stopped\n", "") and time.monotonic() - began < 20
