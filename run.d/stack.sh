# stack: the whole system on this machine, in one directory
#
#     conf/*.conf --names, ports, paths--> DIR/etc --> processes --> DIR/pids
#
# in:   --dir, --port, --edges, --workers, --store
# owns: DIR: settings, env, etc/ (keys, configuration), data/ (store), logs/,
#       pids/, tmp/, www/; and the processes whose pids stand in DIR/pids

declare -A settings=([port]=7700 [edges]=1 [workers]=2 [store]=sqlite)

stack_dir() {
    dir=${given[dir]:-.demo}

    case $dir in
    /*) ;;
    *)  dir=$root/$dir ;;
    esac

    case $dir in
    *[!A-Za-z0-9._/@+,:=-]*)
        die "--dir: only A-Z a-z 0-9 . _ / @ + , : = - are possible in '$dir'"
        ;;
    esac
}

# What was said once for a directory holds until something else is said.
stack_settings() {
    local key value running

    stack_dir

    if [ -f "$dir/settings" ]; then
        while IFS='=' read -r key value; do
            [ -n "${settings[$key]:-}" ] && settings[$key]=$value
        done < "$dir/settings"
    fi

    for key in port workers store; do
        value=${given[$key]:-${settings[$key]}}

        if [ "$value" != "${settings[$key]}" ]; then
            running=$(stack_running)
            [ -z "$running" ] || die "the stack in $dir runs with --$key" \
                "${settings[$key]}: first ./run down --dir $dir"
        fi

        settings[$key]=$value
    done

    settings[edges]=${given[edges]:-${settings[edges]}}

    number --port "${settings[port]}" 1024 65500
    number --edges "${settings[edges]}" 1 8
    number --workers "${settings[workers]}" 1 64

    case ${settings[store]} in
    sqlite|mongo) ;;
    *)      die "--store is sqlite or mongo, not '${settings[store]}'" ;;
    esac
}

stack_port() { echo $((settings[port] + $1)); }

# --- processes --------------------------------------------------------------

# What the command line of a process of this stack looks like: a pid that was
# given to another process since is never taken for ours.
stack_pattern() {
    case $1 in
    redis)    echo "redis-server 127.0.0.1:$(stack_port 16)" ;;
    mongod-*) echo "--dbpath $dir/data/$1 " ;;
    *)        echo "$dir/etc/$1.conf" ;;
    esac
}

# Prints the pid if the process lives.
stack_pid() {
    local pid line=

    pid=$(cat "$dir/pids/$1.pid" 2>/dev/null) || return 1
    [[ $pid =~ ^[1-9][0-9]*$ ]] || return 1
    line=$(cat "/proc/$pid/cmdline" 2>/dev/null | tr '\0' ' ') || return 1
    [[ $line == *"$(stack_pattern "$1")"* ]] || return 1

    echo "$pid"
}

stack_running() {
    local file name

    for file in "$dir"/pids/*.pid; do
        name=$(basename "$file" .pid)
        stack_pid "$name" > /dev/null && echo "$name"
    done

    return 0
}

# Waits until the command succeeds, at most so many tenths of a second.
stack_wait() {
    local tenths=$1
    shift

    while ! "$@" 2>/dev/null; do
        ((tenths-- > 0)) || return 1
        sleep 0.1
    done
}

stack_listens() { (: < "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
stack_ready()   { curl -fsS -o /dev/null -m 2 "http://127.0.0.1:$1/readyz"; }
stack_gone()    { ! stack_pid "$1" > /dev/null; }

# Starts NAME with the command, its output in logs/NAME.log, its pid in pids/.
stack_spawn() {
    local name=$1
    shift

    setsid "$@" < /dev/null >> "$dir/logs/$name.log" 2>&1 &
    echo $! > "$dir/pids/$name.pid"
}

stack_failed() {
    local log=$dir/logs/$1.log

    [ -s "$log" ] || log=$dir/logs/$1.error.log
    warn "$1 does not start; the end of $log:"
    tail -n 8 "$log" >&2 || true
    exit 1
}

# stack_start NAME PORT COMMAND...: unless it lives already.
stack_start() {
    local name=$1 port=$2 probe=stack_ready
    shift 2

    stack_pid "$name" > /dev/null && return 0

    ! stack_listens "$port" \
        || die "port $port, wanted for $name, is in use (choose --port)"

    case $name in
    redis|mongod-*) probe=stack_listens ;;
    esac

    stack_spawn "$name" "$@"

    stack_wait 100 eval "$probe $port || stack_gone $name" || true
    stack_wait 5 "$probe" "$port" || stack_failed "$name"
    started+=("$name")
}

stack_start_nginx() {
    local k=$1 name=nginx-$1

    stack_pid "$name" > /dev/null && return 0

    ! stack_listens "$(stack_port $((2 * (k - 1))))" \
        || die "port $(stack_port $((2 * (k - 1)))), wanted for $name," \
               "is in use (choose --port)"

    "$nginx" -e "$dir/logs/$name.error.log" -p "$dir/tmp/$name/" \
        -c "$dir/etc/$name.conf" < /dev/null >> "$dir/logs/$name.log" 2>&1 \
        || stack_failed "$name"

    stack_wait 50 eval "stack_pid $name > /dev/null" || stack_failed "$name"
    started+=("$name")
}

# --- files ------------------------------------------------------------------

# stack_secret FILE BYTES: made once, readable by its owner alone.
stack_secret() {
    [ -s "$dir/etc/$1" ] \
        || (umask 077; openssl rand -hex "$2" > "$dir/etc/$1")
}

# stack_conf SAMPLE NAME K: DIR/etc/NAME.conf is the sample with our names,
# addresses and paths.  What is replaced must be there.
stack_conf() {
    local sample=conf/$1.conf to=$dir/etc/$2.conf k=$3 i
    local public=$((2 * (k - 1))) origins= port user=

    for ((i = 1; i <= settings[edges]; i++)); do
        port=$(stack_port $((2 * (i - 1))))
        origins+=" http://127.0.0.1:$port http://localhost:$port"
    done

    [ "$(id -u)" -eq 0 ] && user="user root;"

    sed -E \
        -e "s#127\.0\.0\.1:7700#127.0.0.1:$(stack_port "$public")#" \
        -e "s#127\.0\.0\.1:7701#127.0.0.1:$(stack_port $((public + 1)))#" \
        -e "s#127\.0\.0\.1:6379#127.0.0.1:$(stack_port 16)#" \
        -e "s#127\.0\.0\.1:7717#127.0.0.1:$(stack_port 17)#" \
        -e "s#127\.0\.0\.1:7718#127.0.0.1:$(stack_port 18)#" \
        -e "s#127\.0\.0\.1:7719#127.0.0.1:$(stack_port 19)#" \
        -e "s#/etc/push/#$dir/etc/#" \
        -e "s#/var/lib/push/#$dir/data/#" \
        -e "s#/var/log/push/nginx-1#$dir/logs/nginx-$k#" \
        -e "s#/run/push/nginx-1#$dir/pids/nginx-$k#" \
        -e "s#/var/cache/push/nginx-1#$dir/tmp/nginx-$k#" \
        -e "s#/usr/share/push/www#$dir/www#" \
        -e "s#modules/ngx_http_push_module\.so#${PUSH_BUILD:-$root/build}/ngx_http_push_module.so#" \
        -e "s#^user .*#$user#" \
        -e "s#^(worker_processes +)auto#\1${settings[workers]}#" \
        -e "s#^( *worker_connections +)[0-9]+#\1$connections#" \
        -e "s#^( *push_node +)edge-1#\1edge-$k#" \
        -e "s#^( *push_origins +)[^;]*#\1$origins#" \
        "$sample" > "$to"

    if [ -n "${PUSH_NGINX:-}" ]; then
        sed -i '/^load_module/d' "$to"      # it is linked in
    fi

    if [ "${settings[store]}" = mongo ]; then
        sed -i -E "s#^(store +=).*#\1 \"$(mongod_url "$(stack_port 20)" 1)\"#" "$to"
    fi

    # A sample that names another path or address would be used as it is.
    if grep -nE '/(etc|var|run|usr/share)/push|127\.0\.0\.1:6379' "$to" \
       | grep -vF "$dir" | grep -v '^[0-9]*: *#' >&2
    then
        die "$sample: this has no counterpart in run.d/stack.sh (see above)"
    fi
}

stack_files() {
    local limit k

    mkdir -p "$dir"/{etc,data,logs,pids,tmp,www}
    chmod 700 "$dir/etc" "$dir/data"

    # A worker must not be promised more connections than it may open files.
    limit=$(ulimit -Hn)
    [ "$limit" = unlimited ] && limit=1048576
    ulimit -Sn "$limit"
    connections=$((limit < 20000 ? limit * 4 / 5 : 16384))

    stack_secret jwt.key 32
    stack_secret edge.secret 24

    if [ ! -s "$dir/etc/api.keys" ]; then
        (umask 077; echo "demo:$(openssl rand -hex 24)" > "$dir/etc/api.keys")
    fi

    stack_conf auth auth 1
    stack_conf collector collector 1
    stack_conf dispatcher dispatcher 1

    for ((k = 1; k <= settings[edges]; k++)); do
        mkdir -p "$dir/tmp/nginx-$k"
        stack_conf nginx "nginx-$k" "$k"
    done

    for k in "${!settings[@]}"; do
        echo "$k=${settings[$k]}"
    done > "$dir/settings"

    stack_env
    stack_page
}

stack_env() {
    local k names="PUSH_URL PUSH_WS PUSH_API_KEY PUSH_JWT_SECRET_FILE"

    (
        umask 077
        {
            echo "PUSH_URL=http://127.0.0.1:$(stack_port 0)"
            echo "PUSH_API_KEY=$(cut -d: -f2 "$dir/etc/api.keys")"
            echo "PUSH_JWT_SECRET_FILE=$dir/etc/jwt.key"
            echo "PUSH_JWT_AUD=push"
            echo "PUSH_SECRET_FILE=$dir/etc/edge.secret"
            names+=" PUSH_JWT_AUD PUSH_SECRET_FILE"

            for ((k = 1; k <= settings[edges]; k++)); do
                echo "PUSH_WS$( ((k == 1)) || echo "_$k")=ws://127.0.0.1:$(
                    stack_port $((2 * (k - 1))))/ws"
                echo "PUSH_DELIVER_$k=http://127.0.0.1:$(
                    stack_port $((2 * k - 1)))/deliver"
                names+=" PUSH_DELIVER_$k"
                ((k == 1)) || names+=" PUSH_WS_$k"
            done

            echo "export $names"
        } > "$dir/env.new"
        mv "$dir/env.new" "$dir/env"
    )
}

# The page cannot make tokens, so it gets some, and a key to publish with: it
# is served on the loopback address only.
stack_page() {
    local user comma=

    cp clients/js/push.js clients/js/demo.html "$dir/www/"

    {
        echo "{"
        echo "  \"api_key\": \"$(cut -d: -f2 "$dir/etc/api.keys")\","
        echo "  \"tokens\": {"
        for user in u1 alice bob carol; do
            printf '%s    "%s": "%s"' "$comma" "$user" \
                "$(stack_make_token "$user" 604800)"
            comma=$',\n'
        done
        printf '\n  }\n}\n'
    } > "$dir/www/demo.json"
}

# A JWT of USER for SECONDS.  Perl reads the key itself: it would be seen in
# the arguments of `openssl dgst -hmac`.
stack_make_token() {
    perl -MDigest::SHA=hmac_sha256 -MMIME::Base64=encode_base64url -e '
        my ($file, $sub, $ttl) = @ARGV;

        open(my $fh, "<", $file) or die "$file: $!\n";
        read($fh, my $key, 65536);
        $key =~ s/\r?\n\z//;

        my $now = time();
        my $text = join(".", map { encode_base64url($_) }
            q({"alg":"HS256","typ":"JWT"}),
            sprintf(q({"sub":"%s","aud":"push","iat":%d,"exp":%d}),
                    $sub, $now, $now + $ttl));

        print "$text.", encode_base64url(hmac_sha256($text, $key)), "\n";
    ' "$dir/etc/jwt.key" "$1" "$2"
}

# --- sub-commands -----------------------------------------------------------

stack_token() {
    local ttl=${given[ttl]:-3600}

    stack_dir
    number --ttl "$ttl" 1 100000000

    [[ $1 =~ ^[A-Za-z0-9._:@-]{1,128}$ ]] \
        || die "a user is 1 to 128 of A-Z a-z 0-9 . _ : @ -, not '$1'"
    [ -s "$dir/etc/jwt.key" ] \
        || die "no stack in $dir yet: ./run up --dir $dir"

    stack_make_token "$1" "$ttl"
}

stack_up() {
    local k bin=${PUSH_BUILD:-$root/build}/bin started=()
    nginx=${PUSH_NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}

    stack_settings
    mkdir -p "$dir" && touch "$dir/.lock" \
        || die "nothing can be written to $dir (choose --dir)"

    exec 7> "$dir/.lock"
    flock -n 7 || die "another ./run works on $dir"

    stack_files

    stack_start redis "$(stack_port 16)" \
        redis-server --bind 127.0.0.1 --port "$(stack_port 16)" \
        --dir "$dir/data" --save "" --appendonly no --daemonize no 7>&-

    if [ "${settings[store]}" = mongo ]; then
        mongod_set "$(stack_port 20)" 1 7>&-
    fi

    stack_start auth "$(stack_port 17)" \
        "$bin/push-auth" -c "$dir/etc/auth.conf" 7>&-
    stack_start dispatcher "$(stack_port 19)" \
        "$bin/push-dispatcher" -c "$dir/etc/dispatcher.conf" 7>&-
    stack_start collector "$(stack_port 18)" \
        "$bin/push-collector" -c "$dir/etc/collector.conf" 7>&-

    for ((k = 1; k <= settings[edges]; k++)); do
        stack_start_nginx "$k" 7>&-
    done

    exec 7>&-

    if ((${#started[@]})); then
        say "started: ${started[*]}"
    else
        say "everything runs already"
    fi

    say "page:        http://127.0.0.1:$(stack_port 0)/"
    say "environment: $dir/env"
}

# Edges first, so that they can say goodbye through what they need; then the
# path of a message in its order.
stack_down() {
    stack_dir

    if [ ! -d "$dir/pids" ]; then
        say "nothing was started in $dir"
        return 0
    fi

    stack_settings
    stack_end nginx-{1..8} collector dispatcher auth redis mongod-{1..3}
}

# TERM to each NAME in turn, and KILL if it is still there after 15 s.
stack_end() {
    local name pid order=()

    for name; do
        pid=$(stack_pid "$name") || { rm -f "$dir/pids/$name.pid"; continue; }
        kill -TERM "$pid" 2>/dev/null || true

        if ! stack_wait 150 stack_gone "$name"; then
            warn "$name (pid $pid) did not end by itself"
            kill -KILL "$pid" 2>/dev/null || true
            stack_wait 20 stack_gone "$name" || true
        fi

        rm -f "$dir/pids/$name.pid"
        order+=("$name")
    done

    say "ended: ${order[*]:-nothing was running}"
}

# Until Ctrl-C, TERM or the end of the terminal.
stack_demo() {
    local name file lost=" " stop=

    trap 'stop=1' INT TERM HUP
    trap stack_down EXIT
    stack_up

    cat <<HINT

Open the page in a browser.  In another terminal:

    . ${given[dir]:-.demo}/env
    curl -H "Authorization: Bearer \$PUSH_API_KEY" \$PUSH_URL/v1/messages \\
         -d '{"to":{"user":"u1"},"data":{"hello":1}}'
    ./run token u1${given[dir]:+ --dir ${given[dir]}}

Ctrl-C ends everything.
HINT

    while [ -z "$stop" ]; do
        for file in "$dir"/pids/*.pid; do
            name=$(basename "$file" .pid)

            if [[ $lost != *" $name "* ]] && stack_gone "$name"; then
                warn "$name has ended (log: $dir/logs/$name.log);" \
                     "./run up starts it again"
                lost+="$name "
            fi
        done

        # A trap runs when the wait ends, and a signal ends the wait.
        sleep 1 &
        wait $! || true
    done

    trap '' INT TERM HUP
    trap - EXIT
    echo
    stack_down
}
