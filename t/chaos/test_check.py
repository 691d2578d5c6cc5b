"""test_check: the checker must name what is wrong, and keep quiet else.

usage: test_check.py      TAP on stdout, for prove (t/500-chaos-check.t)

Each bad history is a good one with one thing changed, as a product with just
that fault would have written it.
"""

import json
import os
import sys
import tempfile

import check
import history

S = check.S


class Story:
    """Two users, two devices each, five messages a log, all handled."""

    def __init__(self):
        self.now = 0
        self.events = []
        self.conns = 0
        self.add('run', scenario='T', seed=1, seconds=1, store='t',
                 deadline_s=45, acks_s=15, cap=None)
        self.add('sample', p='e1.1', rss=9000, fds=40, when='before')

    def add(self, event, at=None, **more):
        self.now += S // 1000
        self.events.append({'t': self.now if at is None else at, 'e': event,
                            **more})
        return self.events[-1]

    def publish(self, key, log, seq, ttl=None, ok=True):
        self.add('invoke', k=key, l=log, h='h-' + key, ttl=ttl)
        if ok:
            self.add('ok', k=key, l=log, s=seq, dup=False)

    def open(self, user, device, hello=None, **more):
        self.conns += 1
        self.add('open', c=self.conns, u=user, d=device, hello=hello,
                 tok='good', left=3600, node='e1', **more)
        self.add('welcome', c=self.conns, u=user)
        return self.conns

    def msg(self, c, user, seq, key, log='user', **more):
        return self.add('msg', **{**dict(
            c=c, l=log, s=seq, k=key, h='h-' + key,
            u='*' if log == 'all' else user, good=True, app=1), **more})

    def ack(self, c, seq, log='user'):
        self.add('ack', c=c, l=log, s=seq)

    def whole(self):
        """The good history; events may be found again by find()."""
        for n in range(1, 6):
            for user in ('a', 'b'):
                self.publish(f'{user}{n}', f'user:{user}', n)
        self.publish('all1', 'all', 1)

        for user in ('a', 'b'):
            for device in ('d0', 'd1'):
                self.read(user, device)

        self.add('nemesis', what='kill -9 c1')
        self.add('heal')
        self.referees()
        self.add('sample', p='e1.1', rss=9000, fds=41, when='after')
        self.add('end')
        return self

    def read(self, user, device, **more):
        """On two connections, the second from the cursor on."""
        c = self.open(user, device, {'user': 0, 'all': 0}, **more)
        for n in (1, 2, 3):
            self.msg(c, user, n, f'{user}{n}')
            self.ack(c, n)
        self.msg(c, user, 1, 'all1', 'all')
        self.add('close', c=c, code=1006, by='reset')
        c = self.open(user, device, {'user': 3, 'all': 1}, **more)
        for n in (4, 5):
            self.msg(c, user, n, f'{user}{n}')
        self.ack(c, 5)
        self.add('synced', c=c, l='user', s=5)
        self.add('synced', c=c, l='all', s=1)

    def referees(self):
        for user in ('a', 'b'):
            c = self.open(user, 'referee', {'user': 0, 'all': 0},
                          referee=True)
            for n in range(1, 6):
                self.msg(c, user, n, f'{user}{n}')
            self.msg(c, user, 1, 'all1', 'all')
            self.add('synced', c=c, l='user', s=5)

    def find(self, **wanted):
        """All events with these members."""
        return [event for event in self.events if all(
            event.get(name) == value for name, value in wanted.items())]

    def drop(self, events):
        self.events = [event for event in self.events
                       if all(event is not gone for gone in events)]

    def before(self, event, name, **more):
        """A new event just ahead of that one."""
        return self.add(name, at=event['t'] - 1, **more)

    def after(self, event, name, **more):
        return self.add(name, at=event['t'] + 1, **more)


def device(s, user, name):
    """Ids of the connections of a device."""
    return [event['c'] for event in s.find(e='open', u=user, d=name)]


# --- good ones --------------------------------------------------------------

def nothing_special(s):
    pass


def repeated_over_connections(s):
    """A server's cursor was behind: the app of a device that does not keep
    its own hears 3 again."""
    c = s.open('a', 'f', None, forget=True)
    for n in (1, 2, 3):
        s.msg(c, 'a', n, f'a{n}')
    s.ack(c, 2)
    c = s.open('a', 'f', None, forget=True)
    for n in (3, 4, 5):
        s.msg(c, 'a', n, f'a{n}')
    s.add('synced', c=c, l='all', s=1)


def unknown_then_there(s):
    """Asked twice, stored once: the second answer names the first copy."""
    event = s.find(e='ok', k='a3')[0]
    s.after(event, 'ok', k='a3', l='user:a', s=3, dup=True)


def expired(s):
    """A message whose time was over is void for whoever comes late."""
    s.publish('a6', 'user:a', 6, ttl=1)
    s.now += 5 * S
    for name in ('d0', 'd1', 'referee'):
        s.add('void', c=device(s, 'a', name)[-1], l='user', a=6, b=6,
              why='expired')


def fresh_device(s):
    """Begins behind the highest ack of its user."""
    c = s.open('a', 'n1', None)
    s.msg(c, 'a', 5, 'a5')
    s.add('synced', c=c, l='all', s=1)


def replaced(s):
    """A half-open connection is closed when its device is back."""
    first, second = device(s, 'a', 'd0')
    s.drop(s.find(e='close', c=first))
    s.after(s.find(e='open', c=second)[0], 'close', c=first, code=4003,
            by='server')


def parallel(s):
    """Two publishes under way at once may get numbers either way."""
    s.find(e='invoke', k='a5')[0]['t'] = s.find(e='invoke', k='a4')[0]['t']
    s.find(e='ok', k='a4')[0]['t'] += 20 * S // 1000


def kicked(s):
    s.add('kick', u='a')
    s.add('close', c=device(s, 'a', 'd0')[1], code=4002, by='server')


def void_is_as_acked(s):
    """What was told to be void needs no ack: the cursor may be behind it."""
    s.publish('a6', 'user:a', 6, ttl=1)
    s.publish('a7', 'user:a', 7)
    s.now += 5 * S
    for name in ('d0', 'd1', 'referee', 'f'):
        c = s.open('a', 'f', None, forget=True) if name == 'f' \
            else device(s, 'a', name)[-1]
        s.add('void', c=c, l='user', a=6, b=6, why='expired')
        if name != 'f':
            s.msg(c, 'a', 7, 'a7')
    s.add('synced', c=c, l='all', s=1)
    c = s.open('a', 'f', None, forget=True)
    s.msg(c, 'a', 7, 'a7')


def void_not_received(s):
    """Written as the connection broke: the server's cursor is behind it."""
    s.publish('a6', 'user:a', 6, ttl=1)
    s.publish('a7', 'user:a', 7)
    c = s.open('a', 'f', None, forget=True)
    s.msg(c, 'a', 5, 'a5')
    s.ack(c, 5)
    s.now += 5 * S
    for name in ('d0', 'd1', 'referee'):
        s.add('void', c=device(s, 'a', name)[-1], l='user', a=6, b=6,
              why='expired')
        s.msg(device(s, 'a', name)[-1], 'a', 7, 'a7')
    c = s.open('a', 'f', None, forget=True)
    s.msg(c, 'a', 7, 'a7')
    s.add('synced', c=c, l='all', s=1)


GOOD = (nothing_special, repeated_over_connections, unknown_then_there,
        expired, fresh_device, replaced, parallel, kicked, void_is_as_acked,
        void_not_received)


# --- bad ones: (what it must be called, change) -----------------------------

def lost_tail(s):
    s.drop(s.find(e='msg', c=device(s, 'a', 'd1')[1], s=5)
           + s.find(e='synced', c=device(s, 'a', 'd1')[1], l='user'))


def lost_everywhere(s):
    """Answered, and in no log."""
    s.drop(s.find(e='msg', k='a5') + s.find(e='synced', l='user'))


def lost_to_all(s):
    s.drop(s.find(e='msg', c=device(s, 'b', 'd0')[0], k='all1'))
    for event in s.find(e='open', c=device(s, 'b', 'd0')[1]):
        event['hello']['all'] = 0
    s.drop(s.find(e='synced', c=device(s, 'b', 'd0')[1], l='all'))


def void_too_early(s):
    """Void though nothing said that it may end."""
    c = device(s, 'a', 'd1')[1]
    event, = s.find(e='msg', c=c, s=5)
    s.drop([event])
    s.before(event, 'void', c=c, l='user', a=5, b=5, why='expired')


def overflow_without_cap(s):
    c = device(s, 'a', 'd1')[1]
    event, = s.find(e='msg', c=c, s=5)
    s.drop([event])
    s.before(event, 'void', c=c, l='user', a=5, b=5, why='overflow')


def fresh_device_skips(s):
    """It begins behind what nobody of its user has acked."""
    s.drop(s.find(e='ack', s=5))
    c = s.open('a', 'n1', None)
    s.add('synced', c=c, l='user', s=5)
    s.add('synced', c=c, l='all', s=1)


def two_numbers(s):
    """The retry was stored once more."""
    for c in (device(s, 'a', 'd0')[1], device(s, 'a', 'referee')[0]):
        s.msg(c, 'a', 6, 'a5')


def two_answers(s):
    event = s.find(e='ok', k='a3')[0]
    s.after(event, 'ok', k='a3', l='user:a', s=7, dup=False)


def twice_on_a_connection(s):
    c = device(s, 'a', 'd0')[1]
    s.after(s.find(e='msg', c=c, s=5)[0], 'msg', c=c, l='user', s=5, k='a5',
            h='h-a5', u='a', good=True, app=0)


def twice_for_the_app(s):
    """The second connection begins too early, and the app takes it."""
    c = device(s, 'a', 'd0')[1]
    s.find(e='open', c=c)[0]['hello']['user'] = 2
    s.before(s.find(e='msg', c=c, s=4)[0], 'msg', c=c, l='user', s=3, k='a3',
             h='h-a3', u='a', good=True, app=1)


def skipped_on_the_wire(s):
    """4 comes after 5."""
    c = device(s, 'a', 'd0')[1]
    four, five = s.find(e='msg', c=c, s=4)[0], s.find(e='msg', c=c, s=5)[0]
    four['t'], five['t'] = five['t'], four['t']


def numbered_before(s):
    """Begun after 2 was answered, yet numbered 1."""
    one, two = s.find(k='a1'), s.find(k='a2')
    for event in s.find(e='invoke', k='a1') + s.find(e='ok', k='a1'):
        event['t'] = s.find(e='ok', k='a2')[0]['t'] + 1
    assert one and two


def synced_too_early(s):
    event = s.find(e='synced', c=device(s, 'a', 'd0')[1], l='user')[0]
    event['t'] = s.find(e='msg', c=event['c'], s=5)[0]['t'] - 1


def not_from_the_cursor(s):
    """A resume that begins one too late."""
    c = device(s, 'a', 'd0')[1]
    s.drop(s.find(e='msg', c=c, s=4))


def somebody_elses(s):
    c = device(s, 'b', 'd0')[1]
    s.msg(c, 'b', 6, 'a5', u='a')


def wrong_log(s):
    """b's log has a message of a, whose body claims to be b's."""
    c = device(s, 'b', 'd0')[1]
    s.msg(c, 'b', 6, 'a5')


def forged_body(s):
    s.find(e='msg', c=device(s, 'a', 'd0')[1], s=5)[0]['good'] = False


def welcomed_as_another(s):
    s.find(e='welcome', c=device(s, 'a', 'd0')[0])[0]['u'] = 'b'


def two_bodies(s):
    """A number was used again after a rollback."""
    s.publish('a5x', 'user:a', 5, ok=False)
    event = s.find(e='msg', c=device(s, 'a', 'd1')[1], s=5)[0]
    event['k'], event['h'] = 'a5x', 'h-a5x'


def altered(s):
    s.find(e='msg', c=device(s, 'a', 'd1')[1], s=5)[0]['h'] = 'h-else'


def two_owners(s):
    """Two publishers were told the same number."""
    s.publish('a6', 'user:a', 5)


def from_nowhere(s):
    s.msg(device(s, 'a', 'd0')[1], 'a', 6, 'ghost')


def answered_from_nowhere(s):
    s.add('ok', k='ghost', l='user:a', s=6, dup=False)


def hole_in_the_log(s):
    """Never answered 201, yet a number is missing."""
    s.drop(s.find(k='a4') + s.find(e='synced', c=device(s, 'a',
                                                        'referee')[0]))


def cursor_above_acks(s):
    c = s.open('a', 'f', None, forget=True)
    for n in (1, 2, 3):
        s.msg(c, 'a', n, f'a{n}')
    s.ack(c, 1)
    s.add('synced', c=c, l='all', s=1)
    c = s.open('a', 'f', None, forget=True)
    for n in (4, 5):
        s.msg(c, 'a', n, f'a{n}')


def too_late(s):
    c = s.open('a', 'd0', {'user': 5, 'all': 1})
    s.publish('a6', 'user:a', 6)
    for name in ('d1', 'referee'):
        s.msg(device(s, 'a', name)[-1], 'a', 6, 'a6')
    s.now += 60 * S
    s.msg(c, 'a', 6, 'a6')


def never_answered(s):
    s.publish('a6', 'user:a', 6, ok=False)
    s.add('info', k='a6')


def never_heard(s):
    """A device gets in, and nothing comes."""
    s.open('a', 'n1', None)


def memory_grows(s):
    s.find(e='sample', when='after')[0]['rss'] = 4_000_000


def descriptors_stay(s):
    s.find(e='sample', when='after')[0]['fds'] = 400


def forged_token(s):
    s.find(e='open', u='a', d='d0')[0]['tok'] = 'forged'


def after_the_token(s):
    """Its token had a second left, a minute ago."""
    c = s.open('a', 'd0', {'user': 5, 'all': 1})
    s.find(e='open', c=c)[0]['left'] = 1
    s.publish('a6', 'user:a', 6)
    for name in ('d1', 'referee'):
        s.msg(device(s, 'a', name)[-1], 'a', 6, 'a6')
    s.find(e='heal')[0]['t'] += 60 * S
    s.now += 40 * S
    s.msg(c, 'a', 6, 'a6')


def closed_4400(s):
    s.add('close', c=device(s, 'a', 'd0')[1], code=4400, by='server')


def replaced_by_nobody(s):
    s.add('close', c=device(s, 'a', 'd0')[1], code=4003, by='server')


def kicked_by_nobody(s):
    s.add('close', c=device(s, 'a', 'd0')[1], code=4002, by='server')


def reset_for_nothing(s):
    s.add('reset', c=device(s, 'a', 'd0')[1],
          logs={'user': {'floor': 5, 'tip': 5}})


def refused_for_nothing(s):
    s.publish('a6', 'user:a', 6, ok=False)
    s.add('fail', k='a6', code=409)


BAD = (
    ('lost', lost_tail), ('lost', lost_everywhere), ('lost', lost_to_all),
    ('lost', void_too_early), ('lost', overflow_without_cap),
    ('lost', fresh_device_skips), ('duplicated', two_numbers),
    ('duplicated', two_answers), ('duplicated', twice_on_a_connection),
    ('duplicated', twice_for_the_app), ('reordered', skipped_on_the_wire),
    ('reordered', numbered_before), ('reordered', synced_too_early),
    ('reordered', not_from_the_cursor), ('cross-delivered', somebody_elses),
    ('cross-delivered', wrong_log), ('cross-delivered', forged_body),
    ('cross-delivered', welcomed_as_another), ('disagreement', two_bodies),
    ('disagreement', altered), ('disagreement', two_owners),
    ('phantom', from_nowhere), ('phantom', answered_from_nowhere),
    ('hole', hole_in_the_log), ('false-ack', cursor_above_acks),
    ('liveness', too_late), ('liveness', never_answered),
    ('liveness', never_heard), ('memory', memory_grows),
    ('memory', descriptors_stay), ('security', forged_token),
    ('security', after_the_token), ('protocol', closed_4400),
    ('protocol', replaced_by_nobody), ('protocol', kicked_by_nobody),
    ('protocol', reset_for_nothing), ('protocol', refused_for_nothing),
)


def judge(change):
    """Written as a run writes it, read and checked: the kinds found."""
    story = Story().whole()
    change(story)

    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'run.jsonl')
        with open(path, 'w', encoding='utf-8') as file:
            for event in story.events:
                file.write(json.dumps(event) + '\n')
        return check.check(history.read(directory))


def main():
    cases = [(None, change) for change in GOOD] + list(BAD)
    failed = 0
    print(f'1..{len(cases)}')

    for number, (kind, change) in enumerate(cases, 1):
        result = judge(change)
        good = kind in result.kinds() if kind else not result.violations
        failed += not good
        print(f'{"" if good else "not "}ok {number} - '
              f'{change.__name__.replace("_", " ")}: {kind or "good"}')

        if not good:
            for line in (result.report() or 'nothing found\n').splitlines():
                print('# ' + line)

    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
