"""Addresses about orders: the day's table, tickets dropped in, proofs approved or retried."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ...configs.errors import InputError
from ...configs.files import remove
from ..orders.decisions import cancel, print_again
from ..orders.entry import Entry
from ..orders.ledger import FILE, Ledger
from ..orders.report import as_csv, day_of, sentences, write_pdf
from ..orders.states import CLOSED, DELIVERED, FAILED, PROOF, SETTLED
from .desk import Desk, Missing, file_name
from .render import Room, form_of, page, picture, room_of, text_of

DAY = "orders"  # key of the work that draws them
INBOX = "inbox"
TICKETS = (".csv", ".toml", ".json")
THUMBNAIL, LARGE = 160, 1600  # px


@contextmanager
def ledger_of(desk: Desk) -> Iterator[Ledger]:
    """The ledger, begun where there is none."""
    ledger = Ledger(desk.orders / FILE)
    try:
        yield ledger
    finally:
        ledger.close()


def read_orders(desk: Desk) -> list[Entry]:
    """All orders, those first that wait for a person, then the open ones, then the latest."""
    if not (desk.orders / FILE).is_file():
        return []
    with ledger_of(desk) as ledger:
        entries = ledger.entries()

    def place(entry: Entry) -> tuple[int, float]:
        waits = entry.state == PROOF and entry.worker is None
        rank = 0 if waits else 1 if entry.state == FAILED else 2 if entry.state not in CLOSED else 3
        return rank, -entry.changed

    return sorted(entries, key=place)


def words_of(desk: Desk) -> list[str]:
    """The command that works on what is dropped here."""
    return ["orders", "watch", str(desk.orders / INBOX), "--out", str(desk.orders),
            "--concepts-dir", str(desk.concepts), "--proof-first", *desk.words]  # fmt: skip


def _facts(room: Room) -> dict[str, Any]:
    work = room.works.get(DAY)
    entries = read_orders(room.desk)
    return {
        "entries": entries, "work": work, "runs": bool(work and work.runs), "proof": PROOF,
        "settled": SETTLED, "closed": CLOSED, "delivered": DELIVERED,
    }  # fmt: skip


async def listing(request: Request) -> Response:
    """The day's table."""
    room = room_of(request)
    facts = await asyncio.to_thread(_facts, room)
    part = "orders_table.html" if request.headers.get("hx-request") else "orders.html"
    return page(request, part, title="Orders", **facts)


async def drop(request: Request) -> Response:
    """Put a table, or a ticket with its pictures, into the hot folder, whole or not at all."""
    room, form = room_of(request), await form_of(request)
    uploads = [upload for upload in form.getlist("files") if not isinstance(upload, str)]
    if not any(_is_ticket(upload.filename or "") for upload in uploads):
        raise InputError("Drop a table (CSV), or a folder with order.toml or order.json in it.")
    incoming = room.desk.orders / INBOX / "incoming"
    name = f"dropped-{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 10**6:06d}"
    hidden = incoming / f".{name}"
    hidden.mkdir(parents=True)
    try:
        for upload in uploads:
            path = _place(hidden, upload.filename or "")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(await upload.read())
        hidden.rename(incoming / name)
    except BaseException:
        remove(hidden)
        raise
    if not (room.works.get(DAY) and room.works.get(DAY).runs):
        await room.works.start(DAY, words_of(room.desk))
    return Response(status_code=204)


def _is_ticket(name: str) -> bool:
    return Path(name).suffix.lower() in TICKETS


def _place(folder: Path, given: str) -> Path:
    """Where a dropped file goes: its own name, within one folder at most."""
    parts = [part for part in given.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    inner = folder
    if len(parts) > 2:  # of a dropped folder: its name, a folder in it, the file
        inner = folder / file_name(f"{parts[-2]}.jpg", set()).removesuffix(".jpg")
    suffix = Path(parts[-1]).suffix.lower() if parts else ""
    if suffix in (*TICKETS, ".txt"):
        stem = file_name(f"{Path(parts[-1]).stem}.jpg", set()).removesuffix(".jpg")
        return inner / f"{stem}{suffix}"
    return inner / file_name(parts[-1] if parts else "", set())


async def start(request: Request) -> Response:
    """Work on what is there and on whatever comes."""
    room = room_of(request)
    await room.works.start(DAY, words_of(room.desk))
    return Response(status_code=204)


async def stop(request: Request) -> Response:
    """Let the present tiles be finished, and stop."""
    room_of(request).works.stop(DAY)
    return Response(status_code=204)


DECISIONS: dict[str, Callable[[Ledger, str], object]] = {
    "approve": Ledger.approve,
    "retry": Ledger.retry,
    "cancel": cancel,
    "reprint": partial(print_again, copies=1),
}


async def decide(request: Request) -> Response:
    """Approve, retry, cancel or reprint an order."""
    room, form = room_of(request), await form_of(request)
    act = DECISIONS.get(request.path_params["decision"])
    if act is None:
        raise Missing("There is no such decision.")
    reference = text_of(form, "reference")

    def done() -> None:
        with ledger_of(room.desk) as ledger:
            act(ledger, reference)

    await asyncio.to_thread(done)
    return Response(status_code=204)


def _entry(request: Request) -> Entry:
    desk = room_of(request).desk
    if not (desk.orders / FILE).is_file():
        raise Missing("There are no orders yet.")
    with ledger_of(desk) as ledger:
        try:
            return ledger.entry(request.query_params.get("reference", ""))
        except InputError as error:
            raise Missing(str(error)) from error


async def one(request: Request) -> Response:
    """An order: its proof large, its ticket, its files."""
    room = room_of(request)
    entry = await asyncio.to_thread(_entry, request)
    ticket = entry.order.model_dump(mode="json", exclude_defaults=True) if entry.order else {}
    return page(
        request, "order.html", title=entry.reference, entry=entry, ticket=ticket, proof=PROOF,
        has_proof=_proof_of(entry).is_file(), settled=SETTLED, closed=CLOSED, delivered=DELIVERED,
        command=f"mosaic orders show {entry.reference} --out {room.desk.orders}",
    )  # fmt: skip


def _proof_of(entry: Entry) -> Path:
    """The proof that waits, or the one that was delivered."""
    delivered = [path for name, path in entry.outputs.items() if Path(name).name == "proof.jpg"]
    return delivered[0] if delivered else entry.work / "proof.jpg"


async def proof(request: Request) -> Response:
    """An order's proof, small or large."""
    entry = await asyncio.to_thread(_entry, request)
    if not _proof_of(entry).is_file():
        raise Missing("There is no proof yet.")
    side = LARGE if request.query_params.get("large") else THUMBNAIL
    return picture(await room_of(request).examiner.thumbnail(_proof_of(entry), side))


async def file(request: Request) -> Response:
    """A delivered file."""
    entry = await asyncio.to_thread(_entry, request)
    path = entry.outputs.get(request.query_params.get("file", ""))
    if path is None or not path.is_file():
        raise Missing("There is no such file.")
    return FileResponse(path, filename=path.name)


async def report(request: Request) -> Response:
    """The day's report, as PDF or CSV."""
    desk, kind = room_of(request).desk, request.path_params["kind"]
    if kind not in ("pdf", "csv") or not (desk.orders / FILE).is_file():
        raise Missing("There is no such report yet.")

    def write() -> Response:
        with ledger_of(desk) as ledger:
            day = day_of(ledger, date.today())
            if kind == "csv":
                return Response(as_csv(day), media_type="text/csv")
            path = write_pdf(day, desk.orders / f"report-{day.day}.pdf")
        return FileResponse(path, filename=path.name)

    return await asyncio.to_thread(write)


async def sums(request: Request) -> Response:
    """The day's sums in words."""
    desk = room_of(request).desk

    def read() -> list[str]:
        if not (desk.orders / FILE).is_file():
            return []
        with ledger_of(desk) as ledger:
            return sentences(day_of(ledger, date.today()))

    return page(request, "orders_sums.html", lines=await asyncio.to_thread(read))


ROUTES = [
    Route("/orders", listing),
    Route("/orders", drop, methods=["POST"]),
    Route("/orders/start", start, methods=["POST"]),
    Route("/orders/stop", stop, methods=["POST"]),
    Route("/orders/decide/{decision}", decide, methods=["POST"]),
    Route("/orders/one", one),
    Route("/orders/proof.jpg", proof),
    Route("/orders/file", file),
    Route("/orders/sums", sums),
    Route("/orders/report/{kind}", report),
]
