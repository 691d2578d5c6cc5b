/*
 * push.js: a client of the push.v1 protocol for browsers and Node
 *
 *     idle --connect()--> connecting --welcome--> open
 *      ^                      ^                    |
 *      |                      +---- waiting <------+   lost: back-off, jitter
 *      +------------- close(), 4002, 4003 ---------+
 *
 * Each message is given once and in order of its log, across reconnects and,
 * with a storage, across reloads: the highest seq of each log is kept and sent
 * as cursor in the hello.  A gap cannot be repaired here: the client connects
 * again and the server sends what is missing.
 *
 *     const client = new PushClient('wss://example.com/ws', {
 *         getToken: async () => (await fetch('/token')).text(),
 *     });
 *     client.on('message', (m) => show(m.log, m.seq, m.data));
 *     client.connect();
 */

const CLOSED = 'closed';            // events and states share some names

const NEVER_AGAIN = new Set([4002, 4003]);      // kicked, replaced
const GAP = 3001;                   // our own close codes, for the server's log
const SILENT = 3002;
const LATE = 3003;
const STABLE_MS = 10000;            // open so long: the back-off begins anew
const WELCOME_MS = 15000;           // no welcome for so long: try again

export class PushClient {
    /*
     * url: ws:// or wss://, or a path of this page's server.
     * options:
     *   token      the token, or
     *   getToken   async function; called for each connection
     *   device     name of this device; default: a random one, kept in the
     *              storage; no storage: none, so other connections of the
     *              user are not replaced.  null: none.
     *   storage    { getItem, setItem } such as localStorage, the default if
     *              there is one; null: cursors live as long as this object
     *   user       names the cursors in the storage; default: the token's sub
     *   window     messages of a log that may be on the way, 1 to 256
     *   ackMs      acks are collected for so long (default 200)
     *   minRetryMs, maxRetryMs   back-off (default 500, 30000)
     *   WebSocket  the class to use (default: the global one)
     */
    constructor(url, options = {}) {
        const o = options;

        this.url = new URL(url, globalThis.location?.href).href
            .replace(/^http/, 'ws');
        this.state = 'idle';
        this.user = null;           // from the last welcome
        this.node = null;
        this.cursors = {};          // log -> highest seq given
        this.epoch = null;

        this._o = {
            ackMs: 200, minRetryMs: 500, maxRetryMs: 30000,
            WebSocket: globalThis.WebSocket, ...o,
        };
        this._storage = o.storage === undefined ? defaultStorage() : o.storage;
        this._key = null;           // of our item in the storage
        this._handlers = new Map();
        this._socket = null;
        this._tries = 0;
        this._retryMs = null;       // from `bye`
        this._timers = {};
        this._acks = {};            // log -> seq to be acked
        this._unacked = 0;
        this._sends = new Map();    // id -> { frame, resolve, reject }
        this._sendId = 0;
        this._session = randomName();
        this._online = () => {
            if (this.state === 'waiting') {
                this._open();
            }
        };
    }

    /*
     * on(type, handler): returns a function that takes the handler away.
     *
     *   open       the welcome           { user, device, conn, node,
     *                                      heartbeat, window }
     *   message    a stored message      { log, seq, ts, id, data }
     *   ephemeral  one without seq       { log, ts, data }
     *   synced     all stored were given { log, seq, epoch }
     *   void       gone for ever         { log, from, to, why }
     *   reset      another history       { epoch, logs }
     *   state      this.state changed    { state, inMs }
     *   close      a connection ended    { code, reason, again }
     *   error      a token or a handler failed    Error
     */
    on(type, handler) {
        if (!this._handlers.has(type)) {
            this._handlers.set(type, new Set());
        }

        this._handlers.get(type).add(handler);

        return () => this._handlers.get(type).delete(handler);
    }

    connect() {
        if (this.state === 'idle' || this.state === CLOSED) {
            this._tries = 0;
            globalThis.addEventListener?.('online', this._online);
            this._open();
        }
    }

    /* Ends for good; connect() begins again. */
    close(code = 1000, reason = '') {
        this._flushAcks();
        this._end();
        this._socket?.close(code, reason);
        this._drop(this._socket);
        this._set('idle');
    }

    /*
     * Sends data to the business.  Resolves when the server has it; repeated
     * with the same id after a reconnect.  Rejects when the server refuses it.
     */
    send(data) {
        const id = `${this._session}-${++this._sendId}`;
        const frame = { type: 'send', id, data };

        return new Promise((resolve, reject) => {
            this._sends.set(id, { frame, resolve, reject });
            this._write(frame);
        });
    }

    // --- connecting ---------------------------------------------------------

    async _open() {
        clearTimeout(this._timers.retry);
        this._set('connecting');

        const mine = this._attempt = {};    // a later attempt makes this void
        let token, socket;

        try {
            token = this._o.getToken ? await this._o.getToken() : this._o.token;

            if (this._attempt !== mine || this.state !== 'connecting') {
                return;
            }

            this._load(token);
            socket = new this._o.WebSocket(...this._address(token));

        } catch (error) {
            this._emit('error', error);
            this._again();
            return;
        }

        this._socket = socket;

        socket.onopen = () => this._hello();
        socket.onmessage = (event) => this._receive(socket, event.data);
        socket.onerror = () => {};          // close follows
        socket.onclose = (event) => this._closed(socket, event);

        this._timers.silent = setTimeout(
            () => this._reconnect(SILENT, 'no welcome'), WELCOME_MS);
    }

    // A token that cannot stand in a header goes into the query.
    _address(token) {
        const url = new URL(this.url);

        if (!token) {
            return [url.href, ['push.v1']];
        }

        if (/^[\w.~+-]+$/.test(token)) {
            return [url.href, ['push.v1', `bearer.${token}`]];
        }

        url.searchParams.set('token', token);

        return [url.href, ['push.v1']];
    }

    _hello() {
        const hello = { type: 'hello', cursors: this.cursors };

        if (this._device) {
            hello.device = this._device;
        }

        if (this.epoch) {
            hello.epoch = this.epoch;
        }

        if (this._o.window) {
            hello.window = this._o.window;
        }

        this._write(hello, true);
    }

    _closed(socket, event) {
        if (socket !== this._socket) {
            return;
        }

        const again = !NEVER_AGAIN.has(event.code);

        this._drop(socket);
        this._emit('close', {
            code: event.code, reason: event.reason, again,
        });

        if (this.state === 'idle') {
            return;             // a handler has called close()
        }

        if (again) {
            this._again();
        } else {
            this._end();
            this._set(CLOSED);
        }
    }

    // Full jitter: many clients that lost one server come back spread out.
    _again() {
        const limit = Math.min(this._o.maxRetryMs,
                               this._o.minRetryMs * 2 ** this._tries++);
        const ms = this._retryMs ?? Math.random() * limit;

        this._retryMs = null;
        this._timers.retry = setTimeout(() => this._open(), ms);
        this._set('waiting', ms);
    }

    _drop(socket) {
        if (socket) {
            socket.onopen = socket.onmessage = socket.onclose = null;
        }

        this._socket = null;
        this._attempt = null;
        this._acks = {};
        this._unacked = 0;

        for (const name of ['ack', 'ping', 'silent', 'stable']) {
            clearTimeout(this._timers[name]);
        }

        this._timers.ack = null;
    }

    _end() {
        clearTimeout(this._timers.retry);
        globalThis.removeEventListener?.('online', this._online);
    }

    // This connection is of no use: the next one begins where we are.
    _reconnect(code, reason) {
        const socket = this._socket;

        this._drop(socket);
        socket.close(code, reason);
        this._emit('close', { code, reason, again: true });
        this._again();
    }

    // --- receiving ----------------------------------------------------------

    _receive(socket, text) {
        let m;

        if (socket !== this._socket) {
            return;
        }

        try {
            m = JSON.parse(text);
        } catch (error) {
            this._reconnect(GAP, 'not JSON');
            return;
        }

        this._listen();

        switch (m.type) {
        case 'welcome': this._welcome(m); break;
        case 'message': this._message(m); break;
        case 'synced':  this._synced(m); break;
        case 'void':    this._void(m); break;
        case 'reset':   this._reset(m); break;
        case 'sent':    this._sent(m); break;
        case 'bye':     this._retryMs = m.retry_ms ?? null; break;
        }
    }

    _welcome(m) {
        // Our hello came too late: what follows is not for this device.
        if (m.device !== undefined && m.device !== (this._device ?? '-')) {
            this._reconnect(LATE, 'the hello came too late');
            return;
        }

        this.user = m.user;
        this.node = m.node;
        this._window = m.window;
        this._heartbeat = m.heartbeat * 1000;

        if (this._name !== null && this._name !== m.user) {
            this._key = null;   // not the user that the cursors were kept for
        }

        this._timers.stable = setTimeout(() => { this._tries = 0; }, STABLE_MS);
        this._ping();
        this._listen();
        this._set('open');
        this._emit('open', m);

        for (const { frame } of this._sends.values()) {
            this._write(frame);
        }
    }

    _message(m) {
        if (m.seq === undefined) {
            this._emit('ephemeral', m);
            return;
        }

        const had = this.cursors[m.log];

        if (had !== undefined && m.seq > had + 1) {
            this._reconnect(GAP, `gap in ${m.log} after ${had}`);
            return;
        }

        if (had === undefined || m.seq > had) {
            this._emit('message', m);
            this.cursors[m.log] = m.seq;
            this._save();
        }

        this._ack(m.log, this.cursors[m.log]);
    }

    _void(m) {
        const had = this.cursors[m.log];

        if (had !== undefined && m.from > had + 1) {
            this._reconnect(GAP, `gap in ${m.log} after ${had}`);
            return;
        }

        if (had === undefined || m.to > had) {
            this._emit('void', m);
            this.cursors[m.log] = m.to;
            this._save();
        }
    }

    _synced(m) {
        const had = this.cursors[m.log];

        if (had !== undefined && had < m.seq) {
            this._reconnect(GAP, `gap in ${m.log} after ${had}`);
            return;
        }

        this.cursors[m.log] = m.seq;
        this.epoch = m.epoch;
        this._save();
        this._emit('synced', m);
    }

    _reset(m) {
        this.epoch = m.epoch;
        this.cursors = {};

        for (const [log, { floor }] of Object.entries(m.logs)) {
            this.cursors[log] = floor;
        }

        this._acks = {};
        this._save();
        this._emit('reset', m);
    }

    _sent(m) {
        const send = this._sends.get(m.id);

        if (!send) {
            return;
        }

        this._sends.delete(m.id);

        if (m.error === undefined) {
            send.resolve();
        } else {
            send.reject(new Error(m.error));
        }
    }

    // --- sending ------------------------------------------------------------

    _write(frame, before = false) {
        if (this._socket && (before || this.state === 'open')) {
            this._socket.send(JSON.stringify(frame));
            this._ping();
        }
    }

    // Cumulative: one ack for many, soon enough that the window never closes.
    _ack(log, seq) {
        this._acks[log] = seq;

        if (++this._unacked >= (this._window ?? 64) / 4) {
            this._flushAcks();
        } else if (!this._timers.ack) {
            this._timers.ack = setTimeout(() => this._flushAcks(),
                                          this._o.ackMs);
        }
    }

    _flushAcks() {
        const acks = this._acks;

        clearTimeout(this._timers.ack);
        this._timers.ack = null;
        this._acks = {};
        this._unacked = 0;

        for (const [log, seq] of Object.entries(acks)) {
            this._write({ type: 'ack', log, seq });
        }
    }

    // One ping whenever we were silent for a heartbeat.
    _ping() {
        clearTimeout(this._timers.ping);

        if (this._heartbeat) {
            this._timers.ping = setTimeout(
                () => this._write({ type: 'ping' }), this._heartbeat);
        }
    }

    // Each ping has a pong: silence for longer means that nobody is there.
    _listen() {
        clearTimeout(this._timers.silent);

        if (this._heartbeat) {
            this._timers.silent = setTimeout(
                () => this._reconnect(SILENT, 'silence'),
                this._heartbeat + 10000);
        }
    }

    // --- what is kept -------------------------------------------------------

    // Cursors belong to one user: a token of another one has others.
    _load(token) {
        const name = this._o.user ?? subject(token);

        if (this._name === name && this._key !== null) {
            return;
        }

        if (this._name !== undefined && this._name !== name) {
            this.cursors = {};
            this.epoch = null;
        }

        this._name = name;
        this._device = this._o.device ?? null;

        if (!this._storage || name === null) {
            return;
        }

        this._key = `push ${this.url} ${name}`;

        let kept = {};

        try {
            kept = JSON.parse(this._storage.getItem(this._key)) ?? {};
        } catch (error) {
            kept = {};          // not ours, or cut: as if nothing was kept
        }

        this.cursors = kept.cursors ?? {};
        this.epoch = kept.epoch ?? null;

        if (this._o.device === undefined) {
            this._device = kept.device ?? randomName();
        }

        this._save();
    }

    _save() {
        if (this._storage && this._key !== null) {
            try {
                this._storage.setItem(this._key, JSON.stringify({
                    device: this._device, epoch: this.epoch,
                    cursors: this.cursors,
                }));
            } catch (error) {
                this._emit('error', error);     // full, or forbidden
            }
        }
    }

    // --- events -------------------------------------------------------------

    _set(state, inMs) {
        if (this.state !== state) {
            this.state = state;
            this._emit('state', { state, inMs });
        }
    }

    _emit(type, value) {
        for (const handler of this._handlers.get(type) ?? []) {
            try {
                handler(value);
            } catch (error) {
                if (type === 'error') {
                    throw error;
                }

                this._emit('error', error);
            }
        }
    }
}

// Access alone can throw where a page may store nothing.
function defaultStorage() {
    try {
        return globalThis.localStorage ?? null;
    } catch (error) {
        return null;
    }
}

function randomName() {
    const bytes = globalThis.crypto.getRandomValues(new Uint8Array(9));

    return [...bytes].map((b) => b.toString(36).padStart(2, '0')).join('');
}

// The claim `sub` of a JWT; null for other tokens.
function subject(token) {
    try {
        const part = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');

        return JSON.parse(globalThis.atob(part)).sub ?? null;
    } catch (error) {
        return null;
    }
}
