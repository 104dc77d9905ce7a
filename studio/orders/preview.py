"""What a ticket would become, in words, with nothing written or loaded."""

from ...configs.errors import InputError
from .terms import Materials, Terms, drawing_settings, product_of
from .ticket import BadTicket, Order


def preview(told: Order | BadTicket, terms: Terms) -> tuple[str, str, str, str]:
    """Reference, customer, what would be made, and what is wrong."""
    if isinstance(told, BadTicket):
        return told.reference, "", "", "; ".join(told.faults)
    try:
        return told.reference, told.customer, _made(told, terms), ""
    except InputError as error:
        return told.reference, told.customer, "", str(error)


def _made(order: Order, terms: Terms) -> str:
    from ...generate.grid import make_grid

    materials = Materials(order.concept, order.picture, order.tile_lora)
    grid = make_grid(drawing_settings(order, terms, materials))
    product = product_of(order)
    training = "train, " if order.photos else ""
    print_ = f", {order.copies} x {product.name}" if product else ""
    return f"{training}{grid.rows} x {grid.cols} tiles{print_}"
