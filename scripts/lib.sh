# shellcheck shell=bash disable=SC2034
# What the scripts share; sourced by bash, after `set -eu`.
#
# Knows how to get from a bare Debian machine and a checkout to a configured build directory.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)

say() {
    printf '== %s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: run as root or install sudo: $*"
    fi
}

# The packages of scripts/packages, less the variants' that nobody asked for ($@: those wanted).
wanted_packages() {
    local name flag wanted
    while read -r name _ flag; do
        case $name in '' | '#'*) continue ;; esac
        if [ -z "$flag" ]; then
            printf '%s\n' "$name"
            continue
        fi
        for wanted in "$@"; do
            [ "$flag" != "$wanted" ] || printf '%s\n' "$name"
        done
    done <"$top/scripts/packages"
}

# Installs what is missing, and only that; says so.  Arguments: the variants asked for.
install_packages() {
    command -v dpkg-query >/dev/null ||
        { say "not a Debian system: assuming that the packages of scripts/packages are there"; return; }
    local name missing=()
    while read -r name; do
        dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed ||
            missing+=("$name")
    done < <(wanted_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    as_root apt-get -q -y update >/dev/null || say "apt-get update failed; trying with what is known"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
        "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
}

# configure_in FOLDER ARGUMENTS...: makes ./configure if need be and runs it in FOLDER, unless
# the same was done there before.
configure_in() {
    local folder=$1
    shift
    if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ] ||
        [ "$top/Makefile.am" -nt "$top/Makefile.in" ]; then
        say "making ./configure"
        local words
        words=$("$top/autogen.sh" 2>&1) || die "autogen.sh failed: $words"
    fi
    mkdir -p "$folder"
    local stamp="$folder/configured-with" asked="${CC:-cc} $*"
    if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$asked" ] ||
        [ "$top/configure" -nt "$folder/config.status" ]; then
        say "configuring in ${folder#"$top"/}"
        (cd "$folder" && "$top/configure" --quiet --enable-silent-rules "$@") || return 1
        printf '%s\n' "$asked" >"$stamp"
    fi
}
