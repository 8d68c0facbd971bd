"""Machines that come with demand and go with it: what to launch, drain and end, and why."""
