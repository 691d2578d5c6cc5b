"""chaos: faults on the real system, and proof that nothing is lost.

usage: chaos.py --scenario S3 [--seed 7] [--seconds 60]
                [--store sqlite|mongo] [--resync off|10s] [--keep]
       chaos.py --random N [--seed FIRST] [--seconds 60] ...
       chaos.py --list | --clean

A run has namespaces of its own for network, processes and mounts: whatever
happens to it, the kernel ends all of it, and several may run at once.  Each
ends with a line

    chaos scenario=S3 seed=7 ... verdict=pass ...

in:  the tree, built.  out: verdicts; exit 0: all passed, 1: not, 2: usage.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

import scenarios
import stack

BASE = os.path.join(stack.ROOT, 'build', 'chaos')


def arguments():
    parser = argparse.ArgumentParser(prog='./run chaos', allow_abbrev=False)
    parser.add_argument('--scenario')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('--store', choices=('sqlite', 'mongo'),
                        default='sqlite')
    parser.add_argument('--resync',
                        help='off, or 10s to 1h; by default every other seed '
                             'has it off')
    parser.add_argument('--random', type=int, metavar='N',
                        help='N runs of S30')
    parser.add_argument('--set', action='append', default=[],
                        metavar='NAME=VALUE', help='a setting of scenarios.py')
    parser.add_argument('--keep', action='store_true',
                        help='keep the history of a run that passed')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--clean', action='store_true',
                        help='removes what runs have left')
    parser.add_argument('--inside', help=argparse.SUPPRESS)
    return parser.parse_args()


def listing():
    for name in sorted(scenarios.SCENARIOS, key=lambda s: int(s[1:])):
        what, _, settings = scenarios.SCENARIOS[name]
        stores = settings.get('stores', scenarios.DEFAULTS['stores'])
        print(f'{name:4} {"/".join(stores):13} {what}')


def clean():
    """Directories of runs that are over; a run holds its own."""
    if not os.path.isdir(BASE):
        return
    for name in sorted(os.listdir(BASE)):
        pid = name.rpartition('-')[2]
        if pid.isdigit() and os.path.exists('/proc/' + pid):
            print(f'{name}: still runs')
            continue
        shutil.rmtree(os.path.join(BASE, name))
        print(f'{name}: removed')


def resync(options, seed):
    return options.resync or ('off' if seed % 2 else '10s')


def isolated(command):
    """The command as the first but one of new namespaces.  sh is the first:
    it reaps whoever has lost a parent."""
    user = ['--user', '--map-root-user'] if os.getuid() else []
    return ['unshare', *user, '--net', '--mount', '--pid', '--fork',
            '--kill-child', '--mount-proc', '--', 'sh', '-c', '"$@"; exit $?',
            'sh', *command]


def run_one(options, scenario, seed):
    """In namespaces of its own; its exit status."""
    name = f'{scenario}-{seed}-{options.store}-{time.time_ns() % 10**9}' \
           f'-{os.getpid()}'
    directory = os.path.join(BASE, name)
    os.makedirs(directory)

    command = [sys.executable, os.path.abspath(__file__), '--inside',
               directory, '--scenario', scenario, '--seed', str(seed),
               '--seconds', str(options.seconds), '--store', options.store,
               '--resync', resync(options, seed)]
    for pair in options.set:
        command += ['--set', pair]

    code = subprocess.run(isolated(command), check=False).returncode

    if code == 0 and not options.keep:
        shutil.rmtree(directory)
    else:
        print(f'chaos: history, logs and files: {directory}', flush=True)

    return code


def overrides(pairs):
    found = {}
    for pair in pairs:
        name, _, value = pair.partition('=')
        if name not in scenarios.DEFAULTS:
            sys.exit(f'chaos: no setting is called {name}')
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def inside(options):
    """The run itself, already isolated."""
    import run                      # needs what only this process has

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    store = stack.STORES[options.store]()
    head = (f'chaos scenario={options.scenario} seed={options.seed} '
            f'seconds={options.seconds} store={options.store} '
            f'resync={options.resync}')

    try:
        one = run.Run(options.scenario, options.seed, options.seconds, store,
                      options.resync, options.inside, overrides(options.set))
        result = one.execute()
    except (RuntimeError, OSError) as error:
        traceback.print_exc()
        print(f'{head} verdict=error error={json.dumps(str(error)[:300])}',
              flush=True)
        return 3

    with open(os.path.join(options.inside, 'verdict'), 'w',
              encoding='utf-8') as file:
        file.write(result.report())

    if result.violations:
        print(result.report(), end='')

    took = time.monotonic() - began
    print(f'{head} verdict={"fail" if result.violations else "pass"} '
          f'{result.line()} took={took:.0f}s', flush=True)
    return 1 if result.violations else 0


def main():
    options = arguments()

    if options.list:
        return listing()
    if options.clean:
        return clean()
    if options.inside:
        return inside(options)

    if (options.scenario is None) == (options.random is None):
        sys.exit('chaos: one of --scenario NAME, --random N, --list, --clean')

    if options.scenario and options.scenario not in scenarios.SCENARIOS:
        sys.exit(f'chaos: no scenario {options.scenario}: see --list')

    scenario = options.scenario or 'S30'
    stores = scenarios.SCENARIOS[scenario][2].get(
        'stores', scenarios.DEFAULTS['stores'])

    if options.store not in stores:
        sys.exit(f'chaos: {scenario} needs --store {" or ".join(stores)}')

    codes = [run_one(options, scenario, options.seed + n)
             for n in range(options.random or 1)]
    return 1 if any(codes) else 0


if __name__ == '__main__':
    sys.exit(main())
