#!/usr/bin/env python3
"""`streamboss stream-file`, for whoever runs it by its path."""

from launcher import run

if __name__ == "__main__":
    run("stream-file")
