"""net: a network namespace for each role, on one bridge, and its partitions.

All of it lives in namespaces of this run alone (chaos.py made them), so names
are the same in each run, and nothing is left when its processes are gone.

    role --veth--> bridge in the run's own namespace, 10.99.0.1 <-- harness

in:  names of roles.  out: addresses, command prefixes.
owns: namespaces, rules of nftables, or routes where there is no nftables.
"""

import os
import shutil
import subprocess
import threading

NETWORK = '10.99.0.'


def sh(*command, text=None):
    done = subprocess.run(command, input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(f'{" ".join(command)}: {done.stdout.strip()}')
    return done.stdout


class Net:

    def __init__(self, roles):
        """roles: {name: how many addresses}."""
        self.roles = {}
        self.rules = {}             # role -> {(direction, address, verdict)}
        self.lock = threading.RLock()
        number = 2

        os.makedirs('/run/netns', exist_ok=True)
        sh('mount', '-t', 'tmpfs', 'tmpfs', '/run/netns')
        sh('ip', 'link', 'set', 'lo', 'up')
        sh('ip', 'link', 'add', 'br0', 'type', 'bridge')
        sh('ip', 'addr', 'add', NETWORK + '1/24', 'dev', 'br0')
        sh('ip', 'link', 'set', 'br0', 'up')

        for role, count in roles.items():
            self.roles[role] = [NETWORK + str(number + i)
                                for i in range(count)]
            number += count
            self.add(role)

        self.nft = self.has_nft()

    def add(self, role):
        sh('ip', 'netns', 'add', role)
        sh('ip', 'link', 'add', 'v-' + role, 'type', 'veth', 'peer', 'name',
           'eth0', 'netns', role)
        sh('ip', 'link', 'set', 'v-' + role, 'master', 'br0', 'up')
        sh('ip', '-n', role, '-batch', '-', text='link set lo up\n' + ''.join(
            f'addr add {address}/24 dev eth0\n'
            for address in self.roles[role]) + 'link set eth0 up\n')

    def has_nft(self):
        """nftables with drop and reset, or nothing of it."""
        role = next(iter(self.roles))
        if shutil.which('nft') is None:
            return False
        try:
            self.rules[role] = {('in', '192.0.2.1', 'drop'),
                                ('out', '192.0.2.1', 'reset')}
            self.write(role)
        except RuntimeError:
            return False
        finally:
            self.rules.clear()
        self.write(role)
        return True

    def address(self, role):
        return self.roles[role][0]

    def inside(self, role):
        """A command that begins with this runs as that role; nsenter and
        what it starts are one process."""
        return ['nsenter', '--net=/run/netns/' + role, '--']

    # --- partitions ---

    def write(self, role):
        """The rules of a namespace, all at once."""
        rules = sorted(self.rules.get(role, ()))
        text = 'table inet chaos\ndelete table inet chaos\n'

        if rules:
            text += 'table inet chaos {\n'
            for direction, hook, field in (('in', 'input', 'saddr'),
                                           ('out', 'output', 'daddr')):
                text += (f'chain {direction} {{ type filter hook {hook} '
                         'priority 0;\n')
                for where, address, verdict in rules:
                    if where == direction:
                        if verdict == 'reset':
                            verdict = 'tcp flags & (fin|syn|rst|ack) == ack ' \
                                      'reject with tcp reset'
                        elif verdict.startswith('loss'):
                            verdict = ('numgen random mod 100 < '
                                       f'{verdict[4:]} drop')
                        text += f'ip {field} {address} {verdict}\n'
                text += '}\n'
            text += '}\n'

        sh(*self.inside(role), 'nft', '-f', '-', text=text)

    def rule(self, role, rules):
        """Adds rules to a namespace; returns what takes them away."""
        with self.lock:
            self.rules.setdefault(role, set()).update(rules)
            self.write(role)

        def undo():
            with self.lock:
                self.rules[role] -= rules
                self.write(role)

        return undo

    def routes(self, role, addresses):
        """The same where there is no nftables: role cannot send there."""
        for address in addresses:
            sh('ip', '-n', role, 'route', 'replace', 'blackhole',
               address + '/32')

        return lambda: self.unroute(role, addresses)

    def unroute(self, role, addresses):
        for address in addresses:
            subprocess.run(['ip', '-n', role, 'route', 'del', 'blackhole',
                            address + '/32'], stderr=subprocess.DEVNULL)

    def block(self, source, target, verdict='drop'):
        """Packets from a role do not reach another.  verdict: drop, reset,
        loss<percent>.  Returns what undoes it."""
        if not self.nft:
            return self.routes(source, self.roles[target])

        return self.rule(target, {('in', address, verdict)
                                  for address in self.roles[source]})

    def part(self, one, other, verdict='drop'):
        """Both ways."""
        undo = [self.block(one, other, verdict),
                self.block(other, one, verdict)]
        return lambda: [u() for u in undo]

    def mute(self, role, address):
        """The role and one address of another do not reach each other."""
        if not self.nft:
            return self.routes(role, [address])

        return self.rule(role, {('in', address, 'drop'),
                                ('out', address, 'drop')})

    def unplug(self, role):
        """The role's cable."""
        sh('ip', 'link', 'set', 'v-' + role, 'down')

        def undo():
            sh('ip', 'link', 'set', 'v-' + role, 'up')

        return undo

    def heal(self):
        """Nothing is blocked any more."""
        with self.lock:
            for role in self.roles:
                sh('ip', 'link', 'set', 'v-' + role, 'up')

                if self.nft:
                    if self.rules.get(role):
                        self.rules[role].clear()
                        self.write(role)
                else:
                    for addresses in self.roles.values():
                        self.unroute(role, addresses)
