"""wire: what clients and publishers put on the wire, and take from it.

in:  bytes of a server.  out: frames, HTTP answers, tokens, bodies.
Knows no history and no scenario.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import struct
import time

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

# A close that no Close frame announced.
LOST = 1006


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def token(key, user, ttl=36000, now=None):
    """An HS256 JWT; ttl may be negative."""
    now = int(time.time() if now is None else now)
    text = '.'.join((
        b64(b'{"alg":"HS256","typ":"JWT"}'),
        b64(json.dumps({'sub': user, 'aud': 'push', 'iat': now,
                        'exp': now + ttl}).encode())))
    return text + '.' + b64(hmac.digest(key, text.encode(), 'sha256'))


def seal(secret, user, key, pad):
    return hmac.digest(secret, f'{user}|{key}|{pad}'.encode(),
                       'sha256').hex()[:32]


def body(secret, user, key, pad):
    """The data of a message: who it is for, its key, and a proof of both."""
    return {'u': user, 'k': key, 'p': pad, 'm': seal(secret, user, key, pad)}


def digest(data):
    """A short name of a body, the same for publisher and reader."""
    text = f"{data['u']}|{data['k']}|{data['p']}|{data['m']}"
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def client_frame(opcode, payload):
    """Masked with zeros: legal, and cheap."""
    n = len(payload)

    if n < 126:
        head = struct.pack('!BB', 0x80 | opcode, 0x80 | n)
    elif n < 65536:
        head = struct.pack('!BBH', 0x80 | opcode, 0x80 | 126, n)
    else:
        head = struct.pack('!BBQ', 0x80 | opcode, 0x80 | 127, n)

    return head + b'\0\0\0\0' + payload


def server_frames(buffer):
    """Takes whole frames off a bytearray: [(opcode, bytes)].  A server of
    ours neither masks nor fragments; ValueError if one does."""
    frames = []
    at = 0
    size = len(buffer)

    while size - at >= 2:
        first, second = buffer[at], buffer[at + 1]
        n = second & 0x7f
        head = 2

        if first & 0xf0 != 0x80 or second & 0x80:
            raise ValueError(f'frame begins with {first:02x} {second:02x}')

        if n == 126:
            if size - at < 4:
                break
            n = int.from_bytes(buffer[at + 2:at + 4], 'big')
            head = 4
        elif n == 127:
            if size - at < 10:
                break
            n = int.from_bytes(buffer[at + 2:at + 10], 'big')
            head = 10

        if size - at < head + n:
            break

        frames.append((first & 15, bytes(buffer[at + head:at + head + n])))
        at += head + n

    if at:
        del buffer[:at]

    return frames


class Socket(asyncio.Protocol):
    """One WebSocket.  The owner has opened(status), frame(opcode, payload)
    and closed(code); after closed() nothing more is called."""

    def __init__(self, owner, host, bearer, path='/ws'):
        self.owner = owner
        self.request = (
            f'GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n'
            'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
            f'Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}'
            '\r\nSec-WebSocket-Protocol: push.v1'
            f'{", bearer." + bearer if bearer else ""}\r\n\r\n').encode()
        self.buffer = bytearray()
        self.upgraded = False
        self.done = False
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        if self.done:
            return

        self.buffer += data

        if not self.upgraded:
            end = self.buffer.find(b'\r\n\r\n')
            if end < 0:
                return

            try:
                status = int(self.buffer[9:12])
            except ValueError:
                status = 0

            del self.buffer[:end + 4]

            if status != 101:
                self.finish(None)
                self.owner.opened(status)
                return

            self.upgraded = True
            self.owner.opened(status)

        try:
            frames = server_frames(self.buffer)
        except ValueError as error:
            self.owner.garbled(str(error))
            self.finish(LOST)
            return

        for opcode, payload in frames:
            if self.done:
                return
            if opcode == CLOSE:
                code = int.from_bytes(payload[:2], 'big') or 1005
                self.transport.write(client_frame(CLOSE, payload[:2]))
                self.finish(code)
            elif opcode == PING:
                self.transport.write(client_frame(PONG, payload))
            else:
                self.owner.frame(opcode, payload)

    def connection_lost(self, error):
        self.finish(LOST)

    def send(self, text):
        if not self.done and self.transport:
            self.transport.write(client_frame(TEXT, text.encode()))

    def finish(self, code, abort=False):
        """Ends it; the owner hears of it unless code is None."""
        if self.done:
            return

        self.done = True

        if self.transport:
            if abort:
                self.transport.abort()
            else:
                self.transport.close()

        if code is not None:
            self.owner.closed(code)


class Http:
    """Requests on one kept connection; any fault is an OSError, and the
    connection is made anew for the next request."""

    def __init__(self, host, port, timeout=5.0):
        self.host = host
        self.port = port
        self.timeout = timeout
        self.reader = self.writer = None

    async def post(self, path, content, headers):
        try:
            return await asyncio.wait_for(
                self.exchange(path, content, headers), self.timeout)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            self.close()
            raise OSError(f'{type(error).__name__}: {error}') from error

    async def exchange(self, path, content, headers):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                self.host, self.port)

        self.writer.write(
            (f'POST {path} HTTP/1.1\r\nHost: {self.host}\r\n{headers}'
             f'Content-Length: {len(content)}\r\n\r\n').encode() + content)

        head = (await self.reader.readuntil(b'\r\n\r\n')).lower()
        status = int(head[9:12])
        length = 0

        for line in head.split(b'\r\n'):
            if line.startswith(b'content-length:'):
                length = int(line[15:])
            elif line.startswith(b'transfer-encoding:'):
                raise ValueError('chunked')

        answer = await self.reader.readexactly(length)

        if b'connection: close' in head:
            self.close()

        return status, answer

    def close(self):
        if self.writer:
            self.writer.transport.abort()
        self.reader = self.writer = None
