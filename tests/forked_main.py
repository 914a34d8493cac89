"""Turns a forked process into a ComfyUI; forking.py runs this file with `settings` among its globals."""

import os
import runpy
import signal
import sys

settings = globals()["settings"]
os.setsid()
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.stdout.flush()
log = os.open(settings["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)
for descriptor in (1, 2):
    os.dup2(log, descriptor)
for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(encoding="utf-8", write_through=True)
os.environ.clear()
os.environ.update(settings["environment"])
os.chdir(settings["folder"])
sys.argv[:] = settings["arguments"]
sys.path.insert(0, settings["folder"])
runpy.run_path(sys.argv[0], run_name="__main__")
