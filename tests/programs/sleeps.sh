#!/bin/sh
# Sleeps past any time-out, in a child of its own.
sleep 300
echo late
