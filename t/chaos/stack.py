"""stack: the system itself, each process in the namespace of its role.

    cli --> e1 e2 e3 --> a          pub --> c1 c2 --> store (file, m1 m2 m3)
             |   ^                           |  ^
             v   +----- d1 d2 <--------------+  |
             r <--------- | --------------------+

in:   a Net, options of the scenario.  out: start, kill, signal by role.
owns: the directory: etc, data, logs; and all of the product's processes.
"""

import glob
import os
import secrets
import shutil
import signal
import socket
import threading
import urllib.error
import urllib.request

import mongo
import net
import proc
import redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

REDIS, AUTH, COLLECTOR, DISPATCHER = 6379, 7717, 7718, 7719
WS, DELIVER, PROXY = 7700, 7701, 17000

NGINX = '''
{load}
user              root;
worker_processes  {workers};
pid               "{dir}/tmp/{role}.pid";
error_log         "{dir}/logs/{role}.error.log" info;

events {{
    worker_connections  8192;
}}

http {{
    push_node         {role} deliver=http://{deliver}/deliver;
    push_redis        redis://{redis};
    push_secret_file  "{dir}/etc/edge.secret";
    push_drain_time   4s;

    access_log              off;
    default_type            application/octet-stream;
    client_header_timeout   10s;
    client_body_timeout     10s;
    client_body_temp_path   "{dir}/tmp/{role}/body";
    proxy_temp_path         "{dir}/tmp/{role}/proxy";
    fastcgi_temp_path       "{dir}/tmp/{role}/fastcgi";
    uwsgi_temp_path         "{dir}/tmp/{role}/uwsgi";
    scgi_temp_path          "{dir}/tmp/{role}/scgi";

    upstream push_auth {{
        server     {auth};
        keepalive  8;
    }}

    upstream push_collector {{
        {collectors}
        keepalive  8;
    }}

    server {{
        listen  {address}:{ws};

        location = /ws {{
            auth_request      /_auth;
            auth_request_set  $push_uid  $upstream_http_x_push_user;
            auth_request_set  $push_exp  $upstream_http_x_push_expires;

            push_websocket;
            push_user               $push_uid;
            push_expires            $push_exp;
            push_heartbeat_timeout  {heartbeat}s;
            push_ack_interval       1s;
            push_hello_timeout      15s;
            push_resync_interval    {resync};
            {more}

            error_page  500 =503  @problem;
        }}

        location = /_auth {{
            internal;
            proxy_pass               http://push_auth/verify;
            proxy_http_version       1.1;
            proxy_set_header         Connection      "";
            proxy_set_header         Content-Length  "";
            proxy_set_header         X-Original-URI  $request_uri;
            proxy_pass_request_body  off;
            proxy_connect_timeout    2s;
            proxy_read_timeout       5s;
        }}

        location /v1/ {{
            proxy_pass             http://push_collector;
            proxy_http_version     1.1;
            proxy_set_header       Connection  "";
            proxy_connect_timeout  2s;
            proxy_read_timeout     10s;
        }}

        location @problem {{
            return  503  '{{"status":503}}';
        }}
    }}

    server {{
        listen  {address}:{inner};

        location = /deliver {{
            push_deliver;
        }}

        location = /status {{
            push_status;
        }}
    }}
}}
'''


class Stack:

    def __init__(self, directory, network, options, store):
        self.dir = directory
        self.net = network
        self.options = options
        self.store = store
        self.processes = {}
        self.lock = threading.Lock()
        self.legs = {}              # proxy port -> (leg, host, port)
        self.edges = [f'e{n + 1}' for n in range(options['edges'])]
        self.collectors = [f'c{n + 1}'
                           for n in range(options['collectors'])]
        self.dispatchers = [f'd{n + 1}'
                            for n in range(options['dispatchers'])]
        self.bin = os.path.join(ROOT, 'build', 'bin')
        self.nginx = os.environ.get('PUSH_NGINX') or shutil.which(
            'nginx') or '/usr/sbin/nginx'

        for name in ('etc', 'data', 'logs', 'tmp'):
            os.makedirs(os.path.join(directory, name), exist_ok=True)

        os.chmod(os.path.join(directory, 'etc'), 0o700)
        self.jwt_key = secrets.token_hex(32)
        self.api_key = secrets.token_hex(24)
        self.file('jwt.key', self.jwt_key + '\n', 0o600)
        self.file('edge.secret', secrets.token_hex(24) + '\n', 0o600)
        self.file('api.keys', f'chaos:{self.api_key}\n', 0o600)
        self.files()

    # --- files ---

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def file(self, name, text, mode=0o644):
        path = self.path('etc', name)
        with open(path, 'w', encoding='utf-8') as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        return path

    def at(self, role, port, leg=None):
        """Where others reach it: itself, or the proxy in front of it."""
        address = self.net.address(role)

        if leg not in self.options['proxy']:
            return f'{address}:{port}'

        for number, known in self.legs.items():
            if known == (leg, address, port):
                break
        else:
            number = PROXY + len(self.legs)
            self.legs[number] = (leg, address, port)

        return f'{self.net.address("px")}:{number}'

    def files(self):
        self.store.attach(self)
        at, options = self.at, self.options
        broker = at('r', REDIS, 'redis')
        dispatchers = ', '.join(
            f'"http://{at(role, DISPATCHER, "dispatch")}"'
            for role in self.dispatchers)

        self.file('a.conf', f'''
listen   = "{at('a', AUTH)}"
audience = "push"
key main {{
    algorithm = "HS256"
    file      = "{self.path('etc', 'jwt.key')}"
}}
''')

        for role in self.dispatchers:
            self.file(role + '.conf', f'''
listen      = "{at(role, DISPATCHER)}"
redis       = "redis://{broker}"
secret_file = "{self.path('etc', 'edge.secret')}"
''')

        for role in self.collectors:
            os.makedirs(self.path('data', role), exist_ok=True)
            self.file(role + '.conf', f'''
listen      = "{at(role, COLLECTOR)}"
redis       = "redis://{broker}"
node        = "{role}"
store       = "{self.store.url(self.path('data', role))}"
api_keys    = "{self.path('etc', 'api.keys')}"
dispatchers = {{ {dispatchers} }}
secret_file = "{self.path('etc', 'edge.secret')}"
{options['collector_conf']}
''')

        load = ''
        if not os.environ.get('PUSH_NGINX'):
            load = ('load_module "' + os.path.join(
                ROOT, 'build', 'ngx_http_push_module.so') + '";')

        for role in self.edges:
            os.makedirs(self.path('tmp', role), exist_ok=True)
            self.file(role + '.conf', NGINX.format(
                load=load, dir=self.dir, role=role,
                workers=options['workers'], redis=broker,
                address=self.net.address(role), ws=WS, inner=DELIVER,
                deliver=at(role, DELIVER, 'deliver'),
                auth=at('a', AUTH, 'auth'), heartbeat=options['heartbeat'],
                resync=options['resync'], more=options['edge_conf'],
                collectors='\n        '.join(
                    f'server {at(c, COLLECTOR)} max_fails=0;'
                    for c in self.collectors)))

    # --- processes ---

    def command(self, role):
        if role in self.edges:
            return [self.nginx, '-e', self.path('logs', role + '.error.log'),
                    '-p', self.path('tmp', role) + '/', '-c',
                    self.path('etc', role + '.conf')]

        if role == 'r':
            os.makedirs(self.path('data', 'r'), exist_ok=True)
            return ['redis-server', '--bind', self.net.address('r'),
                    '--port', str(REDIS), '--dir', self.path('data', 'r'),
                    '--protected-mode', 'no', '--save', '', '--appendonly',
                    'yes' if self.options['aof'] else 'no']

        daemon = {'a': 'auth', 'c': 'collector', 'd': 'dispatcher'}[role[0]]
        return [os.path.join(self.bin, 'push-' + daemon), '-c',
                self.path('etc', role + '.conf')]

    def env(self, role):
        """Where the clock is to jump, libfaketime stands between."""
        clock = self.options['clock']

        if not clock or role not in self.options['clock_roles']:
            return None

        return {'LD_PRELOAD': clock, 'FAKETIME_NO_CACHE': '1',
                'FAKETIME_DONT_FAKE_MONOTONIC': '1',
                'FAKETIME_TIMESTAMP_FILE': self.path('tmp', 'clock')}

    def start(self, role):
        """Unless it runs.  Does not wait until it is ready."""
        with self.lock:
            begun = self.processes.get(role)

            if self.pids(role) or begun and begun.running():
                return

            self.processes[role] = proc.Process(
                self.net.inside(role) + self.command(role),
                self.path('logs', role + '.log'), self.env(role))

    def start_all(self):
        """From the store on; returns when all of them serve."""
        self.store.start(self)

        for role, port in self.roles():
            self.start(role)

            if not proc.wait_until(lambda: self.serves(role, port), 20):
                raise RuntimeError(f'{role} does not start:\n'
                                   + self.tail(role))

    def roles(self):
        """In the order in which they are started."""
        return ([('r', REDIS), ('a', AUTH)]
                + [(role, DISPATCHER) for role in self.dispatchers]
                + [(role, COLLECTOR) for role in self.collectors]
                + [(role, WS) for role in self.edges])

    def serves(self, role, port):
        address = self.net.address(role)

        if role[0] in 'acd':
            try:
                with urllib.request.urlopen(
                        f'http://{address}:{port}/readyz', timeout=2):
                    return True
            except (OSError, urllib.error.URLError):
                return False

        try:
            socket.create_connection((address, port), 1).close()
            return True
        except OSError:
            return False

    def pids(self, role):
        """All processes of a role, the first of them the oldest."""
        wanted = os.stat('/run/netns/' + role).st_ino
        found = []

        for path in glob.glob('/proc/[0-9]*'):
            pid = int(path[6:])
            try:
                if os.stat(path + '/ns/net').st_ino == wanted \
                        and proc.alive(pid):
                    found.append(pid)
            except OSError:
                pass

        return sorted(found)

    def master(self, role):
        try:
            with open(self.path('tmp', role + '.pid'),
                      encoding='ascii') as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def workers(self, role):
        """Of an edge, those of its current master."""
        master = self.master(role)
        return proc.children(master) if master else []

    def signal(self, role, number):
        for pid in self.pids(role):
            proc.send(pid, number)

    def kill(self, role):
        proc.kill9(*self.pids(role))

    def up(self):
        """Everything runs again, and nothing is stopped."""
        self.store.heal(self)

        for role, _ in self.roles():
            self.signal(role, signal.SIGCONT)

        for role, port in self.roles():
            if not proc.wait_until(lambda: self.serves(role, port), 3):
                self.start(role)
                if not proc.wait_until(lambda: self.serves(role, port), 15):
                    raise RuntimeError(f'{role} does not come back:\n'
                                       + self.tail(role))

    def end(self):
        for role in self.edges + self.collectors + self.dispatchers \
                + ['a', 'r']:
            self.kill(role)
        self.store.end(self)

    def redis(self, *words):
        return redis.command(self.net.address('r'), REDIS, *words)

    # --- what they say ---

    def tail(self, role, lines=8):
        text = ''
        for path in sorted(glob.glob(self.path('logs', role + '*.log'))):
            with open(path, encoding='utf-8', errors='replace') as file:
                text += ''.join(file.readlines()[-lines:])
        return text

    def faults(self):
        """Lines of logs that no fault from outside may cause."""
        bad = []
        for path in sorted(glob.glob(self.path('logs', '*.log'))):
            with open(path, encoding='utf-8', errors='replace') as file:
                for line in file:
                    if ('[alert]' in line and 'exited on signal 9' not in line
                            or '[emerg]' in line or 'Sanitizer' in line
                            or 'runtime error' in line
                            or 'exited on signal' in line
                            and 'signal 9' not in line):
                        bad.append(os.path.basename(path) + ': '
                                   + line.strip()[:300])
        return bad

    def memory(self):
        """{process: (resident kB, descriptors)}"""
        found = {}
        for role, _ in self.roles():
            if role == 'r':
                continue
            pids = self.pids(role)
            master = self.master(role)
            for n, pid in enumerate(p for p in pids if p != master):
                found[f'{role}.{n}'] = (proc.rss_kb(pid), proc.fds(pid))
        return found


class Sqlite:
    """One file, one collector."""

    name = 'sqlite'
    roles = {}
    collectors = 1

    def attach(self, stack):
        pass

    def url(self, directory):
        return f'sqlite:{directory}/push.db'

    def start(self, stack):
        if stack.options['disk_mb']:
            net.sh('mount', '-t', 'tmpfs', '-o',
                   f'size={stack.options["disk_mb"]}m', 'tmpfs',
                   stack.path('data', 'c1'))

    def heal(self, stack):
        pass

    def facts(self, stack):
        return {}

    def end(self, stack):
        pass


STORES = {'sqlite': Sqlite, 'mongo': mongo.Mongo}


def libfaketime():
    """The library that stands between a daemon and the clock."""
    found = glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1')

    if not found:
        raise RuntimeError('libfaketime is not installed (./run deps)')

    return found[0]
