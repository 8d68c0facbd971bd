"""`streamboss` as on a computer whose clock is wrong: shifted.py SECONDS WORDS."""

import sys
import time

from tools.main import main

if __name__ == "__main__":
    right, ahead_s = time.time, float(sys.argv.pop(1))
    time.time = lambda: right() + ahead_s
    main()
