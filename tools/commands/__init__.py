"""The commands, grouped as `--help` shows them. Each is one call into a package."""
