"""scenarios: what is done to the system, one row each.

    NAME: (what, [(fault, (low, high), options), ...], settings)

A fault is repeated after low..high seconds each time, in parallel with the
others of its row.  settings overrule DEFAULTS; stores: where it makes sense.
"""

DEFAULTS = {
    'edges': 3, 'collectors': 2, 'dispatchers': 2, 'workers': 2,
    'users': 40, 'kinds': ('keep', 'keep', 'fresh', 'forget'), 'slow': 0.2,
    'publishers': 20, 'rate': 200, 'all_part': 0.01, 'hot_part': 0.05,
    'ttl_part': 0.0, 'double_part': 0.0, 'short_tokens': 0.0,
    'heartbeat': 10, 'aof': None, 'proxy': (), 'disk_mb': 0,
    'clock': False, 'clock_roles': (), 'collector_conf': '', 'edge_conf': '',
    'stores': ('sqlite', 'mongo'),
}

# Who sends to whom.
FLOWS = (('edge', 'redis'), ('redis', 'edge'), ('collector', 'redis'),
         ('redis', 'collector'), ('dispatcher', 'redis'),
         ('redis', 'dispatcher'), ('collector', 'dispatcher'),
         ('dispatcher', 'collector'), ('dispatcher', 'edge'),
         ('edge', 'dispatcher'), ('edge', 'auth'), ('auth', 'edge'),
         ('cli', 'edge'), ('edge', 'cli'), ('pub', 'collector'),
         ('collector', 'pub'))

LEGS = ('redis', 'dispatch', 'deliver', 'auth', 'clients', 'publish')
LEGS_MONGO = LEGS + ('mongo', 'mongo')

# What S30 draws from; each is small enough to overlap with the others.
MIX = (
    ('kill', {'what': 'edge'}), ('kill', {'what': 'collector'}),
    ('kill', {'what': 'dispatcher'}), ('kill', {'what': 'auth'}),
    ('kill', {'what': 'redis'}), ('kill_worker', {}), ('kill_worker', {}),
    ('kill_master', {}), ('kill_all', {'what': 'dispatcher'}),
    ('stop', {'what': 'edge', 'down': (1, 8)}),
    ('stop', {'what': 'worker', 'down': (0.2, 6)}),
    ('stop', {'what': 'collector', 'down': (1, 8)}),
    ('stop', {'what': 'dispatcher', 'down': (1, 8)}),
    ('stop', {'what': 'redis', 'down': (1, 8)}),
    ('term', {'what': 'collector'}), ('term', {'what': 'dispatcher'}),
    ('reload', {}), ('reload', {}), ('upgrade', {}), ('quit', {}),
    ('flushall', {}), ('lose_bindings', {}), ('old_snapshot', {}),
    ('memory_full', {}),
    ('part', {'one': 'edge', 'other': 'redis'}),
    ('part', {'one': 'collector', 'other': 'redis'}),
    ('part', {'one': 'collector', 'other': 'dispatcher'}),
    ('part', {'one': 'dispatcher', 'other': 'edge'}),
    ('part', {'one': 'dispatcher', 'other': 'redis', 'verdict': 'reset'}),
    ('one_way', {'pairs': FLOWS}), ('one_way', {'pairs': FLOWS}),
    ('loss', {'pairs': FLOWS}), ('unplug', {'what': 'edge'}),
    ('unplug', {'what': 'redis'}), ('half_open', {}), ('half_open', {}),
    ('bad_wire', {'legs': LEGS}), ('bad_wire', {'legs': LEGS}),
    ('cut_wire', {'legs': LEGS}), ('cut_wire', {'legs': LEGS}),
    ('flash', {}), ('flash', {'fraction': 0.2}), ('storm', {}),
    ('slow_readers', {}), ('fresh_devices', {}), ('kick', {}),
)

# Parts of the store that may fail besides, for stores that have some.
MIX_MONGO = (
    ('store', {'what': 'kill'}), ('store', {'what': 'kill'}),
    ('store', {'what': 'step_down'}), ('store', {'what': 'step_down'}),
    ('store', {'what': 'cut_primary'}), ('store', {'what': 'stop'}),
)

SCENARIOS = {
    'S1': ('kill -9 of a worker of nginx', [
        ('kill_worker', (1, 4), {}),
    ], {}),
    'S2': ('kill -9 of nginx, its workers with it or left alone', [
        ('kill', (3, 8), {'what': 'edge'}),
        ('kill_master', (5, 12), {}),
    ], {}),
    'S3': ('kill -9 of a collector', [
        ('kill', (2, 8), {'what': 'collector'}),
    ], {}),
    'S4': ('kill -9 of a dispatcher, or of all', [
        ('kill', (2, 6), {'what': 'dispatcher'}),
        ('kill_all', (8, 15), {'what': 'dispatcher'}),
    ], {}),
    'S5': ('kill -9 of auth, while clients come and go', [
        ('kill', (2, 6), {'what': 'auth', 'down': (1, 6)}),
        ('flash', (2, 4), {'fraction': 0.3}),
    ], {}),
    'S6': ('kill -9 of Redis, with and without its file', [
        ('kill', (3, 10), {'what': 'redis', 'down': (0.2, 8)}),
    ], {}),
    'S7': ('kill -9 of the primary, of a secondary, of all of mongod', [
        ('store', (3, 8), {'what': 'kill'}),
    ], {'stores': ('mongo',)}),
    'S8': ('FLUSHALL, and bindings that are evicted', [
        ('flushall', (6, 12), {}),
        ('lose_bindings', (1, 4), {}),
    ], {}),
    'S32': ('bindings that are evicted: renewals find it out', [
        ('lose_bindings', (1, 4), {}),
    ], {}),
    'S9': ('Redis restored from an old snapshot', [
        ('old_snapshot', (1, 4), {}),
    ], {'aof': False}),
    'S10': ('the memory of Redis is full', [
        ('memory_full', (2, 6), {}),
        ('flash', (3, 6), {'fraction': 0.2}),
    ], {}),
    'S11': ('the primary steps down, again and again', [
        ('store', (2, 8), {'what': 'step_down'}),
    ], {'stores': ('mongo',)}),
    'S12': ('the primary is cut off and goes on writing: rollback', [
        ('store', (3, 8), {'what': 'cut_primary'}),
    ], {'stores': ('mongo',)}),
    'S13': ('an edge does not reach Redis', [
        ('part', (2, 5), {'one': 'edge', 'other': 'redis'}),
        ('part', (4, 9), {'one': 'edge', 'other': 'redis',
                          'verdict': 'reset'}),
    ], {}),
    'S14': ('a collector does not reach Redis, or a dispatcher', [
        ('part', (2, 5), {'one': 'collector', 'other': 'redis'}),
        ('part', (2, 5), {'one': 'collector', 'other': 'dispatcher'}),
    ], {}),
    'S15': ('a dispatcher does not reach an edge', [
        ('part', (1, 4), {'one': 'dispatcher', 'other': 'edge'}),
        ('part', (2, 5), {'one': 'dispatcher', 'other': 'edge'}),
    ], {}),
    'S16': ('partitions of one direction, and packets lost', [
        ('one_way', (1, 3), {'pairs': FLOWS}),
        ('loss', (1, 3), {'pairs': FLOWS}),
    ], {}),
    'S17': ('half of the clients vanish each second', [
        ('flash', (1, 1), {'fraction': 0.5}),
        ('fresh_devices', (3, 6), {'count': 3}),
    ], {}),
    'S18': ('half-open clients', [
        ('half_open', (1, 4), {}),
        ('half_open', (2, 5), {}),
    ], {}),
    'S19': ('clients come back elsewhere while the old edge believes in them',
            [
        ('half_open', (1, 3), {'down': (11, 25)}),
        ('unplug', (5, 10), {'what': 'edge', 'down': (11, 20)}),
    ], {}),
    'S20': ('all clients come back within a second', [
        ('storm', (4, 8), {}),
    ], {'users': 100}),
    'S21': ('slow readers, and messages to all', [
        ('slow_readers', (1, 3), {'part': 0.3}),
        ('flash', (5, 10), {'fraction': 0.1}),
    ], {'all_part': 0.15, 'rate': 100, 'slow': 0.4}),
    'S22': ('reload, upgrade and quit of nginx, TERM of the daemons', [
        ('reload', (2, 5), {}),
        ('upgrade', (6, 10), {}),
        ('quit', (8, 12), {}),
        ('term', (5, 10), {'what': 'collector'}),
        ('term', (5, 10), {'what': 'dispatcher'}),
    ], {}),
    'S23': ('one collector, two, one, and a hot user', [
        ('kill', (1, 2), {'what': 'collector', 'down': (3, 6)}),
    ], {'hot_part': 0.5, 'stores': ('mongo',)}),
    'S24': ('tokens end and users are kicked, during partitions', [
        ('kick', (0.5, 2), {}),
        ('part', (2, 6), {'one': 'edge', 'other': 'redis'}),
        ('part', (3, 8), {'one': 'edge', 'other': 'auth'}),
    ], {'short_tokens': 0.3}),
    'S25': ('the disk of the store is full', [
        ('disk_full', (2, 6), {}),
    ], {'disk_mb': 400, 'stores': ('sqlite',)}),
    'S26': ('each daemon stands still for up to 20 s', [
        ('stop', (1, 3), {'what': 'collector'}),
        ('stop', (1, 3), {'what': 'dispatcher'}),
        ('stop', (3, 9), {'what': 'edge'}),
        ('stop', (3, 9), {'what': 'redis'}),
        ('stop', (3, 9), {'what': 'worker'}),
    ], {}),
    'S27': ('messages end early, while parts die', [
        ('kill', (4, 10), {'what': 'collector'}),
        ('flash', (1, 3), {'fraction': 0.3}),
        ('slow_readers', (2, 5), {}),
    ], {'ttl_part': 0.4}),
    'S28': ('each message is published twice or three times at once', [
        ('kill', (3, 8), {'what': 'collector'}),
        ('cut_wire', (0.5, 2), {'legs': ('publish',)}),
    ], {'double_part': 1.0, 'proxy': ('publish',), 'rate': 100}),
    'S29': ('the clock jumps by an hour', [
        ('clock', (1, 4), {}),
    ], {'clock': True, 'clock_roles': ('c1', 'd1', 'e1')}),
    'S30': ('a random mix of all', [
        ('mix', (0.5, 4), {'choices': MIX}),
        ('mix', (1, 6), {'choices': MIX}),
        ('mix', (2, 8), {'choices': MIX}),
    ], {'proxy': LEGS, 'double_part': 0.05, 'ttl_part': 0.05}),
    'S31': ('slow, short, piecemeal and dead wires', [
        ('bad_wire', (0.5, 3), {'legs': LEGS_MONGO}),
        ('bad_wire', (1, 4), {'legs': LEGS_MONGO}),
        ('cut_wire', (1, 4), {'legs': LEGS_MONGO}),
    ], {'proxy': LEGS_MONGO}),
    'S0': ('nothing happens', [], {}),
}


def for_store(row, store):
    """A row as it is with that store: more to choose from, more wires."""
    name, every, options = row

    if store == 'mongo':
        options = {key: value + MIX_MONGO if value is MIX else value
                   for key, value in options.items()}
    elif 'legs' in options:
        options = {**options, 'legs': tuple(
            leg for leg in options['legs'] if leg != 'mongo')}

    return name, every, options
