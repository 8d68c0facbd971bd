#!/bin/sh
# Its stdin says how it ends: "STATUS UNTIL": status STATUS on the first UNTIL attempts, then it echoes.
read -r status until
if [ "$STREAMBOSS_ATTEMPT" -le "$until" ]; then
    echo "half an answer"
    echo "attempt $STREAMBOSS_ATTEMPT failed" >&2
    exit "$status"
fi
echo "$status $until"
