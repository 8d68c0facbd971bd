"""A manager on a machine of its own: launched, told what it must know, upgraded in place."""
