"""run: one run of one scenario, from the first process to the verdict.

    start --> warm up --> faults --> heal --> drain --> referee --> check

in:   scenario, seed, seconds, store, resync.  out: a Result.
owns: the run's directory, whatever runs in it, the nemesis' history.
"""

import json
import os
import random
import signal
import socket
import sys
import threading
import time
import urllib.request

import check
import faults
import history
import net
import proc
import scenarios
import stack as stacks

HERE = os.path.dirname(os.path.abspath(__file__))
DEADLINE_S = 45             # all is delivered so long after the heal
ACKS_S = 15                 # and publishers are served again
SOURCES = 8                 # addresses of clients


class Helper:
    """clients.py, publishers.py or proxy.py, and its commands."""

    def __init__(self, run, role, script, settings):
        path = run.stack.file(f'{role}.json', json.dumps(settings), 0o600)
        self.name = script
        self.lock = threading.Lock()
        self.process = proc.Process(
            run.net.inside(role) + [sys.executable,
                                    os.path.join(HERE, script), path],
            run.stack.path('logs', f'{role}.log'), pipes=True)

    def __call__(self, **command):
        with self.lock:
            try:
                self.process.popen.stdin.write(json.dumps(command) + '\n')
                self.process.popen.stdin.flush()
                line = self.process.popen.stdout.readline()
            except OSError as error:
                raise RuntimeError(f'{self.name}: {error}') from error

        if not line:
            raise RuntimeError(f'{self.name} has ended')

        return json.loads(line)


class Run:

    def __init__(self, name, seed, seconds, store, resync, directory,
                 overrides=None):
        self.what, self.rows, settings = scenarios.SCENARIOS[name]
        self.rows = [scenarios.for_store(row, store.name)
                     for row in self.rows]
        self.name = name
        self.seed = seed
        self.seconds = seconds
        self.dir = directory
        self.options = {**scenarios.DEFAULTS, **settings,
                        **(overrides or {})}
        self.options['resync'] = '1h' if resync == 'off' else resync
        self.options['collectors'] = min(self.options['collectors'],
                                         store.collectors)
        if self.options['clock']:
            self.options['clock'] = stacks.libfaketime()

        if self.options['aof'] is None:
            self.options['aof'] = seed % 2 == 0

        self.checked = resync != 'off'
        self.store = store
        self.users = [f'u{n}' for n in range(self.options['users'])]
        self.faults_found = []      # of the product, seen by the nemesis
        self.helpers = {}
        self.net = self.stack = self.history = None
        self.sampling = threading.Event()

    def log(self, event, **more):
        self.history.add(event, **more)
        self.history.flush()

    def fault(self, what):
        self.faults_found.append(what)
        self.log('nemesis', what='FAULT ' + what)

    # --- what faults use ---

    def clients(self, **command):
        return self.helpers['cli'](**command)

    def proxy(self, **command):
        if 'px' in self.helpers:
            return self.helpers['px'](**command)

    def set_clock(self, seconds):
        path = self.stack.path('tmp', 'clock')
        with open(path + '.new', 'w', encoding='ascii') as file:
            file.write(f'{seconds:+d}\n')
        os.rename(path + '.new', path)

    def kick(self, user):
        with open(self.stack.path('etc', 'edge.secret'),
                  encoding='ascii') as file:
            secret = file.read().strip()

        reason = 'kicked'
        request = urllib.request.Request(
            'http://' + self.stack.at(self.stack.dispatchers[0],
                                      stacks.DISPATCHER) + '/dispatch',
            f'epoch {self.epoch()}\nnode -\n'
            f'kick {user} * 4002 {len(reason)}\n{reason}\n'.encode(),
            {'Push-Secret': secret})
        self.log('kick', u=user)

        try:
            urllib.request.urlopen(request, timeout=5).close()
        except OSError as error:
            self.log('nemesis', what=f'kick: {error}')

    def epoch(self):
        for role in self.stack.collectors:
            with open(self.stack.path('logs', role + '.log'),
                      encoding='utf-8') as file:
                for line in file:
                    if 'event=store_open' in line:
                        return line.split('epoch=')[1].split()[0]
        raise RuntimeError('no collector tells the epoch')

    # --- the run ---

    def execute(self):
        os.makedirs(os.path.join(self.dir, 'history'))
        self.history = history.Writer(self.path('nemesis'))
        self.log('run', scenario=self.name, seed=self.seed,
                 seconds=self.seconds, store=self.store.name,
                 resync=self.options['resync'], deadline_s=DEADLINE_S,
                 acks_s=ACKS_S, cap=None, clock=bool(self.options['clock']))
        try:
            self.begin()
            self.storm()
            self.finish()
        finally:
            self.sampling.set()
            self.end()

        result = check.check(history.read(os.path.join(self.dir, 'history')))

        for what in self.faults_found:
            result.add('fault', what)

        result.facts = self.store.facts(self.stack)
        return result

    def path(self, name):
        return os.path.join(self.dir, 'history', name + '.jsonl')

    def begin(self):
        names = {'cli': SOURCES, 'pub': 1, 'r': 1, 'a': 1, 'px': 1}
        options = self.options

        for letter, kind in (('e', 'edges'), ('c', 'collectors'),
                             ('d', 'dispatchers')):
            for n in range(options[kind]):
                names[f'{letter}{n + 1}'] = 1

        names.update(self.store.roles)
        self.net = net.Net(names)
        self.stack = stacks.Stack(self.dir, self.net, options, self.store)

        if options['clock']:
            self.set_clock(0)

        secret = random.Random(self.seed).randbytes(16).hex()
        common = {'seed': self.seed, 'secret': secret, 'users': self.users}
        at = self.stack.at
        targets = [at(c, stacks.COLLECTOR, 'publish')
                   for c in self.stack.collectors]
        targets += [at(e, stacks.WS, 'publish') for e in self.stack.edges[:2]]
        edges = [(e, at(e, stacks.WS, 'clients')) for e in self.stack.edges]

        if options['proxy']:
            self.helpers['px'] = Helper(self, 'px', 'proxy.py', {
                'address': self.net.address('px'), 'seed': self.seed,
                'legs': self.stack.legs})
            self.helpers['px'].process.popen.stdout.readline()

        self.stack.start_all()
        self.helpers['cli'] = Helper(self, 'cli', 'clients.py', {
            **common, 'kinds': options['kinds'], 'slow': options['slow'],
            'short_tokens': options['short_tokens'],
            'jwt_key': self.stack.jwt_key,
            'heartbeat_s': options['heartbeat'],
            'sources': self.net.roles['cli'], 'history': self.path('cli'),
            'edges': [{'name': name, 'host': where.split(':')[0],
                       'port': int(where.split(':')[1])}
                      for name, where in edges]})
        self.helpers['pub'] = Helper(self, 'pub', 'publishers.py', {
            **common, 'publishers': options['publishers'],
            'rate': options['rate'], 'api_key': self.stack.api_key,
            'all_part': options['all_part'], 'hot_part': options['hot_part'],
            'ttl_part': options['ttl_part'],
            'double_part': options['double_part'],
            'history': self.path('pub'),
            'targets': [(where.split(':')[0], int(where.split(':')[1]))
                        for where in targets]})

        self.sample('before')
        self.clients(do='start')
        devices = self.clients(do='state')['devices']

        if not proc.wait_until(lambda: self.clients(do='state')['live']
                               >= 0.95 * devices, 30, 0.3):
            raise RuntimeError('clients do not get in: '
                               f'{self.clients(do="state")}')

        self.helpers['pub'](do='start', seconds=self.seconds)
        threading.Thread(target=self.samples, daemon=True).start()

    def storm(self):
        schedule = faults.Schedule(self, self.rows)
        schedule.run(self.seconds)

        if schedule.errors:
            raise RuntimeError('; '.join(schedule.errors))

    def finish(self):
        self.net.heal()
        self.proxy(do='heal')
        if self.options['clock']:
            self.set_clock(0)
        self.stack.up()
        self.log('heal')
        healed = time.monotonic()

        self.clients(do='calm')
        time.sleep(1.0)
        told = self.helpers['pub'](do='finish', seconds=ACKS_S - 1)
        left = DEADLINE_S - (time.monotonic() - healed)
        late = self.clients(do='wait', want=told['tips'], seconds=left)

        if late['missing']:
            self.log('nemesis', what='late', **late)
            late = self.clients(do='wait', want=told['tips'], seconds=30
                                if self.checked else 5)

        self.clients(do='referee')
        self.clients(do='wait', want=told['tips'], seconds=30)
        self.clients(do='stop')
        self.helpers['pub'](do='stop')
        self.quiet()
        self.log('end')

    def quiet(self):
        """Nobody is connected: every edge must see that."""
        def connections():
            total = 0
            for role in self.stack.edges:
                try:
                    with urllib.request.urlopen(
                            f'http://{self.stack.at(role, stacks.DELIVER)}'
                            '/status', timeout=3) as answer:
                        total += json.load(answer)['connections']
                except (OSError, ValueError):
                    total += 1
            return total

        if not proc.wait_until(lambda: connections() == 0,
                               self.options['heartbeat'] + 8, 0.3):
            self.fault(f'{connections()} connections are counted, none is '
                       'open')

        for line in self.stack.faults():
            self.fault(line)

        self.sample('after')

    def sample(self, when):
        for process, (rss, descriptors) in self.stack.memory().items():
            self.log('sample', p=process, rss=rss, fds=descriptors, when=when)

    def samples(self):
        while not self.sampling.wait(3):
            self.sample('during')

    def end(self):
        for helper in self.helpers.values():
            helper.process.end(signal.SIGTERM, 3)
        if self.stack:
            self.net.heal()
            self.stack.end()
        self.history.close()
