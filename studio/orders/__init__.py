"""Orders: many customers in, checked, trained, drawn, proofed, printed, reported."""
