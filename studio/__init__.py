"""What a studio adds: files for print and screen, orders, a page in the browser."""
