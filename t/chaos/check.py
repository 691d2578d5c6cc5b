"""check: a history --> what of the promise was broken, by name.

    lost             answered 201, not expired, and somebody never had it
    duplicated       one key with two numbers, or one message twice for an app
    reordered        a number that does not follow the one before; or published
                     after another's answer, and numbered before it
    cross-delivered  somebody else's message, or one that nobody sealed
    disagreement     one (log, seq), two bodies
    phantom          never published
    hole             the log, read from 1, lacks a number
    false-ack        a stored cursor above what its device has acked
    liveness         too late after the heal, or never answered
    memory           more than the budget, or descriptors that stay
    security         in without a valid token, or in for longer than it
    protocol         closes, frames and resets that nothing explains
    fault            what the nemesis itself saw of the product

in:  events in order (history.py).  out: a Result.  Joins by hash, one sweep a
log: some seconds for a million events.
"""

import collections
import sys

import history

S = 1_000_000_000
RSS_KB = 400_000
FDS = 60
GRACE_S = 30 + 8            # of a token's end: the rule's, and ours
KINDS = ('lost', 'duplicated', 'reordered', 'cross-delivered',
         'disagreement', 'phantom', 'hole', 'false-ack', 'liveness', 'memory',
         'security', 'protocol', 'fault')

# Closes that faults of clients, tokens or machines explain.
EXPLAINED = {1001, 1005, 1006, 1012, 4000, 4001, 4002, 4003, 4008}


class Result:

    def __init__(self):
        self.violations = []        # (kind, text, {what it is about})
        self.counts = collections.Counter()
        self.facts = {}             # of the store, for the line
        self.events = []

    def add(self, kind, text, **about):
        assert kind in KINDS
        self.counts[kind] += 1
        self.violations.append((kind, text, about))

    def kinds(self):
        return {kind for kind, _, _ in self.violations}

    def line(self):
        counts = self.counts
        words = [f'{name}={counts[name]}' for name in (
            'invoked', 'acked', 'delivered', 'connections', 'faults',
            'unheard-voids')]
        words += [f'{name}={value}' for name, value in self.facts.items()]
        return ' '.join(words + [f'{kind}={counts[kind]}' for kind in KINDS])

    def report(self):
        """The first of each kind, and what happened around them."""
        text = ''
        shown = collections.Counter()

        for kind, what, about in self.violations:
            shown[kind] += 1
            if shown[kind] > 5:
                continue
            text += f'{kind}: {what}\n'
            if shown[kind] == 1:
                text += self.around(about)

        for kind, count in shown.items():
            if count > 5:
                text += f'{kind}: {count - 5} more\n'

        return text

    def around(self, about):
        begin = self.events[0]['t'] if self.events else 0
        hits = [event for event in self.events if any(
            event.get(name) == value for name, value in about.items()
            if name in ('k', 'c')) or 's' in about
            and event.get('s') == about['s']
            and event.get('full') == about.get('l')]
        hits = hits[:4] + hits[-8:] if len(hits) > 12 else hits
        times = [event['t'] for event in hits]
        hits += [event for event in self.events if event['e'] == 'nemesis'
                 and times and min(times) - 10 * S < event['t']
                 < max(times) + 10 * S][-12:]
        hits.sort(key=lambda event: event['t'])
        return ''.join('    %9.3f %s\n' % (
            (event['t'] - begin) / S,
            ' '.join([event['e']] + [f'{name}={value}' for name, value
                                     in event.items() if name not in 'te']))
            for event in hits)


class Connection:

    def __init__(self, event):
        self.id = event['c']
        self.user = event['u']
        self.device = (event['u'], event['d'])
        self.forget = event.get('forget', False)
        self.referee = event.get('referee', False)
        self.opened = event['t']
        self.left = event.get('left')
        hello = event.get('hello') or {}
        self.at = {self.full(log): seq for log, seq in hello.items()}

    def full(self, log):
        return 'user:' + self.user if log == 'user' else log


class Device:

    def __init__(self, connection):
        self.referee = connection.referee
        self.forget = connection.forget
        self.began = connection.opened
        self.base = {}              # log -> it has a right to all above
        self.at = {}                # log -> all up to it is seen or void
        self.seen = {}              # log -> {seq: when}
        self.acked = {}             # log -> highest


def through(seq, voids):
    """As far as a cursor may be: what was told to be void needs no ack."""
    while seq + 1 in voids:
        seq += 1
    return seq


class Check:

    def __init__(self, events):
        self.events = events
        self.result = Result()
        self.result.events = events
        self.run = {}
        self.healed = None
        self.invoked = {}           # key -> event
        self.ok = {}                # key -> (seq, when first answered)
        self.owner = {}             # (log, seq) -> key
        self.body = {}              # (log, seq) -> digest
        self.place = {}             # key -> (log, seq), by readers
        self.connections = {}
        self.devices = {}
        self.newest = {}            # (user, device) -> id of its last open
        self.user_acked = {}        # log -> highest ack of any device
        self.told_void = collections.defaultdict(set)   # log -> seqs
        self.kicked = set()
        self.voids = {}             # (log, from, to, why) -> first time
        self.fds = {}

    def bad(self, kind, text, **about):
        self.result.add(kind, text, **about)

    def all(self):
        for event in self.events:
            getattr(self, 'on_' + event['e'])(event)

        self.check_order()
        self.check_voids()
        for name, device in self.devices.items():
            self.check_device(name, device)
        return self.result

    # --- publishers ---

    def on_run(self, event):
        self.run = event

    def on_invoke(self, event):
        self.invoked[event['k']] = event
        self.result.counts['invoked'] += 1

    def on_ok(self, event):
        key, place = event['k'], (event['l'], event['s'])
        event['full'] = event['l']
        invoked = self.invoked.get(key)

        if invoked is None:
            return self.bad('phantom', f'{key} answered, never published',
                            k=key)

        if invoked['l'] != event['l']:
            self.bad('disagreement', f'{key} for {invoked["l"]} answered as '
                     f'of {event["l"]}', k=key)

        if key not in self.ok:
            self.ok[key] = event['s'], event['t']
            self.result.counts['acked'] += 1
        elif self.ok[key][0] != event['s']:
            self.bad('duplicated', f'{key} answered as {self.ok[key][0]} and '
                     f'as {event["s"]}', k=key)

        if self.owner.setdefault(place, key) != key:
            self.bad('disagreement', f'{place} answered for {key} and for '
                     f'{self.owner[place]}', k=key, l=place[0], s=place[1])

    def on_fail(self, event):
        self.bad('protocol', f'{event["k"]} refused: {event["code"]}',
                 k=event['k'])

    def on_info(self, event):
        self.bad('liveness', f'{event["k"]} was never answered', k=event['k'])

    # --- connections ---

    def on_open(self, event):
        if event['tok'] != 'good':
            self.bad('security', f'in with a token that is {event["tok"]}',
                     c=event['c'])

        c = Connection(event)
        self.connections[event['c']] = c
        self.newest[c.device] = event['c']
        self.result.counts['connections'] += 1
        device = self.devices.setdefault(c.device, Device(c))

        # A cursor in a hello counts as an ack.
        for log, seq in c.at.items():
            self.acknowledge(device, log, seq)
            if log not in device.base:
                device.base[log] = device.at[log] = seq

    def on_refused(self, event):
        pass

    def on_welcome(self, event):
        c = self.connections[event['c']]
        if event['u'] != c.user:
            self.bad('cross-delivered', f'{c.user} is welcomed as '
                     f'{event["u"]}', c=c.id)

    def unheard(self, device, log, seq, when):
        """A void that was written and not received moves the stored cursor of
        a device that keeps none: it is not told again.  Counted apart."""
        at = device.at.get(log, seq)

        while at < seq and self.is_over(log, at + 1, when):
            at += 1
            device.seen.setdefault(log, {}).setdefault(at, when)
            device.at[log] = at
            self.told_void[log].add(at)
            self.result.counts['unheard-voids'] += 1

    def is_over(self, log, seq, when):
        """Its time to live is over."""
        invoked = self.invoked.get(self.owner.get((log, seq)))
        return bool(invoked and invoked.get('ttl')
                    and when > invoked['t'] + (invoked['ttl'] - 2) * S)

    def begin(self, c, log, seq, when):
        """The first that a connection hears of a log for which it had no
        cursor: all after seq is to come."""
        device = self.devices[c.device]
        c.at[log] = seq

        if device.forget:
            self.unheard(device, log, seq, when)

        if log not in device.base:
            device.base[log] = device.at[log] = seq

            acked = through(self.user_acked.get(log, 0), self.told_void[log])

            if log != 'all' and seq > acked:
                self.bad('lost', f'{c.device} is new and begins after {seq}, '
                         'though nobody of its user has acked more than '
                         f'{acked}', c=c.id)
        elif seq > through(max(device.base[log], device.acked.get(log, 0)),
                           self.told_void[log]):
            self.bad('false-ack', f'{c.device} begins after {seq} of {log}, '
                     f'but has acked {device.acked.get(log, 0)}', c=c.id)

    def on_msg(self, event):
        c = self.connections[event['c']]
        log, seq, key = c.full(event['l']), event['s'], event['k']
        event['full'] = log
        self.result.counts['delivered'] += 1
        about = {'c': c.id, 'k': key, 'l': log, 's': seq}
        invoked = self.invoked.get(key)

        if not event['good'] \
                or event['u'] != ('*' if log == 'all' else c.user):
            self.bad('cross-delivered', f'{c.device} gets {key} of '
                     f'{event["u"]} in {log}', **about)
        elif invoked is None:
            self.bad('phantom', f'{key}: never published', **about)
        elif invoked['l'] != log:
            self.bad('cross-delivered', f'{key} for {invoked["l"]} comes in '
                     f'{log}', **about)
        elif invoked['h'] != event['h']:
            self.bad('disagreement', f'{key} is not what was published',
                     **about)

        if c.left is not None and not self.run.get('clock') \
                and event['t'] > c.opened + (c.left + GRACE_S) * S:
            self.bad('security', f'{c.device} is served after its token',
                     **about)

        if seq == 0:
            return

        if self.body.setdefault((log, seq), event['h']) != event['h'] \
                or self.owner.setdefault((log, seq), key) != key:
            self.bad('disagreement', f'{log} {seq} is {key} and '
                     f'{self.owner[log, seq]}', **about)

        if self.place.setdefault(key, (log, seq)) != (log, seq):
            self.bad('duplicated', f'{key} is {self.place[key]} and '
                     f'{(log, seq)}', **about)

        if log not in c.at:
            self.begin(c, log, seq - 1, event['t'])

        if seq <= c.at[log]:
            self.bad('duplicated', f'{c.device} gets {log} {seq} again on '
                     'one connection', **about)
        elif seq != c.at[log] + 1:
            self.bad('reordered', f'{c.device} gets {log} {seq} after '
                     f'{c.at[log]}', **about)

        c.at[log] = max(c.at[log], seq)

        if event['app']:
            self.application(c, log, seq, event['t'], about)

    def application(self, c, log, seq, when, about):
        device = self.devices[c.device]
        seen = device.seen.setdefault(log, {})

        if seq in seen and not device.forget:
            self.bad('duplicated', f'the app of {c.device} gets {log} {seq} '
                     'again', **about)

        if seq > device.at[log] + 1:
            self.bad('reordered', f'the app of {c.device} gets {log} {seq} '
                     f'after {device.at[log]}', **about)

        seen.setdefault(seq, when)
        device.at[log] = max(device.at[log], seq)

    def on_void(self, event):
        c = self.connections[event['c']]
        log, first, last = c.full(event['l']), event['a'], event['b']
        event['full'] = log
        device = self.devices[c.device]

        if log not in c.at:
            self.begin(c, log, first - 1, event['t'])

        if first > c.at[log] + 1 or last < first:
            self.bad('reordered', f'{c.device}: void {log} {first}..{last} '
                     f'after {c.at[log]}', c=c.id)

        c.at[log] = max(c.at[log], last)
        self.voids.setdefault((log, first, last, event['why']), event['t'])
        seen = device.seen.setdefault(log, {})
        self.told_void[log].update(range(first, last + 1))

        for seq in range(first, last + 1):
            seen.setdefault(seq, event['t'])

        device.at[log] = max(device.at[log], last)

    def on_synced(self, event):
        c = self.connections[event['c']]
        log, seq = c.full(event['l']), event['s']
        event['full'] = log

        if log not in c.at:
            self.begin(c, log, seq, event['t'])
        elif c.at[log] != seq:
            self.bad('reordered', f'{c.device}: synced at {log} {seq}, but it '
                     f'has {c.at[log]}', c=c.id)

    def on_reset(self, event):
        self.bad('protocol', f'reset {event["logs"]}, though the store is '
                 'the same', c=event['c'])
        c = self.connections[event['c']]
        for log, state in event['logs'].items():
            c.at[c.full(log)] = state['floor']

    def acknowledge(self, device, log, seq):
        device.acked[log] = max(device.acked.get(log, 0), seq)
        self.user_acked[log] = max(self.user_acked.get(log, 0), seq)

    def on_ack(self, event):
        c = self.connections[event['c']]
        event['full'] = c.full(event['l'])
        self.acknowledge(self.devices[c.device], event['full'], event['s'])

    def on_close(self, event):
        c, code = self.connections[event['c']], event['code']

        if code not in EXPLAINED:
            self.bad('protocol', f'{c.device} closed {code}', c=c.id)
        elif code == 4003 and self.newest[c.device] == c.id:
            self.bad('protocol', f'{c.device} closed 4003, though it has no '
                     'newer connection', c=c.id)
        elif code == 4002 and c.user not in self.kicked:
            self.bad('protocol', f'{c.device} closed 4002, nobody kicked it',
                     c=c.id)

    def on_garbled(self, event):
        self.bad('protocol', event['what'], c=event['c'])

    def on_kick(self, event):
        self.kicked.add(event['u'])

    # --- the run ---

    def on_nemesis(self, event):
        self.result.counts['faults'] += 1

    def on_heal(self, event):
        self.healed = event['t']

    def on_end(self, event):
        pass

    def on_sample(self, event):
        name = event['p']

        if event['rss'] > RSS_KB:
            self.bad('memory', f'{name} has {event["rss"]} kB')

        if event['when'] == 'before':
            self.fds[name] = event['fds']
        elif event['when'] == 'after' \
                and event['fds'] > self.fds.get(name, event['fds']) + FDS:
            self.bad('memory', f'{name} had {self.fds[name]} descriptors, '
                     f'has {event["fds"]}')

    # --- at the end ---

    def check_order(self):
        """Answered before another was begun: a lower number."""
        logs = collections.defaultdict(list)

        for key, (seq, answered) in self.ok.items():
            invoked = self.invoked[key]
            logs[invoked['l']].append((invoked['t'], 1, seq, key))
            logs[invoked['l']].append((answered, 0, seq, key))

        for log, points in logs.items():
            highest, who = 0, None
            for _, begins, seq, key in sorted(points):
                if begins and seq < highest:
                    self.bad('reordered', f'{key} of {log} has {seq}, though '
                             f'{who} had {highest} before it was begun',
                             k=key)
                elif not begins and seq > highest:
                    highest, who = seq, key

    def check_voids(self):
        """Nothing is void that was answered and has time left."""
        for (log, first, last, why), when in self.voids.items():
            if why not in ('expired', 'overflow'):
                self.bad('protocol', f'void {log} {first}..{last} why={why}')

            for seq in range(first, last + 1):
                key = self.owner.get((log, seq))
                if key not in self.ok or self.run.get('clock'):
                    continue
                if not (self.is_over(log, seq, when) if why == 'expired'
                        else self.run.get('cap')):
                    self.bad('lost', f'{log} {seq} is void ({why}), it had '
                             'time left', k=key, l=log, s=seq)

    def check_device(self, name, device):
        """All that was answered came, in time."""
        tips = collections.defaultdict(dict)
        logs = ('user:' + name[0], 'all')
        limit = (self.run.get('deadline_s') or 45) * S

        for log in logs:
            tips[log] = self.answered.get(log, {})
            base = device.base.get(log)

            if base is None:
                self.bad('liveness', f'{name} never heard of {log}')
                continue

            seen = device.seen.get(log, {})

            if device.referee:
                for seq in range(1, max(seen, default=0) + 1):
                    if seq not in seen:
                        self.bad('hole', f'{log} has no {seq}', l=log, s=seq)

            for seq, (key, answered) in tips[log].items():
                if seq <= base:
                    continue
                if seq not in seen:
                    self.bad('lost', f'{name} never had {log} {seq} ({key})',
                             k=key, l=log, s=seq)
                elif self.healed and not device.referee and seen[seq] > max(
                        self.healed, answered, device.began) + limit:
                    late = (seen[seq] - max(self.healed, answered)) / S
                    self.bad('liveness', f'{name} had {log} {seq} after '
                             f'{late:.0f} s', k=key, l=log, s=seq)

    @property
    def answered(self):
        """log -> {seq: (key, when)}"""
        if not hasattr(self, '_answered'):
            self._answered = collections.defaultdict(dict)
            for key, (seq, when) in self.ok.items():
                self._answered[self.invoked[key]['l']][seq] = key, when
        return self._answered


def check(events):
    return Check(events).all()


def main():
    result = check(history.read(sys.argv[1]))
    print(result.report(), end='')
    print(f'verdict={"fail" if result.violations else "pass"}',
          result.line())
    return 1 if result.violations else 0


if __name__ == '__main__':
    sys.exit(main())
