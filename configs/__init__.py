"""Settings: the dataclasses, the TOML presets, and how one run's settings are put together."""
