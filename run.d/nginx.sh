#!/usr/bin/env bash
#
# Builds the edge module, out of tree.
#
#   run.d/nginx.sh dynamic DIR OUT    .so for the installed nginx (nginx-dev)
#   run.d/nginx.sh test DIR OUT       the same with push_test_echo (t/echo)
#   run.d/nginx.sh faults DIR OUT     the same with fault points
#   run.d/nginx.sh static DIR OUT     an nginx with the module linked in
#   run.d/nginx.sh asan DIR OUT       the same under ASan and UBSan, with echo
#   run.d/nginx.sh SUITE DIR OUT      as static, of bookworm, trixie or sid,
#                                     with echo
#   run.d/nginx.sh source SUITE       only fetches that source
#
# DIR holds nginx's source and objects, OUT is what comes out.  CC: the
# compiler.  Configures again only when a file came or went, the compiler, the
# options or nginx changed; nginx's makefile does the rest.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kind=$1
CC=${CC:-cc}

if [ "$kind" = source ]; then
    suite=$2
    dir=$root/build/nginx-src-$suite/fetch     # whose lock is another one
    out=$dir/src
else
    dir=$2
    out=$3
fi

mkdir -p "$dir" "$(dirname "$out")"
dir=$(cd "$dir" && pwd)
out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
log=$dir/build.log

exec 9> "$dir/.lock"
flock 9                 # one build of a kind at a time

die() {
    echo "nginx.sh: $*" >&2
    exit 1
}

# Every installed Debian or Ubuntu package archive as "uri suite component",
# from what apt itself has configured.
apt_targets() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
            'Created-By: Packages' 'Origin: Debian' 2>/dev/null
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
            'Created-By: Packages' 'Origin: Ubuntu' 2>/dev/null
}

# One suite of Debian, whatever runs here, from the archive that apt knows.
apt_suite() {
    local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg

    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
              'Origin: Debian' 'Label: Debian' 'Component: main' 2>/dev/null \
          | head -n 1)

    if [ -n "$uri" ] && [ -r "$keyring" ]; then
        echo "deb-src [signed-by=$keyring] $uri $1 main"
    fi
}

# nginx's source package, by an apt of our own that knows the machine's
# archives as deb-src: the machine's lists stay untouched.  The installed
# version if it is still there, else the newest that is: mirrors drop old ones.
# Fetched once for all kinds, into build/nginx-src.  With a suite: its newest
# version, fetched once, into build/nginx-src-SUITE.
fetch_source() {
    local version uri suite component v
    local base=$root/build/nginx-src${1:+-$1}
    local apt=$base/apt

    mkdir -p "$base"
    exec 8> "$base/.lock"
    flock 8

    if [ -n "${1:-}" ]; then
        [ ! -f "$base/src/.version" ] || return 0
        version=

    else
        version=$(dpkg-query -W -f '${Version}' nginx)

        if [ "$(cat "$base/src/.version" 2>/dev/null)" = "$version" ]; then
            return
        fi
    fi

    echo "  APT   source of nginx ${version:-in $1}"
    rm -rf "$apt" "$base/src"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"

    if [ -n "${1:-}" ]; then
        apt_suite "$1"
    else
        apt_targets | sort -u | while read -r uri suite component; do
            echo "deb-src $uri $suite $component"
        done
    fi > "$apt/sources.list"

    [ -s "$apt/sources.list" ] \
        || die "apt knows no archive of that kind (run apt-get update)"

    cat > "$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$apt/lists";
Dir::Cache::archives "$apt/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
CONF

    (
        cd "$apt"
        export APT_CONFIG=$apt/apt.conf
        apt-get -qq update

        for v in $version $(apt-cache showsrc nginx \
                              | sed -n 's/^Version: //p' | sort -rVu)
        do
            rm -f nginx_*
            if apt-get -qq --download-only source "nginx=$v"; then
                dpkg-source --no-check -x nginx_*.dsc "$apt/src"
                echo "${version:-$v}" > "$apt/src/.version"
                exit
            fi
        done

        exit 1
    ) > "$base/log" 2>&1 \
        || { tail -n 5 "$base/log" >&2; die "no source of nginx (see above)"; }

    mv "$apt/src" "$base/src"
    rm -rf "$apt"
}

copy_source() {
    local from=$root/build/nginx-src${1:+-$1}/src

    fetch_source "${1:-}"

    if ! cmp -s "$from/.version" "$dir/src/.version"; then
        rm -rf "$dir/src"
        cp -r "$from" "$dir/src"
    fi
}

# nginx's headers and configure as the package nginx-dev has them.
copy_dev() {
    local version

    version=$(dpkg-query -W -f '${Version}' nginx-dev 2>/dev/null) \
        || die "the package nginx-dev is not installed (./run deps)"

    if [ "$(cat "$dir/src/.version" 2>/dev/null)" = "$version" ]; then
        return
    fi

    rm -rf "$dir/src"
    cp -r /usr/share/nginx/src "$dir/src"
    chmod -R u+w "$dir/src"
    echo "$version" > "$dir/src/.version"
}

# nginx's own flags come first; it is not clean under -Wextra, so the static
# builds rely on nginx's -W -Wall -Werror.
strict=(-Wall -Wextra -Werror -Wno-unused-parameter)
# nginx itself copies 0 bytes from NULL at its start (ngx_pstrdup), and reads
# methods as words wherever they stand (ngx_http_parse_request_line)
san=(-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
     -fno-sanitize=nonnull-attribute,alignment
     -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1)
echo=-DNGX_HTTP_PUSH_TEST
flags=()

case $kind in
dynamic|test|faults)
    [ "$kind" != test ] || strict+=("$echo")
    [ "$kind" != faults ] || strict+=(-DFAULT_POINTS)
    copy_dev
    cd "$dir/src"
    NGX_CONF_FLAGS=()
    . ./conf_flags
    flags=("${NGX_CONF_FLAGS[@]}" --with-cc-opt="-O2 -g ${strict[*]}"
           --add-dynamic-module="$root")
    target=modules
    made=objs/ngx_http_push_module.so
    ;;
static)
    copy_source
    cd "$dir/src"
    flags=(--with-compat --with-threads --with-http_ssl_module
           --with-http_v2_module --with-http_realip_module
           --with-http_auth_request_module --with-http_stub_status_module
           --add-module="$root")
    target=binary
    made=objs/nginx
    ;;
asan)
    copy_source
    cd "$dir/src"
    flags=(--with-compat --with-debug --with-threads --with-http_ssl_module
           --with-http_v2_module --with-http_realip_module
           --with-http_auth_request_module --with-http_stub_status_module
           --with-cc-opt="${san[*]} $echo"
           --with-ld-opt="-fsanitize=address,undefined"
           --add-module="$root")
    target=binary
    made=objs/nginx
    ;;
source)
    fetch_source "$suite"
    exit
    ;;
bookworm|trixie|sid)
    copy_source "$kind"
    cd "$dir/src"
    flags=(--with-compat --with-threads --with-http_ssl_module
           --with-http_v2_module --with-http_realip_module
           --with-http_auth_request_module --with-http_stub_status_module
           --with-cc-opt="-O2 -g $echo" --add-module="$root")
    target=binary
    made=objs/nginx
    ;;
*)
    die "unknown kind $kind"
    ;;
esac

stamp=$({
    echo "$CC" "${flags[@]}"
    cat "$root/config" "$root/ngx_http_push_module/exports.map" .version
    ls "$root"/ngx_http_push_module "$root"/common/push* "$root"/t/echo
} | sha256sum)

if [ "$(cat objs/.stamp 2>/dev/null)" != "$stamp" ]; then
    rm -rf objs
    ./configure --with-cc="$CC" "${flags[@]}" > "$log" 2>&1 \
        || { tail -n 20 "$log" >&2; die "configure failed, see $log"; }
    echo "$stamp" > objs/.stamp
fi

echo "  MAKE  $out"
if ! make -j"$(nproc)" -f objs/Makefile "$target" > "$log" 2>&1; then
    grep -E -A6 '(error|warning): |undefined reference' "$log" >&2 \
        || tail -n 20 "$log" >&2
    die "make failed, see $log"
fi

cp "$made" "$out.new"
mv "$out.new" "$out"
touch "$out"
