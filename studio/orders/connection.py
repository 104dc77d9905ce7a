"""Ray, as a day of orders wants it: started here or found, without what surprises its users."""

import os
import socket
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from ...configs.errors import InputError, SmaltiError
from ..extra import require

STORE = 100 * 2**20  # bytes of Ray's shared memory: paths are passed, and no pictures
REACHED_WITHIN = 5.0  # seconds
QUIET = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else `uv run` copies its project to every machine
    "RAY_memory_monitor_refresh_ms": "0",  # else it kills workers for what others use
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing of a studio's day is sent anywhere
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def avoid_traps(environment: MutableMapping[str, str]) -> None:
    """Set what Ray reads when it starts, unless the user has."""
    for name, value in QUIET.items():
        environment.setdefault(name, value)


@contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[Any]:
    """Ray itself, connected to the cluster at an address, or to one of this machine's own.

    workers: for which there must be room here. What was started here ends here. Raises InputError
    where Ray is not installed or the address does not answer.
    """
    avoid_traps(os.environ)
    ray = require("ray", "--engine ray")
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        try:
            ray.init(**_how(address, workers))
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise _refusal(address, error) from error
        yield ray
    finally:
        ray.shutdown()


def _how(address: str | None, workers: int | None) -> dict[str, Any]:
    # Workers pass on what people are to know; Ray's own lines lie in its session's folder.
    common = {"log_to_driver": False, "logging_level": "error"}
    if address:
        _check_address(address)
        return {"address": address, **common}
    cores = max(os.cpu_count() or 1, workers or 1)
    return {"address": "local", "num_cpus": cores, "include_dashboard": False,
            "object_store_memory": STORE, **common}  # fmt: skip


def _check_address(address: str) -> None:
    """Raise InputError where nobody listens; Ray itself would try for a minute."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()) or "/" in host:
        raise InputError(
            f'--address {address} must be HOST:PORT as "ray start --head" tells it, or auto for '
            "the cluster that this machine is part of."
        )
    try:
        socket.create_connection((host, int(port)), REACHED_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"No cluster answers at --address {address} ({error}). Start one: ray start --head"
        ) from error


def _refusal(address: str | None, error: Exception) -> SmaltiError:
    told = str(error).strip().splitlines()
    first = told[0] if told else type(error).__name__
    if address:
        return InputError(f"--address {address}: no cluster to be had there ({first}).")
    return SmaltiError(f"Ray did not start on this machine ({first}).")
