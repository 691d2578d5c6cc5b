"""history: what happened, one JSON object a line.

Every process of a run writes a file of its own; `t` is CLOCK_MONOTONIC in ns,
which all of them share, so a sort by it is the order of things.

    run       scenario, seed, store, cap, ...           how it was meant
    invoke    k key, l log, h digest, ttl               a publish begins
    ok        k, s seq, dup                             201 or 200
    fail      k, code                                   400 to 499
    info      k                                         never known
    open      c conn, u user, d device, hello, forget, referee, tok, left
    refused   u, status, tok                            no 101
    welcome   c
    msg       c, l, s, k, h, u, good, app               a message frame
    void      c, l, a from, b to, why
    reset     c, logs
    synced    c, l, s
    ack       c, l, s
    close     c, code, by
    garbled   c, what                                   not of the protocol
    kick      u                                         asked for
    nemesis   what                                      a fault, or its end
    heal                                                all faults have ended
    sample    p process, rss, fds, base                 memory
    end                                                 all was waited for
"""

import glob
import json
import os
import time


class Writer:
    """Lines of one process; flushed by whoever has a loop, and at the end."""

    def __init__(self, path):
        self.file = open(path, 'w', buffering=1 << 16, encoding='utf-8')

    def add(self, event, **more):
        more['t'] = time.monotonic_ns()
        more['e'] = event
        self.file.write(json.dumps(more, separators=(',', ':')) + '\n')

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()


def read(directory):
    """All events of a run, in order."""
    events = []

    for path in sorted(glob.glob(os.path.join(directory, '*.jsonl'))):
        with open(path, encoding='utf-8') as file:
            for line in file:
                if line.endswith('\n'):     # a killed writer's last line
                    events.append(json.loads(line))

    events.sort(key=lambda event: event['t'])
    return events
