"""proxy: TCP between two roles, made slow, short, piecemeal or dead.

usage: proxy.py FILE      {"address": ..., "seed": ...,
                           "legs": {port: [leg, host, port]}}

in:   commands, a JSON object a line, on stdin:
          {"do": "mode", "leg": "redis", "delay_ms": 50, "jitter_ms": 50,
           "dribble": 7, "truncate": 0.01, "hang": false}
          {"do": "cut", "leg": "redis", "part": 0.5, "half": false}
          {"do": "heal"}
out:  bytes in their order, never others.
"""

import asyncio
import collections
import functools
import json
import random
import sys

PASS = {'delay_ms': 0, 'jitter_ms': 0, 'dribble': 0, 'truncate': 0.0,
        'hang': False}
DRIBBLE_S = 0.002


class Side(asyncio.Protocol):
    """One of the two connections; what it receives goes to its peer."""

    def __init__(self, leg, peer=None):
        self.leg = leg
        self.peer = peer
        self.transport = None
        self.early = []             # until the peer is connected
        self.late = collections.deque()     # (when, bytes), in order
        self.timer = None           # for the first of them
        self.due = 0.0              # when the last of them goes out
        self.cut = False            # nothing follows what was cut short
        self.ended = False          # our half of it is closed

    def connection_made(self, transport):
        self.transport = transport
        self.leg.sides.add(self)

        if self.leg.mode['hang']:
            transport.pause_reading()

        if self.peer is None:
            self.leg.spawn(self.connect())
        else:
            # From now on, not from when connect() is told.
            self.peer.peer = self

            if self.peer.transport.is_closing():
                transport.abort()       # it has not waited for us
                return

            for data in self.peer.early:
                self.write(data)
            self.peer.early = []

    async def connect(self):
        try:
            await asyncio.wait_for(
                asyncio.get_running_loop().create_connection(
                    lambda: Side(self.leg, self), self.leg.host,
                    self.leg.port), 3)
        except (OSError, asyncio.TimeoutError):
            self.abort()

    def data_received(self, data):
        mode, rng, loop = self.leg.mode, self.leg.rng, self.leg.loop

        if self.cut:
            return

        if mode['truncate'] and rng.random() < mode['truncate']:
            data = data[:rng.randrange(len(data))]
            self.cut = True
            loop.call_later(0.01, self.end)

        if self.peer is None or self.peer.transport is None:
            self.early.append(data)
        elif mode['dribble']:
            size = mode['dribble']
            self.due = max(self.due, loop.time())
            for at in range(0, len(data), size):
                self.due += DRIBBLE_S
                self.postpone(data[at:at + size])
        elif mode['delay_ms'] or self.late:
            delay = (mode['delay_ms'] + rng.random() * mode['jitter_ms'])
            self.due = max(self.due, loop.time() + delay / 1000)
            self.postpone(data)
        else:
            self.peer.write(data)

    def postpone(self, data):
        """Timers of one moment run in no order: there is one of them."""
        self.late.append((self.due, data))

        if self.timer is None:
            self.timer = self.leg.loop.call_at(self.late[0][0], self.release)

    def release(self):
        self.timer = None

        while self.late and self.late[0][0] <= self.leg.loop.time():
            _, data = self.late.popleft()
            if data is None:
                self.peer.eof()
            else:
                self.peer.write(data)

        if self.late:
            self.timer = self.leg.loop.call_at(self.late[0][0], self.release)

    def write(self, data):
        if self.transport and not self.ended \
                and not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self):
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self):
        if self.peer and self.peer.transport and not self.leg.mode['hang']:
            self.peer.transport.resume_reading()

    def eof_received(self):
        """A half-close is passed on after what is still under way."""
        if self.peer and self.peer.transport:
            if self.late:
                self.postpone(None)
            else:
                self.peer.eof()
        return True

    def eof(self):
        if self.transport and not self.transport.is_closing():
            self.ended = True
            try:
                self.transport.write_eof()
            except OSError:             # reset meanwhile
                self.end()
            self.leg.loop.call_later(1.0, self.end)

    def connection_lost(self, error):
        self.leg.sides.discard(self)
        if self.peer and self.peer.transport:
            if error:
                self.peer.abort()
            else:
                self.leg.loop.call_later(0.05, self.peer.transport.close)

    def abort(self):
        if self.transport:
            self.transport.abort()

    def end(self):
        self.abort()
        if self.peer:
            self.peer.abort()


class Leg:

    def __init__(self, host, port, rng):
        self.host = host
        self.port = port
        self.rng = rng
        self.loop = asyncio.get_running_loop()
        self.mode = dict(PASS)
        self.sides = set()
        self.tasks = set()

    def spawn(self, coroutine):
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def set(self, **mode):
        self.mode = {**PASS, **mode}

        for side in list(self.sides):
            if side.transport.is_closing():
                continue
            if self.mode['hang']:
                side.transport.pause_reading()
            else:
                side.transport.resume_reading()

    def cut(self, part=1.0, half=False):
        for side in list(self.sides):
            if self.rng.random() < part:
                if half:
                    side.eof()
                else:
                    side.end()


async def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        settings = json.load(file)

    loop = asyncio.get_running_loop()
    rng = random.Random(settings['seed'])
    legs = {}

    for port, (name, host, target) in settings['legs'].items():
        leg = Leg(host, target, rng)
        legs.setdefault(name, []).append(leg)
        await loop.create_server(functools.partial(Side, leg),
                                 settings['address'], int(port))

    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        functools.partial(asyncio.StreamReaderProtocol, reader), sys.stdin)
    print('{}', flush=True)

    while line := await reader.readline():
        command = json.loads(line)
        do = command.pop('do')

        if do == 'heal':
            for leg in sum(legs.values(), []):
                leg.set()
        else:
            for leg in legs[command.pop('leg')]:
                getattr(leg, {'mode': 'set', 'cut': 'cut'}[do])(**command)

        print('{}', flush=True)


if __name__ == '__main__':
    asyncio.run(main())
