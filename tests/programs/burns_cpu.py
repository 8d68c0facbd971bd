#!/usr/bin/env python3
# Uses CPU for ever.
while True:
    pass
