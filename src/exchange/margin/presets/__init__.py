"""Margin presets as data, one TOML file each."""
