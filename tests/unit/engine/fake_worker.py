"""A worker that serves nothing: run by the supervisor's tests, with its file and how it behaves on the command line."""

import json
import os
import signal
import socket
import sys

told, folder, behaviour = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
channel = socket.socket(fileno=told["channel"])


def note(text: str) -> bool:
    """Write what happens into the worker's file; tells whether it was in there before."""
    with open(f"{folder}/{told['number']}", "a+") as file:  # noqa: PTH123 - pathlib takes long to import
        file.seek(0)
        known = f"{text}\n" in file.read()
        file.write(f"{text}\n")
    return known


again = note("start")
if behaviour == "broken" or (behaviour == "second broken" and told["number"] == 2):
    sys.exit(3)
if behaviour == "slow":
    note("silent")
else:
    channel.send(b"ready\n")
if behaviour == "dies once" and told["number"] == 1 and not again:
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "ends at once":
    sys.exit(0)

if behaviour == "beats" or (behaviour == "hangs once" and again):
    channel.settimeout(0.02)


def read() -> str:
    """Give what the supervisor says; signs of life meanwhile, where the channel has a time-out."""
    beats = 0
    while True:
        try:
            return channel.recv(4096).decode()
        except TimeoutError:
            channel.send(b"alive\n")
            beats += 1
            if beats == 60:
                note("beaten")


begun = ""
while data := read():
    *lines, begun = (begun + data).split("\n")
    for line in lines:
        note(line)
        if line.startswith("stop") and behaviour != "stubborn":
            sys.exit(4 if behaviour == "fails at the end" else 0)
note("alone")
