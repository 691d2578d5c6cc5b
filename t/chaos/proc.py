"""proc: processes, by pid, and what /proc tells of them."""

import os
import signal
import subprocess
import time


def wait_until(test, seconds=10.0, step=0.05):
    """What test() gives as soon as it is true, or its last answer."""
    end = time.monotonic() + seconds

    while True:
        result = test()
        if result or time.monotonic() > end:
            return result
        time.sleep(step)


def alive(pid):
    """It is there, and more than something to be reaped."""
    try:
        with open(f'/proc/{pid}/stat', encoding='latin-1') as file:
            return file.read().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError:
        return False


def children(pid):
    found = []
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children',
                      encoding='ascii') as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        pass
    return found


def rss_kb(pid):
    """Resident memory now."""
    try:
        with open(f'/proc/{pid}/status', encoding='latin-1') as file:
            for line in file:
                if line.startswith('VmRSS:'):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def fds(pid):
    try:
        return len(os.listdir(f'/proc/{pid}/fd'))
    except OSError:
        return 0


def send(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def kill9(*pids):
    """And waits until they have gone."""
    for pid in pids:
        send(pid, signal.SIGKILL)

    wait_until(lambda: not any(alive(pid) for pid in pids))


class Process:
    """A command in a namespace, with its output in a file."""

    def __init__(self, command, log, env=None, pipes=False):
        with open(log, 'ab') as out:
            self.popen = subprocess.Popen(
                command, stdout=subprocess.PIPE if pipes else out,
                stderr=out, env={**os.environ, **(env or {})},
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                start_new_session=True, text=pipes)
        self.pid = self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def end(self, number=signal.SIGKILL, seconds=10):
        if self.running():
            self.popen.send_signal(number)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(5)
