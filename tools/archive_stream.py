#!/usr/bin/env python3
"""`streamboss archive-stream`, for whoever runs it by its path."""

from launcher import run

if __name__ == "__main__":
    run("archive-stream")
