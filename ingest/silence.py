"""Imported by the fork server and nobody else: what is forked from it says nothing on standard error.

What a worker has to say comes back as a file's reason. A worker that is just starting when the run is stopped would
otherwise print a traceback under the command line's last words.
"""

import os

_null = os.open(os.devnull, os.O_WRONLY)
os.dup2(_null, 2)
os.close(_null)
