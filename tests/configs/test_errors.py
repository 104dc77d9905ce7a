"""Errors that a user sees, and when memory has run out."""

import pytest
import torch

from smalti.configs.errors import InputError, SmaltiError, is_out_of_memory


def test_exit_codes_tell_bad_input_from_a_failed_run():
    assert (SmaltiError("x").exit_code, InputError("x").exit_code) == (1, 2)
    assert issubclass(InputError, SmaltiError)


@pytest.mark.parametrize(("error", "expected"), [
    (MemoryError(), True), (torch.OutOfMemoryError("CUDA out of memory"), True),
    (RuntimeError("shapes do not match"), False), (ValueError("can't allocate memory"), False),
])  # fmt: skip
def test_memory_that_ran_out_is_told_from_other_failures(error, expected):
    assert is_out_of_memory(error) is expected


def test_torch_says_on_a_processor_what_is_looked_for():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
