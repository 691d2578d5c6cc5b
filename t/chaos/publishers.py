"""publishers: backends that publish with a key until they know the outcome.

usage: publishers.py FILE      settings as JSON, made by run.py

Each publisher has users of its own, or shares a hot one, and sends one message
after the other: what it publishes later must get the higher seq.

in:   commands, a JSON object a line, on stdin.
out:  the history; an answer a command on stdout.
"""

import asyncio
import functools
import json
import random
import sys
import time

import history
import wire


class Publisher:

    def __init__(self, world, number):
        self.world = world
        self.number = number
        self.rng = random.Random(world.settings['seed'] * 1000 + number)
        self.users = world.users[number::world.count] or [world.users[0]]
        self.count = 0
        self.http = [wire.Http(host, port)
                     for host, port in world.settings['targets']]

    def next(self):
        """(log, to, user, ttl) of the next message."""
        settings = self.world.settings
        ttl = None

        if self.rng.random() < settings['ttl_part']:
            ttl = self.rng.choice((1, 2, 4, 8))

        if self.rng.random() < settings['all_part']:
            return 'all', {'all': True}, '*', ttl

        if self.rng.random() < settings['hot_part']:
            user = self.world.users[0]
        else:
            user = self.rng.choice(self.users)

        return 'user:' + user, {'user': user}, user, ttl

    async def run(self):
        interval = self.world.count / self.world.settings['rate']

        while not self.world.ending:
            pause = self.rng.expovariate(1 / interval)
            await asyncio.sleep(min(pause, 5 * interval))

            log, to, user, ttl = self.next()

            # From its end on a log is silent, so that whoever lacks its tail
            # is not helped by the next message.
            if not self.world.ending and not self.world.silent(log):
                await self.publish(log, to, user, ttl)

    async def publish(self, log, to, user, ttl):
        self.count += 1
        key = f'k{self.world.settings["seed"]}-{self.number}-{self.count}'
        pad = 'x' * self.rng.choice((0, 10, 100, 1000))
        data = wire.body(self.world.secret, user, key, pad)
        request = {'to': to, 'data': data, 'key': key}

        if ttl:
            request['ttl'] = ttl

        self.world.log('invoke', k=key, l=log, h=wire.digest(data), ttl=ttl)
        content = json.dumps(request).encode()
        copies = 1

        if self.rng.random() < self.world.settings['double_part']:
            copies = self.rng.choice((2, 3))

        started = self.rng.randrange(len(self.http))
        await asyncio.gather(*(
            self.until_known(key, log, content, started + i, i)
            for i in range(copies)))

    async def until_known(self, key, log, content, target, copy):
        """Tries one collector after the other."""
        world = self.world
        delay = 0.05

        while time.monotonic() < world.give_up:
            http = self.http[target % len(self.http)]

            if copy:                    # a connection of its own
                http = wire.Http(http.host, http.port)

            try:
                status, answer = await http.post('/v1/messages', content,
                                                 world.headers)
            except OSError:
                status, answer = 0, b''

            if copy:
                http.close()

            if status in (200, 201):
                answer = json.loads(answer)
                world.log('ok', k=key, l=answer['log'], s=answer['seq'],
                          dup=answer['duplicate'])
                world.oks += 1
                world.tips[log] = max(world.tips.get(log, 0), answer['seq'])
                return

            if 400 <= status < 500 and status not in (408, 429):
                world.log('fail', k=key, code=status)
                return

            world.retries += 1
            target += 1
            await asyncio.sleep(self.rng.uniform(0.5, 1) * delay)
            delay = min(delay * 2, 1.0)

        world.log('info', k=key)
        world.unknown += 1


class World:

    def __init__(self, settings):
        self.settings = settings
        self.users = settings['users']
        self.count = min(settings['publishers'], len(self.users))
        self.secret = bytes.fromhex(settings['secret'])
        self.headers = (f'Authorization: Bearer {settings["api_key"]}\r\n'
                        'Content-Type: application/json\r\n')
        self.history = history.Writer(settings['history'])
        self.log = self.history.add
        self.ending = False
        self.give_up = float('inf')
        self.oks = self.unknown = self.retries = 0
        self.tips = {}
        self.ends = {}
        self.tasks = []

    def silent(self, log):
        return time.monotonic() > self.ends.get(log, float('inf'))

    async def do_start(self, seconds):
        """Half of the logs fall silent while the faults still go on."""
        rng = random.Random(self.settings['seed'])
        now = time.monotonic()

        for user in self.users:
            if rng.random() < 0.5:
                self.ends['user:' + user] = now + seconds * rng.uniform(
                    0.4, 1.1)

        self.tasks = [asyncio.create_task(Publisher(self, n).run())
                      for n in range(self.count)]
        return {}

    async def do_state(self):
        for task in self.tasks:
            if task.done():
                task.result()
        return {'oks': self.oks, 'unknown': self.unknown,
                'retries': self.retries}

    async def do_finish(self, seconds):
        """No new messages; those under way have so long to be known."""
        self.ending = True
        self.give_up = time.monotonic() + seconds
        await asyncio.gather(*self.tasks)
        return {'tips': self.tips, 'oks': self.oks, 'unknown': self.unknown,
                'retries': self.retries}

    async def do_stop(self):
        return None

    async def run(self):
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            functools.partial(asyncio.StreamReaderProtocol, reader),
            sys.stdin)

        while line := await reader.readline():
            command = json.loads(line)
            answer = await getattr(self, 'do_' + command.pop('do'))(**command)
            self.history.flush()
            print(json.dumps(answer), flush=True)

            if answer is None:
                break

        self.history.close()


async def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        world = World(json.load(file))
    await world.run()


if __name__ == '__main__':
    asyncio.run(main())
