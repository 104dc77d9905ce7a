"""The methods that smalti is compared with, on the same grid, reference, prompts and adapters."""
