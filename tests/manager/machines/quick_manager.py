"""`streamboss`, on an EC2 that lists at once what it has: quick_manager.py WORDS."""

from tests.manager.machines.keeping import quick
from tools.main import main

if __name__ == "__main__":
    quick()
    main()
