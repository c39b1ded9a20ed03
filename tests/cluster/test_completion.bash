#!/bin/bash
# The bash completion knows every command and flag of the program, and asks it for keys.
set -u
top=${top_srcdir:-.}
program=${HOLDFAST:-$(cd "${top_builddir:-.}" && pwd)/holdfast}
failed=0
# shellcheck source=completion/holdfast
source "$top/completion/holdfast"
compopt() { :; } # only works within a completion

# Prints what is offered for the words given, the last one being completed.
offer() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _holdfast
    printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
}

expect() { # what is offered, then the words
    local expected=$1 offered
    shift
    offered=$(offer "$@")
    if [[ $offered != "$expected" ]]; then
        echo "for \"$*\" expected \"$expected\", got \"$offered\""
        failed=1
    fi
}

# ---- every command and every flag that the program tells of
commands=$("$program" help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' | sort -u)
offered=$(offer holdfast "")
for command in $commands; do
    [[ " $offered" == *" $command "* ]] || { echo "command $command is not completed"; failed=1; }
    flags=$("$program" "$command" --help 2>/dev/null | grep -o -- '--[a-z-]*=\{0,1\}' | sort -u)
    known=$(_holdfast_flags "$command")
    for flag in $flags; do
        [[ " $known " == *" ${flag%=}"[=\ ]* ]] ||
            { echo "flag $flag of $command is not completed"; failed=1; }
    done
done
[[ $(wc -w <<<"$commands") -ge 10 ]] || { echo "the program tells of too few commands: $commands"; failed=1; }

# ---- values
expect "json " holdfast get --output = j
expect "json text " holdfast get --output=
expect "lease linearizable " holdfast get --consistency = l
expect "--limit= " holdfast list --li

# ---- keys, from a program that stands in for a cluster
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/fake" <<'END'
#!/bin/bash
printf '%s\n' "$*" >"${0%/*}/asked"
printf 'app/1\napp/2\n'
END
chmod +x "$dir/fake"
expect "app/1 app/2 " "$dir/fake" get --endpoints = db1:80 app/
asked=$(cat "$dir/asked")
[[ $asked == "list --keys-only "*" --endpoints=db1:80 -- app/" ]] || { echo "asked: $asked"; failed=1; }
expect "app/1 app/2 " "$dir/fake" put ""
expect " " "$dir/fake" put app/1 "" # the value
expect "app/1 app/2 " "$dir/fake" batch set a 1 delete ""
exit $failed
