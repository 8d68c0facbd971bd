#!/usr/bin/env python3
"""`streamboss stop-archiving-stream`, for whoever runs it by its path."""

from launcher import run

if __name__ == "__main__":
    run("stop-archiving-stream")
