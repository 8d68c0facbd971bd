#!/bin/sh
# Can't even start.
echo "no configuration file" >&2
exit 2
