#!/usr/bin/env python3
"""`streamboss remove-subscription`, for whoever runs it by its path."""

from launcher import run

if __name__ == "__main__":
    run("remove-subscription")
