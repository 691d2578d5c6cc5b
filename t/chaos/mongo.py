"""mongo: a replica set of three, and what can be done to it.

in:   a Stack, whose namespaces m1 to m3 are the members'.
out:  the store's URL; faults by the name nemesis_<what>.
owns: the members' processes and files; build/mongod has the binary
      (./run mongod gets it), build/bin/mongo_command speaks for us.
"""

import json
import os
import shutil
import signal
import subprocess

import proc

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PORT = 27017
COMMAND = os.path.join(ROOT, 'build', 'bin', 'mongo_command')
ELECTION_MS = 2000


def binary():
    found = shutil.which('mongod') or os.path.join(ROOT, 'build', 'mongod',
                                                   'mongod')
    if not os.access(found, os.X_OK):
        raise RuntimeError('there is no mongod (./run mongod gets it)')
    return found


class Mongo:
    """As many collectors as one likes."""

    name = 'mongo'
    members = ('m1', 'm2', 'm3')
    roles = dict.fromkeys(members, 1)
    collectors = 8

    def __init__(self):
        self.stack = None

    def url(self, directory):
        return self.where + '/push?replicaSet=push'

    def attach(self, stack):
        self.stack = stack
        self.where = 'mongodb://' + ','.join(
            stack.at(member, PORT, 'mongo') for member in self.members)

    def command(self, member, command):
        """The reply of one member as text, or None."""
        url = (f'mongodb://{self.stack.net.address(member)}:{PORT}/?'
               'directConnection=true&serverSelectionTimeoutMS=1500&'
               'connectTimeoutMS=1000&socketTimeoutMS=3000')
        try:
            done = subprocess.run(
                [COMMAND, url, 'admin', json.dumps(command)],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                timeout=10, text=True, check=False)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None

    def primary(self):
        for member in self.members:
            if '"isWritablePrimary" : true' in (
                    self.command(member, {'hello': 1}) or ''):
                return member
        return None

    # --- life ---

    def start(self, stack):
        for member in self.members:
            os.makedirs(stack.path('data', member), exist_ok=True)
            self.up(member)

        for member in self.members:
            if not proc.wait_until(
                    lambda: self.command(member, {'hello': 1}), 30, 0.2):
                raise RuntimeError(f'{member} does not start:\n'
                                   + stack.tail(member))

        self.command('m1', {'replSetInitiate': {
            '_id': 'push',
            'members': [{'_id': n, 'host': stack.at(member, PORT, 'mongo')}
                        for n, member in enumerate(self.members, 1)],
            'settings': {'electionTimeoutMillis': ELECTION_MS,
                         'heartbeatIntervalMillis': 500,
                         'catchUpTimeoutMillis': 2000}}})
        self.wait_primary()

    def wait_primary(self):
        if not proc.wait_until(self.primary, 60, 0.3):
            raise RuntimeError('the replica set has no primary')

    def up(self, member):
        stack = self.stack

        with stack.lock:
            begun = stack.processes.get(member)
            if stack.pids(member) or begun and begun.running():
                return

            stack.processes[member] = proc.Process(
                stack.net.inside(member) + [
                    binary(), '--dbpath', stack.path('data', member),
                    '--replSet', 'push', '--bind_ip',
                    stack.net.address(member), '--port', str(PORT),
                    '--nounixsocket', '--quiet',
                    '--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '256',
                    '--setParameter', 'diagnosticDataCollectionEnabled=false',
                    '--wiredTigerEngineConfigString',
                    'log=(prealloc=false,file_max=16MB)'],
                stack.path('logs', member + '.log'))

    def heal(self, stack):
        for member in self.members:
            stack.signal(member, signal.SIGCONT)
            self.up(member)
        self.wait_primary()

    def end(self, stack):
        for member in self.members:
            stack.kill(member)

    def facts(self, stack):
        """What the members tell that they went through."""
        said = {'rollbacks': '"id":21612,', 'elections': '"id":21450,'}
        found = dict.fromkeys(said, 0)

        for member in self.members:
            with open(stack.path('logs', member + '.log'),
                      encoding='utf-8', errors='replace') as file:
                for line in file:
                    for name, mark in said.items():
                        found[name] += mark in line

        return found

    # --- faults ---

    def some(self, x):
        """The primary, or a secondary, or all."""
        which = x.rng.choice(('primary', 'primary', 'secondary', 'all'))
        primary = self.primary()

        if which == 'all':
            return list(self.members)
        if which == 'primary' and primary:
            return [primary]
        return [x.rng.choice([m for m in self.members if m != primary])]

    def nemesis_kill(self, x, down=(0.5, 6)):
        gone = self.some(x)
        x.log(f'kill -9 mongod {" ".join(gone)}, primary is '
              f'{self.primary()}')
        for member in gone:
            self.stack.kill(member)
        x.pause(*down)
        for member in gone:
            self.up(member)
        x.log(f'start mongod {" ".join(gone)}')

    def nemesis_stop(self, x, down=(1, 12)):
        still = self.some(x)[:1]
        x.log(f'STOP mongod {still[0]}, primary is {self.primary()}')
        self.stack.signal(still[0], signal.SIGSTOP)
        x.pause(*down)
        self.stack.signal(still[0], signal.SIGCONT)
        x.log(f'CONT mongod {still[0]}')

    def nemesis_step_down(self, x):
        primary = self.primary()
        if primary:
            x.log(f'{primary} steps down')
            self.command(primary, {'replSetStepDown': 3, 'force': True,
                                   'secondaryCatchUpPeriodSecs': 0})

    def nemesis_cut_primary(self, x, down=(5, 14)):
        """The others elect a new one; what the old one has written alone is
        rolled back when it hears of them.  Collectors reach all of them, or
        one is cut off with it."""
        old = self.primary()

        if not old:
            return

        with_it = x.rng.choice(self.stack.collectors) \
            if x.rng.random() < 0.3 else None
        others = [m for m in self.members if m != old]
        undo = [x.net.part(old, other) for other in others]

        if with_it:
            undo += [x.net.part(with_it, other) for other in others]

        x.log(f'{old} {with_it or ""} | {" ".join(others)}')
        x.pause(*down)
        for heal in undo:
            heal()
        x.log(f'{old} = {" ".join(others)}, primary is {self.primary()}')
