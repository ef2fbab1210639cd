"""The command ``fastpong``, its workers started by another method: METHOD ARGUMENTS...

The command has no option for it. Everything else is the command as it is.
"""

from __future__ import annotations

import sys

from fastpong.__main__ import main
from fastpong.runtime import pool

if __name__ == "__main__":
    method = sys.argv.pop(1)
    checked = pool.checked_method
    pool.checked_method = lambda given: checked(given or method)
    main()
