#!/usr/bin/env python3
"""`streamboss stream-archive`, for whoever runs it by its path."""

from launcher import run

if __name__ == "__main__":
    run("stream-archive")
