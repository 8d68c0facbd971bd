#!/bin/sh
# Leaves a child behind that never stops writing to stdout.
yes noise &
sleep 0.2
