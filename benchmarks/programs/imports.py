"""How long a statement takes in a fresh interpreter that has the bytecode of what it imports, seconds.

imports.py STATEMENT
"""

import sys
from time import perf_counter

if __name__ == "__main__":
    code = compile(sys.argv[1], "<import>", "exec")
    begin = perf_counter()
    exec(code)
    spent = perf_counter() - begin
    # By hand: json would have been imported already.
    print(f'{{"seconds": {spent}}}')
