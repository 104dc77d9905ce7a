"""How good a mosaic is: metrics against its reference."""
