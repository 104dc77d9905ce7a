"""Files are looked at one by one, each with the whole time; none ends the turn of another."""

import asyncio
import time

from smalti.configs.errors import InputError
from smalti.studio.page import examine


def test_a_file_has_its_own_time_and_not_that_of_others(monkeypatch):
    monkeypatch.setattr(examine, "SECONDS", 1.5)
    examiner = examine.Examiner()

    async def ask(*seconds: float) -> list[object]:
        asked = (examiner.ask(time.sleep, one) for one in seconds)
        try:
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            examiner.close()

    first, slow, last = asyncio.run(ask(0.9, 60, 0.9))
    assert first is None and isinstance(slow, InputError) and last is None
