#!/bin/sh
# Its own name has spaces in it.
echo "found"
