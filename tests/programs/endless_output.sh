#!/bin/sh
# Never stops writing.
exec yes endless
