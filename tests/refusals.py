"""What a refusal must name, however its sentence is worded."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smalti.configs.errors import InputError, SmaltiError


@contextmanager
def refused(*names: str, kind: type[SmaltiError] = InputError) -> Iterator[None]:
    """What happens within raises `kind`, and its message holds all of these names and numbers."""
    with pytest.raises(SmaltiError) as caught:
        yield
    assert type(caught.value) is kind
    for name in names:
        assert name in str(caught.value)
