"""clients: some hundred devices that read, ack, lose and resume connections.

usage: clients.py FILE      settings as JSON, made by run.py

in:   commands, a JSON object a line, on stdin (see COMMANDS below).
out:  the history; an answer a command on stdout.
owns: each device's cursors, which outlive its connections.
"""

import asyncio
import functools
import json
import random
import sys
import time

import history
import wire

CONNECT_S = 3.0
HANDSHAKE_S = 5.0
LOGS = ('user', 'all')


class Connection:
    """One attempt of a device, and what becomes of it."""

    def __init__(self, device, name, tok, bearer, exp):
        self.device = device
        self.world = device.world
        self.name = name
        self.tok = tok
        self.exp = exp
        self.id = self.world.next_id()
        self.edge = self.world.rng.choice(self.world.edges)
        self.socket = wire.Socket(self, self.edge['host'], bearer)
        self.hello = None
        self.heard = self.began = time.monotonic()
        self.pinged = 0.0
        self.live = False
        self.welcomed = False
        self.retry_s = None

    async def connect(self):
        source = self.device.source
        try:
            await asyncio.wait_for(
                asyncio.get_running_loop().create_connection(
                    lambda: self.socket, self.edge['host'],
                    self.edge['port'], local_addr=(source, 0)), CONNECT_S)
        except (OSError, asyncio.TimeoutError):
            self.socket.finish(None, abort=True)
            self.device.ended(self, None)

    # --- what the socket tells ---

    def opened(self, status):
        if status != 101:
            self.world.log('refused', u=self.name, status=status,
                           tok=self.tok)
            self.device.ended(self, None)
            return

        self.live = True
        self.hello = self.device.hello()
        self.world.log('open', c=self.id, u=self.name, d=self.device.name,
                       hello=self.hello.get('cursors'), tok=self.tok,
                       left=self.exp - time.time(),
                       node=self.edge['name'],
                       **self.device.traits())
        self.socket.send(json.dumps(self.hello))

    def frame(self, opcode, payload):
        self.heard = time.monotonic()

        if opcode != wire.TEXT:
            return

        try:
            frame = json.loads(payload)
            getattr(self, 'on_' + frame['type'])(frame)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            self.garbled(f'{type(error).__name__} {error}: '
                         f'{payload[:100]!r}')

    def garbled(self, what):
        self.world.log('garbled', c=self.id, what=what)

    def closed(self, code):
        by = 'server' if code != wire.LOST else 'reset'

        if self.live:
            self.world.log('close', c=self.id, code=code, by=by)

        self.device.ended(self, code if self.live else None)

    def leave(self, by, abort=True):
        """The device does not want it any more."""
        if not self.socket.done:
            if self.live:
                self.world.log('close', c=self.id, code=wire.LOST, by=by)
            self.socket.finish(None, abort=abort)
        self.device.ended(self, None)

    # --- frames ---

    def on_welcome(self, frame):
        self.welcomed = True
        self.device.failures = 0
        self.world.log('welcome', c=self.id, u=frame['user'])

    def on_pong(self, frame):
        pass

    def on_bye(self, frame):
        self.retry_s = frame['retry_ms'] / 1000

    def on_message(self, frame):
        data = frame['data']
        log, seq = frame['log'], frame.get('seq', 0)
        good = data['m'] == wire.seal(self.world.secret, data['u'],
                                      data['k'], data['p'])
        app = seq > 0 and self.device.take(self, log, seq, seq)

        self.world.log('msg', c=self.id, l=log, s=seq, k=data['k'],
                       h=wire.digest(data), u=data['u'], good=good,
                       app=int(app))
        if app:
            self.device.ack_soon(self, log)

    def on_void(self, frame):
        self.world.log('void', c=self.id, l=frame['log'], a=frame['from'],
                       b=frame['to'], why=frame['why'])
        self.device.take(self, frame['log'], frame['from'], frame['to'])

    def on_reset(self, frame):
        self.world.log('reset', c=self.id, logs=frame['logs'])
        self.device.epoch = frame['epoch']

        for log, state in frame['logs'].items():
            self.device.last[log] = state['floor']

    def on_synced(self, frame):
        log, seq = frame['log'], frame['seq']
        self.world.log('synced', c=self.id, l=log, s=seq)
        self.device.epoch = frame['epoch']
        self.device.last.setdefault(log, seq)

    # --- heartbeats ---

    def tick(self, now):
        if not self.live:
            if now - self.began > HANDSHAKE_S:
                self.leave('timeout')
        elif now - self.heard > self.world.silence_s:
            self.leave('timeout')
        elif now - self.pinged > self.world.ping_s:
            self.pinged = now
            self.socket.send('{"type":"ping"}')


class Device:
    """A device of a user: what it has handled, and its one connection.

    kind: keep     stores its cursors, with the first ones at 0
          fresh    the same, but begins without cursors
          forget   relies on the cursors that the server has stored
          referee  reads all from 0, once, acks, and is not disturbed
    """

    def __init__(self, world, user, name, kind):
        self.world = world
        self.user = user
        self.name = name
        self.kind = kind
        self.source = world.rng.choice(world.sources)
        self.slow = kind != 'referee' and world.rng.random() < world.slow
        self.window = world.rng.choice((4, 8)) if self.slow \
            else world.rng.choice((8, 16, 64, 256))
        self.last = dict.fromkeys(LOGS, 0) if kind in ('keep', 'referee') \
            else {}
        self.acked = {}
        self.epoch = None
        self.connection = None
        self.failures = 0
        self.stopped = False
        self.short = world.rng.random() < world.short_tokens

    def traits(self):
        return {trait: True for trait, on in (
            ('forget', self.kind == 'forget'),
            ('referee', self.kind == 'referee')) if on}

    def hello(self):
        hello = {'type': 'hello', 'device': self.name, 'window': self.window}

        if self.kind == 'forget':
            self.last = {}
        elif self.last:
            hello['cursors'] = dict(self.last)

            if self.epoch:
                hello['epoch'] = self.epoch

        self.acked = {}
        return hello

    def connect(self):
        if self.stopped or self.connection:
            return

        ttl = self.world.rng.choice((2, 6)) if self.short else 36000
        bearer = wire.token(self.world.jwt_key, self.user, ttl)
        self.connection = Connection(self, self.user, 'good', bearer,
                                     int(time.time()) + ttl)
        self.world.spawn(self.connection.connect())

    def ended(self, connection, code):
        if self.connection is not connection:
            return

        self.connection = None
        self.failures = min(self.failures + 1, 5)
        rng = self.world.rng

        if connection.retry_s is not None:
            delay = min(connection.retry_s, 5.0)
        elif connection.welcomed:
            delay = rng.uniform(0.05, 1.0)
        else:
            delay = rng.uniform(0.1, 0.4 * self.failures)

        asyncio.get_running_loop().call_later(delay, self.connect)

    def take(self, connection, log, first, last):
        """What an application does with first..last: true if it is new."""
        if connection is not self.connection:
            return False

        have = self.last.get(log)

        if have is None:
            have = first - 1

        if last <= have:
            return False

        if first > have + 1:            # a gap: the history shows it
            asyncio.get_running_loop().call_soon(connection.leave, 'gap')
            return False

        self.last[log] = last
        return True

    def ack_soon(self, connection, log):
        delay = self.world.rng.uniform(0.3, 1.0) if self.slow else 0.0
        asyncio.get_running_loop().call_later(delay, self.ack, connection,
                                              log)

    def ack(self, connection, log):
        seq = self.last.get(log, 0)

        if connection is self.connection and connection.live \
                and seq > self.acked.get(log, 0):
            self.acked[log] = seq
            self.world.log('ack', c=connection.id, l=log, s=seq)
            connection.socket.send(
                f'{{"type":"ack","log":"{log}","seq":{seq}}}')

    def lacks(self, want):
        """Logs of which it has less than it must."""
        tips = {'user': want.get('user:' + self.user, 0),
                'all': want.get('all', 0)}
        return [f'{self.user}/{self.name} {log} {self.last.get(log)}<{tip}'
                for log, tip in tips.items()
                if self.last.get(log, -1) < tip]


class Intruder(Device):
    """Tries to get in without a right to."""

    def __init__(self, world):
        super().__init__(world, 'nobody', 'intruder', 'keep')

    def connect(self):
        if self.stopped or self.connection:
            return

        rng, key = self.world.rng, self.world.jwt_key
        self.user = rng.choice(self.world.users)
        tok = rng.choice(('none', 'forged', 'expired', 'alg-none', 'cut'))
        good = wire.token(key, self.user)
        head, claims, mac = good.split('.')
        bearer = {
            'none': '',
            'forged': wire.token(b'x' * 32, self.user),
            'expired': wire.token(key, self.user, -120),
            'alg-none': wire.b64(b'{"alg":"none"}') + f'.{claims}.',
            'cut': good[:-3],
        }[tok]
        self.connection = Connection(self, self.user, tok, bearer, 0)
        self.world.spawn(self.connection.connect())

    def lacks(self, want):
        return []


class World:
    """All devices, and the commands."""

    def __init__(self, settings):
        self.rng = random.Random(settings['seed'])
        self.edges = settings['edges']
        self.sources = settings['sources']
        self.users = settings['users']
        self.slow = settings['slow']
        self.short_tokens = settings['short_tokens']
        self.secret = bytes.fromhex(settings['secret'])
        self.jwt_key = settings['jwt_key'].encode()
        self.ping_s = settings['heartbeat_s'] * 0.4
        self.silence_s = settings['heartbeat_s']
        self.history = history.Writer(settings['history'])
        self.log = self.history.add
        self.ids = 0
        self.tasks = set()
        self.devices = [
            Device(self, user, f'd{n}', kind)
            for user in self.users
            for n, kind in enumerate(settings['kinds'])
        ] + [Intruder(self) for _ in range(2)]
        self.stopped = asyncio.Event()

    def next_id(self):
        self.ids += 1
        return self.ids

    def spawn(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def live(self):
        return [d.connection for d in self.devices
                if d.connection and d.connection.live
                and d.kind != 'referee']

    def some(self, part):
        live = self.live()
        return self.rng.sample(live, int(len(live) * part))

    async def ticks(self):
        while not self.stopped.is_set():
            now = time.monotonic()
            for device in self.devices:
                if device.connection:
                    device.connection.tick(now)
            self.history.flush()
            await asyncio.sleep(0.5)

    # --- commands ---

    async def do_start(self, over_s=2.0):
        for device in self.devices:
            asyncio.get_running_loop().call_later(
                self.rng.uniform(0, over_s), device.connect)
        return {}

    async def do_state(self):
        return {'live': sum(1 for c in self.live() if c.welcomed),
                'devices': sum(1 for d in self.devices
                               if type(d) is Device)}

    async def do_flash(self, part):
        """That share of connections vanishes, some of them politely."""
        for connection in self.some(part):
            connection.leave('client', abort=self.rng.random() < 0.5)
        return {}

    async def do_pause(self, part, seconds):
        """That share does not read for a while."""
        def resume(transport):
            if not transport.is_closing():
                transport.resume_reading()

        for connection in self.some(part):
            transport = connection.socket.transport
            if transport.is_reading():
                transport.pause_reading()
                # Its silence is its own fault, not the server's.
                connection.heard += seconds
                asyncio.get_running_loop().call_later(seconds, resume,
                                                      transport)
        return {}

    async def do_fresh(self, count):
        """New devices of users that are here already."""
        for _ in range(count):
            user = self.rng.choice(self.users)
            device = Device(self, user, f'n{len(self.devices)}',
                            self.rng.choice(('fresh', 'keep', 'forget')))
            self.devices.append(device)
            device.connect()
        return {}

    async def do_calm(self):
        """Everybody is quick from now on."""
        for device in self.devices:
            device.slow = False
        return {}

    async def do_wait(self, want, seconds):
        """Until every device has every log up to its seq in want."""
        end = time.monotonic() + seconds

        while True:
            missing = [text for d in self.devices for text in d.lacks(want)]

            if not missing or time.monotonic() > end:
                return {'missing': missing[:20], 'count': len(missing)}

            await asyncio.sleep(0.1)

    async def do_referee(self):
        """A device of each user that has never been here reads it all."""
        for user in self.users:
            device = Device(self, user, 'referee', 'referee')
            self.devices.append(device)
            device.connect()
        return {}

    async def do_stop(self):
        for device in self.devices:
            device.stopped = True
            if device.connection:
                device.connection.leave('client', abort=False)
        self.history.flush()
        self.stopped.set()
        return {}

    async def command(self, line):
        command = json.loads(line)
        answer = await getattr(self, 'do_' + command.pop('do'))(**command)
        print(json.dumps(answer), flush=True)

    async def run(self):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(
            functools.partial(asyncio.StreamReaderProtocol, reader),
            sys.stdin)
        self.spawn(self.ticks())

        while not self.stopped.is_set():
            line = await reader.readline()
            if not line:
                break
            await self.command(line)

        await asyncio.sleep(0.2)        # Close frames go out
        self.history.close()


async def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        world = World(json.load(file))
    await world.run()


if __name__ == '__main__':
    asyncio.run(main())
