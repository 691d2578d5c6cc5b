/*
 * Tests of clients/js/push.js against a scripted WebSocket.  Runs in a browser
 * (t/400-client.t) and prints nothing: run() gives a list of { name, ok, why }.
 */

import { PushClient } from './push.js';

// What the tests say to the client, and what they heard from it.
class Peer {
    constructor(url, protocols) {
        this.url = url;
        this.protocols = protocols;
        this.heard = [];
        Peer.all.push(this);
        Peer.wake?.();
    }

    send(text) {
        this.heard.push(JSON.parse(text));
    }

    close(code, reason) {
        this.closedWith = code;
    }

    open() {
        this.onopen();
    }

    say(...messages) {
        for (const m of messages) {
            this.onmessage?.({ data: JSON.stringify(m) });
        }
    }

    end(code, reason = '') {
        this.onclose({ code, reason });
    }

    static next() {
        return new Promise((resolve) => {
            Peer.wake = () => {
                Peer.wake = null;
                resolve(Peer.all[Peer.all.length - 1]);
            };
        });
    }
}

class Store {
    constructor() { this.items = new Map(); }
    getItem(key) { return this.items.get(key) ?? null; }
    setItem(key, value) { this.items.set(key, value); }
}

const token = (sub) => ['{}', JSON.stringify({ sub }), 'x']
    .map((part) => btoa(part).replace(/=+$/, '')).join('.');

const welcome = {
    type: 'welcome', user: 'u1', conn: 'c', node: 'n', heartbeat: 30, window: 8,
};

const message = (seq, log = 'user') => ({
    type: 'message', log, seq, ts: 1, id: `user:u1@${seq}`, data: seq,
});

function check(ok, why) {
    if (!ok) {
        throw new Error(why);
    }
}

function same(a, b, what) {
    check(JSON.stringify(a) === JSON.stringify(b),
          `${what}: ${JSON.stringify(a)} instead of ${JSON.stringify(b)}`);
}

// A client past its welcome.
async function start(options = {}, first = welcome) {
    const client = new PushClient('ws://127.0.0.1:1/ws', {
        WebSocket: Peer, token: token('u1'), storage: null, ackMs: 1,
        minRetryMs: 1, maxRetryMs: 4, ...options,
    });
    const got = { message: [], ephemeral: [], close: [], state: [], error: [],
                  reset: [], void: [], synced: [] };

    for (const type of Object.keys(got)) {
        client.on(type, (value) => got[type].push(value));
    }

    const waiting = Peer.next();

    client.connect();

    const peer = await waiting;

    peer.open();

    if (first) {
        peer.say(first);
    }

    return { client, peer, got };
}

const later = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(test, what) {
    for (let i = 0; i < 400; i++) {
        if (test()) {
            return;
        }

        await later(5);
    }

    throw new Error(`never: ${what}`);
}

const tests = {
    async 'the token goes into the subprotocol'() {
        const { client, peer } = await start();

        same(peer.protocols, ['push.v1', `bearer.${token('u1')}`], 'protocols');
        client.close();
    },

    async 'a token that is no header token goes into the query'() {
        const { client, peer } = await start({ token: 'a/b c', user: 'u1' });

        same(peer.protocols, ['push.v1'], 'protocols');
        same(new URL(peer.url).searchParams.get('token'), 'a/b c', 'token');
        client.close();
    },

    async 'messages are given once and in order, and acked together'() {
        const { client, peer, got } = await start({}, { ...welcome, window: 64 });

        peer.say(message(1), message(2), message(2), message(1), message(3));
        same(got.message.map((m) => m.seq), [1, 2, 3], 'seqs');
        await until(() => peer.heard.length > 1, 'an ack');
        same(peer.heard.slice(1), [{ type: 'ack', log: 'user', seq: 3 }],
             'acks');
        client.close();
    },

    async 'a gap ends the connection and nothing behind it is given'() {
        const { client, peer, got } = await start();
        const waiting = Peer.next();

        peer.say(message(1), message(3), message(4));
        same(got.message.map((m) => m.seq), [1], 'seqs');
        same(peer.closedWith, 3001, 'close code');

        const second = await waiting;

        second.open();
        same(second.heard[0].cursors, { user: 1 }, 'cursors');
        second.say(welcome, message(2), message(3));
        same(got.message.map((m) => m.seq), [1, 2, 3], 'seqs');
        client.close();
    },

    async 'a lost connection comes back with cursors and epoch'() {
        const { client, peer } = await start();
        const waiting = Peer.next();

        peer.say(message(5), { type: 'synced', log: 'user', seq: 5, epoch: 'e' },
                 { type: 'synced', log: 'all', seq: 0, epoch: 'e' });
        peer.end(1006);
        same(client.state, 'waiting', 'state');

        const second = await waiting;

        second.open();
        same(second.heard[0].cursors, { user: 5, all: 0 }, 'cursors');
        same(second.heard[0].epoch, 'e', 'epoch');
        client.close();
    },

    async 'bye says when to come back'() {
        const { client, peer, got } = await start({ minRetryMs: 60000 });
        const waiting = Peer.next();

        peer.say({ type: 'bye', code: 1012, retry_ms: 3 });
        peer.end(1012);
        same(got.state.at(-1), { state: 'waiting', inMs: 3 }, 'state');
        await waiting;
        client.close();
    },

    async 'kicked and replaced clients stay away'() {
        for (const code of [4002, 4003]) {
            const { client, peer, got } = await start();

            peer.end(code);
            same(client.state, 'closed', 'state');
            same(got.close.at(-1).again, false, 'again');
        }
    },

    async 'reset begins at the floor'() {
        const { client, peer, got } = await start();

        peer.say(message(7), { type: 'reset', epoch: 'f',
                               logs: { user: { floor: 0, tip: 1 } } },
                 message(1));
        same(got.message.map((m) => m.seq), [7, 1], 'seqs');
        same(got.reset.length, 1, 'resets');
        client.close();
    },

    async 'void moves the cursor'() {
        const { client, peer, got } = await start();

        peer.say(message(1), { type: 'void', log: 'user', from: 2, to: 4,
                               why: 'expired' }, message(5));
        same(got.message.map((m) => m.seq), [1, 5], 'seqs');
        same(got.void.length, 1, 'voids');
        client.close();
    },

    async 'ephemeral messages have no place in the log'() {
        const { client, peer, got } = await start();

        peer.say({ type: 'message', log: 'user', ts: 1, data: 'x' });
        same(got.ephemeral.length, 1, 'ephemeral');
        same(client.cursors, {}, 'cursors');
        client.close();
    },

    async 'cursors and device outlive the client, but not the user'() {
        const storage = new Store();
        const one = await start({ storage });

        one.peer.say(message(1), message(2));
        one.client.close();

        const two = await start({ storage });

        same(two.peer.heard[0].cursors, { user: 2 }, 'cursors');
        same(two.peer.heard[0].device, one.peer.heard[0].device, 'device');
        check(/^\w{8,64}$/.test(two.peer.heard[0].device), 'device is a name');
        two.client.close();

        const other = await start({ storage, token: token('u2') }, null);

        same(other.peer.heard[0].cursors, {}, 'cursors of another user');
        other.client.close();
    },

    async 'a window is never closed for want of acks'() {
        const { client, peer } = await start({ ackMs: 60000 });

        peer.say(...[1, 2, 3, 4, 5, 6, 7, 8].map((seq) => message(seq)));
        same(peer.heard.filter((m) => m.type === 'ack').at(-1)?.seq, 8, 'ack');
        client.close();
    },

    async 'send resolves with sent, and is repeated after a reconnect'() {
        const { client, peer } = await start();
        const waiting = Peer.next();
        const sending = client.send({ x: 1 });
        const frame = peer.heard.at(-1);

        same([frame.type, frame.data], ['send', { x: 1 }], 'frame');
        peer.end(1006);

        const second = await waiting;

        second.open();
        second.say(welcome);
        same(second.heard.at(-1), frame, 'the same frame');
        second.say({ type: 'sent', id: frame.id });
        await sending;
        client.close();
    },

    async 'a welcome for no device: the hello was late, nothing is given'() {
        const { client, peer, got } = await start({ device: 'd1' }, null);
        const waiting = Peer.next();

        peer.say({ ...welcome, device: '-' }, message(1));
        same(client.state, 'waiting', 'state');
        same(got.message, [], 'messages');
        same(got.close.map((c) => c.code), [3003], 'codes');

        const second = await waiting;

        second.open();
        second.say({ ...welcome, device: 'd1' }, message(1));
        same(got.message.map((m) => m.seq), [1], 'messages');
        client.close();
    },

    async 'a heartbeat is sent when nothing else was'() {
        const { client, peer } = await start({}, { ...welcome, heartbeat: .01 });

        await until(() => peer.heard.some((m) => m.type === 'ping'), 'a ping');
        client.close();
    },

    async 'getToken is asked for each connection, and may fail'() {
        let calls = 0;
        const { client, peer, got } = await start({
            async getToken() {
                if (++calls === 2) {
                    throw new Error('no network');
                }

                return token('u1');
            },
        });
        const waiting = Peer.next();

        peer.end(4001);
        await waiting;
        same(calls, 3, 'calls');
        same(got.error.map((e) => e.message), ['no network'], 'errors');
        client.close();
    },

    async 'a handler that throws loses nothing'() {
        const { client, peer, got } = await start();

        client.on('message', () => { throw new Error('mine'); });
        peer.say(message(1), message(2));
        same(got.message.length, 2, 'messages');
        same(got.error.length, 2, 'errors');
        same(client.cursors, { user: 2 }, 'cursors');
        client.close();
    },

    async 'close() ends for good'() {
        const { client, peer, got } = await start();
        const before = Peer.all.length;

        client.close();
        same(peer.closedWith, 1000, 'close code');
        same(client.state, 'idle', 'state');
        await later(20);
        same(Peer.all.length, before, 'connections');
        same(got.close.length, 0, 'close events');
    },
};

export async function run() {
    const results = [];

    for (const [name, test] of Object.entries(tests)) {
        Peer.all = [];

        try {
            await test();
            results.push({ name, ok: true });
        } catch (error) {
            results.push({ name, ok: false, why: error.message });
        }
    }

    return results;
}
