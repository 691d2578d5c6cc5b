"""faults: what the nemesis can do, each with its own end.

    @fault
    def name(x, ...):      x: the Nemesis below
        do it; x.pause(...); undo it

A fault runs again and again in a thread of its own until the time is over;
x.pause() then returns at once, and what was done is undone all the same.
Everything random comes from the seed.
"""

import os
import random
import shutil
import signal
import threading
import time

import proc
import redis

FAULTS = {}


def fault(function):
    FAULTS[function.__name__] = function
    return function


class Nemesis:
    """What a fault sees: the run's parts, a random source, the clock."""

    def __init__(self, run, number, over):
        self.run = run
        self.stack = run.stack
        self.net = run.net
        self.store = run.stack.store
        self.rng = random.Random(f'{run.seed}/{number}')
        self.over = over

    def pause(self, low, high=None):
        """Waits so many seconds, or until the time is over."""
        self.over.wait(self.rng.uniform(low, high if high else low))

    def ended(self):
        return self.over.is_set()

    def log(self, what):
        self.run.log('nemesis', what=what)

    def roles(self, what):
        return {'edge': self.stack.edges, 'collector': self.stack.collectors,
                'dispatcher': self.stack.dispatchers, 'auth': ['a'],
                'redis': ['r']}.get(what, [what])

    def role(self, what):
        return self.rng.choice(self.roles(what))


# --- processes --------------------------------------------------------------

@fault
def kill(x, what, down=(0.2, 3)):
    """kill -9 of a whole role, and its start again."""
    role = x.role(what)
    x.log(f'kill -9 {role}')
    x.stack.kill(role)
    x.pause(*down)
    x.stack.start(role)
    x.log(f'start {role}')


@fault
def kill_all(x, what, down=(0.5, 3)):
    """All of a kind at once."""
    for role in x.roles(what):
        x.log(f'kill -9 {role}')
        x.stack.kill(role)
    x.pause(*down)
    for role in x.roles(what):
        x.stack.start(role)
        x.log(f'start {role}')


@fault
def kill_worker(x):
    role = x.role('edge')
    workers = x.stack.workers(role)

    if workers:
        pid = x.rng.choice(workers)
        x.log(f'kill -9 worker {pid} of {role}')
        proc.kill9(pid)


@fault
def kill_master(x, down=(0.5, 4)):
    """The master alone; its workers go on, until a supervisor acts."""
    role = x.role('edge')
    master = x.stack.master(role)

    if master:
        x.log(f'kill -9 master of {role}')
        proc.kill9(master)
        x.pause(*down)
        x.stack.kill(role)
        x.stack.start(role)
        x.log(f'start {role}')


@fault
def stop(x, what, down=(1, 20)):
    """STOP and CONT; a worker: one of an edge."""
    role = x.role('edge' if what == 'worker' else what)
    pids = x.stack.workers(role)[:1] if what == 'worker' \
        else x.stack.pids(role)

    x.log(f'STOP {role} {"worker" if what == "worker" else ""}')
    for pid in pids:
        proc.send(pid, signal.SIGSTOP)
    x.pause(*down)
    for pid in pids:
        proc.send(pid, signal.SIGCONT)
    x.log(f'CONT {role}')


@fault
def term(x, what, down=(0.1, 2)):
    """A restart as an operator does it."""
    role = x.role(what)
    x.log(f'TERM {role}')
    x.stack.signal(role, signal.SIGTERM)

    if not proc.wait_until(lambda: not x.stack.pids(role), 15):
        x.run.fault(f'{role} does not end within 15 s of TERM')
        x.stack.kill(role)

    x.pause(*down)
    x.stack.start(role)
    x.log(f'start {role}')


# --- nginx ------------------------------------------------------------------

@fault
def reload(x):
    role = x.role('edge')
    master = x.stack.master(role)

    if master:
        x.log(f'HUP {role}')
        proc.send(master, signal.SIGHUP)


@fault
def quit(x, down=(0.2, 3)):
    role = x.role('edge')
    master = x.stack.master(role)

    if master:
        x.log(f'QUIT {role}')
        proc.send(master, signal.SIGQUIT)

        if not proc.wait_until(lambda: not x.stack.pids(role), 30):
            x.run.fault(f'{role} does not end within 30 s of QUIT')
            x.stack.kill(role)

        x.pause(*down)
        x.stack.start(role)
        x.log(f'start {role}')


@fault
def upgrade(x):
    """USR2, then QUIT of the old master."""
    role = x.role('edge')
    old = x.stack.master(role)

    if not old:
        return

    x.log(f'USR2 {role}')
    proc.send(old, signal.SIGUSR2)

    if not proc.wait_until(lambda: x.stack.master(role) not in (old, None)
                           and x.stack.workers(role), 10):
        x.run.fault(f'{role}: no new master within 10 s of USR2')
        return

    x.pause(0.2, 2)
    x.log(f'QUIT old master of {role}')
    proc.send(old, signal.SIGQUIT)

    if not proc.wait_until(lambda: not proc.alive(old), 30):
        x.run.fault(f'{role}: the old master stays after QUIT')
        proc.kill9(old, *proc.children(old))


# --- Redis ------------------------------------------------------------------

def redis_do(x, *words):
    try:
        return x.stack.redis(*words)
    except (OSError, redis.Error) as error:
        x.log(f'redis {words[0]}: {error}')
        return None


@fault
def flushall(x):
    x.log('FLUSHALL')
    redis_do(x, 'FLUSHALL')


@fault
def lose_bindings(x):
    """Half of the users' keys are gone, as if evicted; leases stay, so that
    each edge finds out by its renewals alone."""
    keys = redis_do(x, 'KEYS', 'push:{*') or []
    gone = x.rng.sample(sorted(keys), len(keys) // 2)

    if gone:
        x.log(f'DEL of {len(gone)} bindings')
        redis_do(x, 'DEL', *gone)


@fault
def old_snapshot(x):
    """Redis comes back as it was some seconds ago."""
    directory = x.stack.path('data', 'r')
    dump = os.path.join(directory, 'dump.rdb')

    if redis_do(x, 'SAVE') is None:
        return

    shutil.copy(dump, dump + '.old')
    x.log('snapshot taken')
    x.pause(3, 10)
    x.stack.kill('r')
    shutil.rmtree(os.path.join(directory, 'appendonlydir'),
                  ignore_errors=True)
    shutil.copy(dump + '.old', dump)
    x.log('redis killed, old snapshot restored')
    x.pause(0, 1)
    x.stack.start('r')


@fault
def memory_full(x, down=(2, 8)):
    x.log('maxmemory 1')
    redis_do(x, 'CONFIG', 'SET', 'maxmemory', '1')
    x.pause(*down)
    redis_do(x, 'CONFIG', 'SET', 'maxmemory', '0')
    x.log('maxmemory 0')


# --- network ----------------------------------------------------------------

@fault
def part(x, one, other, down=(1, 12), verdict='drop'):
    """Two roles do not reach each other."""
    pair = x.role(one), x.role(other)
    x.log(f'{pair[0]} | {pair[1]} {verdict}')
    undo = x.net.part(*pair, verdict)
    x.pause(*down)
    undo()
    x.log(f'{pair[0]} = {pair[1]}')


@fault
def one_way(x, pairs, down=(1, 12)):
    """What one sends does not reach the other; answers would."""
    one, other = (x.role(what) for what in x.rng.choice(pairs))
    x.log(f'{one} -x-> {other}')
    undo = x.net.block(one, other)
    x.pause(*down)
    undo()
    x.log(f'{one} ---> {other}')


@fault
def loss(x, pairs, down=(2, 10)):
    """Packets of one to the other are lost at random."""
    one, other = (x.role(what) for what in x.rng.choice(pairs))
    percent = x.rng.choice((5, 20, 50))
    x.log(f'{one} -{percent}%-> {other}')
    undo = x.net.block(one, other, f'loss{percent}')
    x.pause(*down)
    undo()
    x.log(f'{one} ---> {other}')


@fault
def unplug(x, what, down=(1, 12)):
    role = x.role(what)
    x.log(f'unplug {role}')
    undo = x.net.unplug(role)
    x.pause(*down)
    undo()
    x.log(f'plug {role}')


@fault
def half_open(x, down=(4, 15)):
    """Clients of one address vanish for one edge: it hears nothing of their
    going; they come back elsewhere."""
    role = x.role('edge')
    address = x.rng.choice(x.net.roles['cli'])
    x.log(f'{role} | clients of {address}')
    undo = x.net.mute(role, address)
    x.pause(*down)
    undo()
    x.log(f'{role} = clients of {address}')


@fault
def bad_wire(x, legs, down=(2, 8)):
    """A leg's proxy delays, dribbles, cuts short, hangs."""
    leg = x.rng.choice(legs)
    mode = x.rng.choice((
        {'delay_ms': 20, 'jitter_ms': 100}, {'delay_ms': 400},
        {'delay_ms': 2500, 'jitter_ms': 1000}, {'dribble': 40},
        {'truncate': 0.02}, {'truncate': 0.2}, {'hang': True}))
    x.log(f'{leg}: {mode}')
    x.run.proxy(do='mode', leg=leg, **mode)
    x.pause(*down)
    x.run.proxy(do='mode', leg=leg)
    x.log(f'{leg}: pass')


@fault
def cut_wire(x, legs):
    leg = x.rng.choice(legs)
    half = x.rng.random() < 0.3
    part_of = x.rng.choice((0.3, 1.0))
    x.log(f'{leg}: {"half-closed" if half else "cut"} {part_of}')
    x.run.proxy(do='cut', leg=leg, part=part_of, half=half)


# --- clients ----------------------------------------------------------------

@fault
def flash(x, fraction=0.5):
    x.log(f'clients: {fraction} of them vanish')
    x.run.clients(do='flash', part=fraction)


@fault
def storm(x):
    x.log('clients: all of them vanish, and come back within a second')
    x.run.clients(do='flash', part=1.0)


@fault
def slow_readers(x, part=0.2):
    x.log(f'clients: {part} of them do not read')
    x.run.clients(do='pause', part=part,
                  seconds=x.rng.uniform(2, 8))


@fault
def fresh_devices(x, count=3):
    x.log(f'clients: {count} new devices')
    x.run.clients(do='fresh', count=count)


@fault
def kick(x):
    """4002 for a user, as whoever revokes a token does it."""
    user = x.rng.choice(x.run.users)
    x.log(f'kick {user}')
    x.run.kick(user)


# --- store, disk, clock -----------------------------------------------------

@fault
def disk_full(x, down=(2, 6)):
    """No byte is left where the store is."""
    role = x.role('collector')
    filler = x.stack.path('data', role, 'filler')
    x.log(f'disk of {role} full')

    with open(filler, 'wb', buffering=0) as file:
        for size in (1 << 20, 4096, 512, 1):
            try:
                while True:
                    file.write(b'\0' * size)
            except OSError:
                pass

    x.pause(*down)
    os.unlink(filler)
    x.log(f'disk of {role} has room')


@fault
def clock(x, hours=(-1, 1), down=(2, 10)):
    """The wall clock of the daemons jumps, and later back."""
    offset = x.rng.choice(hours)
    x.log(f'clock {offset:+d} h')
    x.run.set_clock(offset * 3600)
    x.pause(*down)
    x.run.set_clock(0)
    x.log('clock back')


@fault
def store(x, what, **options):
    """What only the store's own kind knows: see its nemesis_* methods."""
    getattr(x.store, 'nemesis_' + what)(x, **options)


@fault
def mix(x, choices):
    """One of many, drawn each time."""
    name, options = x.rng.choice(choices)
    FAULTS[name](x, **options)


class Schedule:
    """The faults of a scenario, each in its thread."""

    def __init__(self, run, rows):
        self.over = threading.Event()
        self.errors = []
        self.threads = [
            threading.Thread(target=self.repeat, args=(
                Nemesis(run, number, self.over), *row), daemon=True)
            for number, row in enumerate(rows)]

    def repeat(self, x, name, every, options):
        try:
            x.pause(*every)
            while not x.ended():
                FAULTS[name](x, **options)
                x.pause(*every)
        except Exception as error:      # said, and the run fails by it
            self.errors.append(f'{name}: {type(error).__name__}: {error}')

    def run(self, seconds):
        for thread in self.threads:
            thread.start()

        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.errors:
            time.sleep(0.1)

        self.over.set()
        for thread in self.threads:
            thread.join(60)
