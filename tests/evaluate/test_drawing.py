"""Work in a process of its own: answers, errors, sudden ends, its own peak of memory."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.loading import load_preset
from smalti.generate.evaluate.drawing import apart, peak_bytes


def test_another_process_answers():
    assert apart(os.getpid) != os.getpid()
    assert apart(max, 3, 5) == 5


def test_errors_for_users_come_through():
    with pytest.raises(InputError, match='no mosaic preset "fasst"'):
        apart(load_preset, "mosaic", "fasst")


def test_a_sudden_end_is_told():
    with pytest.raises(SmaltiError, match="exit code 3"):
        apart(os._exit, 3)
    with pytest.raises(SmaltiError, match="killed, usually for want of memory"):
        apart(signal.raise_signal, signal.SIGKILL)


def test_an_unforeseen_error_keeps_its_traceback(capfd: pytest.CaptureFixture):
    with pytest.raises(SmaltiError, match="exit code 1"):
        apart(int, "x")
    assert "invalid literal" in capfd.readouterr().err


def test_the_peak_is_the_processes_own():
    held = np.ones(400 * 2**20, np.uint8)  # what the caller holds is not counted
    assert peak_bytes("cpu") > held.nbytes
    assert 2**20 < apart(peak_bytes, "cpu") < held.nbytes


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_ends_both_at_once():
    code = (
        "import time\nfrom smalti.generate.evaluate.drawing import apart\n"
        "if __name__ == '__main__':\n"
        "    print('ready', flush=True)\n"
        "    try: apart(time.sleep, 60)\n"
        "    except KeyboardInterrupt: print('stopped')\n"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)  # to the first process only; the pipes close with the other
    out, err = process.communicate(timeout=30)
    assert (out, err) == ("stopped\n", "") and time.monotonic() - began < 20
