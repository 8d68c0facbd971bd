#!/bin/sh
# Leaves a child behind that holds stdout and stderr open.
sleep 300 &
echo answer
