#!/bin/sh
# A service with a helper beside it that never reads and holds everything open.
sleep 300 &
exec sed -u 's/^/seen /'
