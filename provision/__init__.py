"""Clouds: what there is in the inventory, and machines and images on it, none forgotten."""
