"""redis: single commands to a Redis, and all that its protocol needs."""

import socket


class Error(Exception):
    pass


def command(host, port, *words, timeout=3.0):
    """One command on a connection of its own: its reply; OSError, Error."""
    with socket.create_connection((host, port), timeout) as s:
        s.sendall(b'*%d\r\n' % len(words) + b''.join(
            b'$%d\r\n%s\r\n' % (len(word), word)
            for word in (str(w).encode() for w in words)))
        with s.makefile('rb') as file:
            return reply(file)


def reply(file):
    line = file.readline()

    if not line.endswith(b'\r\n'):
        raise OSError('redis: closed')

    kind, rest = line[:1], line[1:-2]

    if kind == b'-':
        raise Error(rest.decode())
    if kind == b':':
        return int(rest)
    if kind == b'*':
        return [reply(file) for _ in range(int(rest))]
    if kind == b'$':
        size = int(rest)
        return None if size < 0 else file.read(size + 2)[:-2].decode()

    return rest.decode()
