"""A page over folders that nobody drew, and a client that asks as its own pages do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_mosaics import made_mosaic
from training import make_concept

pytest.importorskip("starlette")
pytest.importorskip("pyvips")

from starlette.testclient import TestClient  # noqa: E402

from smalti.studio.page.app import make_app  # noqa: E402
from smalti.studio.page.desk import Desk  # noqa: E402
from smalti.studio.page.safety import TOKEN_HEADER, make_gate  # noqa: E402

ODD = "a 'wide' <b>one & more"


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A concept, and two mosaics, one with a name that is no HTML."""
    folder = tmp_path_factory.mktemp("desk")
    make_concept(folder / "concepts" / "mug")
    made_mosaic(folder / "mosaics" / "plain", 3, 4)
    made_mosaic(folder / "mosaics" / ODD, 2, 2)
    # A base that is not on this machine: nothing is drawn here, and no tokenizer need be loaded.
    return Desk(folder / "concepts", folder / "mosaics", folder / "orders", base="sd21")


@pytest.fixture(scope="package")
def client(desk: Desk) -> Iterator[TestClient]:
    """Asks with the token that the page's own scripts have."""
    gate = make_gate("127.0.0.1", 8137)
    app = make_app(desk, gate, warm=False)
    with TestClient(
        app, "http://127.0.0.1:8137", headers={TOKEN_HEADER: gate.token}, follow_redirects=False
    ) as found:
        yield found


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
