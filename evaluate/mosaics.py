"""The mosaics that an evaluation needs: each checked before any is drawn, each with its place."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..configs.guides import LpipsSettings
from ..configs.methods import ColorAdapterSettings, MatchSettings
from ..configs.settings import Settings
from ..generate.grid import Grid
from ..generate.plan import plan_mosaic
from ..generate.store import Store
from ..models.lpips import Lpips
from .drawing import NO_CONCEPTS
from .peers import PEERS
from .protocol import Case, Protocol
from .results import Key, row_key
from .table import MISSING


class Unavailable(NamedTuple):
    """Why a row cannot be made here."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class PlannedMosaic:
    """A mosaic that was checked and can be drawn."""

    case: Case
    settings: Settings
    grid: Grid
    identity: dict[str, Any]
    """Everything that the picture depends on, its reference included."""
    key: Key
    folder: Path
    reference: Path
    reference_settings: Settings
    seconds: float
    """A rough estimate of the time that drawing takes."""
    source: "PlannedMosaic | None" = None
    """For a peer, the mosaic whose pool it takes; settings and grid are that one's."""

    @property
    def parts(self) -> list["PlannedMosaic"]:
        """What is to be drawn in turn, itself at last."""
        return [*(self.source.parts if self.source else ()), self]

    @property
    def store(self) -> Store:
        """Its tiles."""
        return Store(self.folder, self.grid)


def plan_all(
    protocol: Protocol, cases: Sequence[Case], out: Path, lpips: Path | None
) -> tuple[list[PlannedMosaic], dict[str, Unavailable]]:
    """Check all mosaics; also returns labels of the rows that cannot be made here, and why.

    Raises InputError for settings that cannot work, before anything is drawn, and SmaltiError for a
    peer that does not start.
    """
    if lpips:
        Lpips(lpips, setting="--lpips")  # a bad file must not be noticed after hours of drawing
    one_of_each = {case.row: case for case in cases}
    lacking = {row: unavailable(protocol, case, lpips) for row, case in one_of_each.items()}
    skipped = {row.label: reason for row, reason in lacking.items() if reason}
    kept = [case for case in cases if not lacking[case.row]]
    mosaics = [plan_case(protocol, case, out, lpips) for case in kept]
    if mosaics:
        protocol.check_overrides([mosaic.settings.mosaic for mosaic in mosaics])
    return mosaics, skipped


def unavailable(protocol: Protocol, case: Case, lpips: Path | None) -> Unavailable | None:
    """What keeps a mosaic from being made: weights or a program that are nowhere, if any."""
    if case.row.method in PEERS:
        peer = PEERS[case.row.method]
        return None if peer.version() else Unavailable("not installed", peer.remedy)
    settings = protocol.settings(case, lpips)
    if isinstance(settings.mosaic.guide, LpipsSettings) and not lpips:
        return Unavailable(MISSING, "give --lpips FILE")
    adapted = isinstance(settings.mosaic.method, ColorAdapterSettings)
    if adapted and not settings.base.color_adapter:
        known = f"no colour adapter is known for {settings.base.name}"
        return Unavailable(MISSING, f"{known}; --set base.color_adapter=FOLDER")
    return None


def plan_case(protocol: Protocol, case: Case, out: Path, lpips: Path | None) -> PlannedMosaic:
    """Check one mosaic's settings and say where it lies; raises InputError."""
    if case.row.method in PEERS:
        return _plan_peer(protocol, case, out)
    settings = protocol.settings(case, lpips)
    found = plan_mosaic(settings, concepts_dir=NO_CONCEPTS)
    reference_settings = protocol.reference_settings(case.pair, case.seed, case.row.variant)
    drawn_from = digest(plan_mosaic(reference_settings, concepts_dir=NO_CONCEPTS).identity)
    identity = {**found.identity, "reference": drawn_from}
    key = row_key(case, digest(identity))
    return PlannedMosaic(
        case=case,
        settings=settings,
        grid=found.grid,
        identity=identity,
        key=key,
        folder=_folder(out, key),
        reference=out / "references" / f"{case.pair.name}-s{case.seed}-{drawn_from}.png",
        reference_settings=reference_settings,
        seconds=found.seconds,
    )


def _plan_peer(protocol: Protocol, case: Case, out: Path) -> PlannedMosaic:
    """The mosaic of a peer: it depends on its version, and on all that `match` depends on."""
    like = replace(case, row=replace(case.row, method=MatchSettings.name))
    source = plan_case(protocol, like, out, None)
    identity = {**source.identity, "peer": PEERS[case.row.method].version()}
    key = row_key(case, digest(identity))
    return replace(
        source,
        case=case,
        identity=identity,
        key=key,
        folder=_folder(out, key),
        seconds=0.0,  # next to that of drawing a pool
        source=source,
    )


def _folder(out: Path, key: Key) -> Path:
    pair, seed, method, preset, _, settings = key
    return out / "mosaics" / f"{pair}-s{seed}-{method}-{preset}-{settings}"


def digest(identity: dict[str, Any]) -> str:
    """Eight hex digits of everything that a picture depends on."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
