#!/usr/bin/env bash
# Makes the first keys of callers: in a cluster as a Secret that the gateway's pods are given, elsewhere in the store of
# this machine. What is there already stays. No key is written to a file, shown in a list of processes or to a trace.
set -euo pipefail
{ set +x; } 2>/dev/null # `bash -x` would write every key to the terminal, or into a log
ulimit -c 0
umask 077
export LC_ALL=C # so that [a-z] means these
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"

where='' context='' namespace=bedrock-system secret=bedrock-api-keys totp='' dry='' names=()

usage() {
    cat <<'END'
Usage: scripts/setup-auth.sh [OPTIONS] [NAME…]

Makes a key for each NAME (`admin` unless given; a-z, 0-9 and _) that has none yet.

Where kubectl has a context, each key becomes API_KEY_NAME (API_KEY_ADMIN) in the Secret bedrock-api-keys of the
namespace bedrock-system, which the gateway imports; it is shown nowhere, and read back by `kubectl get secret`.
Elsewhere `llmauth keys create` makes it in the store of this machine (LLMAUTH_CONFIG, LLMAUTH_HOME). Then it is
printed once, alone on a line of standard output: KEY=$(scripts/setup-auth.sh laptop).

  --cluster          the Secret, whatever kubectl's context is
  --local            the store of this machine, though there is a cluster
  --context NAME     kubectl's context; the current one unless given
  --namespace NAME   bedrock-system unless given; made where there is none
  --secret NAME      bedrock-api-keys unless given
  --totp             a second factor for each key, and ten backup codes (not in the Secret)
  --dry-run          only say what would be done
  -h, --help         this text

Exit status: 0 done, 1 failed, 2 wrong use.
END
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "Error: $*"; exit 1; }
misused() { say "Error: $* See scripts/setup-auth.sh --help."; exit 2; }

# ---- in a cluster ------------------------------------------------------------------------------------------------

kube() { kubectl ${context:+--context "$context"} --request-timeout 20s "$@"; }

# 256 bits, as `openssl rand -hex 32` gives them. Keys in the form that `llmauth keys create` prints live in its own
# store, and are not imported.
random_key() {
    local key
    key="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"
    [ "${#key}" -eq 64 ] || fail "the system gave no random bytes."
    printf '%s' "$key"
}

# Whether the Secret has this variable, or the other spelling of it: two of one name would keep the server from starting.
has() { case " $held " in *" API_KEY_$1 "* | *" BEDROCK_API_KEY_$1 "*) ;; *) return 1 ;; esac; }

# The values travel on standard input. `kubectl apply` would repeat them in an annotation, which `describe` shows; and a
# patch that names the version it is meant for overwrites nothing that somebody else has just made.
write_secret() {
    local version="$1" entries="$2" meta
    if [ -z "$version" ]; then
        meta="\"metadata\":{\"name\":\"$secret\",\"namespace\":\"$namespace\"}"
        printf '{"apiVersion":"v1","kind":"Secret","type":"Opaque",%s,"stringData":{%s}}' "$meta" "$entries" |
            kube create -f - >&2
    else
        printf '{"metadata":{"resourceVersion":"%s"},"stringData":{%s}}' "$version" "$entries" |
            kube patch secret "$secret" -n "$namespace" --type merge --patch-file /dev/stdin >&2
    fi
}

provide_namespace() {
    local there
    there="$(kube get namespace "$namespace" --ignore-not-found -o name)" || unreachable
    [ -z "$there" ] || return 0
    if [ -n "$dry" ]; then
        say "Would make the namespace $namespace."
    else
        kube create namespace "$namespace" >&2 || fail "the namespace $namespace cannot be made; ask who may."
    fi
}

unreachable() {
    fail "kubectl cannot ask the cluster (its own words are above). --local makes keys in the store of this machine."
}

in_cluster() {
    local found version='' held='' entries='' made='' name variable key place
    [ -z "$totp" ] || misused "A key in the Secret has no second factor. In a running gateway: kubectl exec -n" \
        "$namespace deploy/bedrock-proxy -- llmauth keys create NAME --require-totp."
    say "Cluster: context ${context:-$(kubectl config current-context 2>/dev/null || echo none)}," \
        "namespace $namespace, Secret $secret"
    provide_namespace
    # Its version and the names in it; no value leaves the cluster.
    # shellcheck disable=SC2016
    found="$(kube get secret "$secret" -n "$namespace" --ignore-not-found -o \
        go-template='{{.metadata.resourceVersion}}{{range $name, $value := .data}} {{$name}}{{end}}')" || unreachable
    read -r version held <<<"$found" || true
    for name in "${names[@]}"; do
        variable="$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')"
        if has "$variable"; then
            say "  API_KEY_$variable  is there already, and stays as it is"
        elif [ -n "$dry" ]; then
            say "  API_KEY_$variable  would be made"
        else
            key="$(random_key)"
            entries="$entries${entries:+,}\"API_KEY_$variable\":\"$key\""
            made="$made API_KEY_$variable"
        fi
    done
    [ -n "$made" ] || return 0
    write_secret "$version" "$entries" || fail "the Secret was not written, and nothing was changed. Where somebody" \
        "else changed it at the same moment, run this again."
    for variable in $made; do say "  $variable  made"; done
    place="-n $namespace${context:+ --context $context}"
    say "Read one back: kubectl get secret $secret $place -o jsonpath='{.data.${made##* }}' | base64 -d"
    [ -z "$version" ] || say "Pods that run know the old ones: kubectl rollout restart deployment/bedrock-proxy $place"
}

# ---- on this machine -----------------------------------------------------------------------------------------------

find_llmauth() {
    command -v llmauth && return
    [ -x "$root/.venv/bin/llmauth" ] || fail "llmauth is not installed; run $root/scripts/install first."
    printf '%s\n' "$root/.venv/bin/llmauth"
}

on_this_machine() {
    local llmauth listed name options=()
    llmauth="$(find_llmauth)"
    if [ -n "$dry" ]; then
        for name in "${names[@]}"; do
            say "Would make the key '$name'${totp:+ with a second factor}, unless there is one: $llmauth keys create $name"
        done
        return
    fi
    [ ! -f /dev/fd/1 ] || fail "standard output is a file, and the keys would stay in it. Let it be a terminal or a pipe."
    listed="$("$llmauth" keys list --json)" || fail "llmauth cannot read its keys (its own words are above)."
    [ -z "$totp" ] || options=(--require-totp)
    for name in "${names[@]}"; do
        case "$listed" in
            *"\"name\": \"$name\","*)
                say "Key '$name' is there already, and stays as it is. Another in its place: llmauth keys rotate $name"
                continue
                ;;
        esac
        "$llmauth" keys create "$name" ${options[@]+"${options[@]}"} || fail "the key '$name' was not made."
        [ -z "$totp" ] || "$llmauth" keys enrol-totp "$name" ||
            fail "the key '$name' has no second factor yet, and is refused without: llmauth keys enrol-totp $name"
    done
    say "Try one: curl http://127.0.0.1:8080/auth/whoami -H \"X-API-Key: \$KEY\""
}

# ---- what is asked for -----------------------------------------------------------------------------------------------

add_name() {
    [[ "$1" =~ ^[a-z][a-z0-9_]{0,49}$ ]] || misused "'$1' cannot be a name here: a-z first, then a-z, 0-9 and _."
    case " ${names[*]-} " in *" $1 "*) ;; *) names+=("$1") ;; esac
}

# Namespace and Secret go into what is sent to the cluster, so nothing in them may end a text there.
set_option() {
    local form='^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$'
    [ "$1" != --context ] || form='^[A-Za-z0-9][A-Za-z0-9@:/_.-]*$'
    [[ "$2" =~ $form ]] || misused "'$2' cannot be the value of $1."
    case "$1" in
        --context) context="$2" ;;
        --namespace) namespace="$2" ;;
        --secret) secret="$2" ;;
    esac
}

while [ $# -gt 0 ]; do
    case "$1" in
        --cluster | --local)
            [ -z "$where" ] || [ "$where" = "${1#--}" ] || misused "--cluster and --local exclude each other."
            where="${1#--}"
            ;;
        --context | --namespace | --secret)
            [ $# -ge 2 ] || misused "$1 needs a value."
            set_option "$1" "$2"
            shift
            ;;
        --totp) totp=yes ;;
        --dry-run) dry=yes ;;
        -h | --help) usage && exit ;;
        -*) misused "unknown option '$1'." ;;
        *) add_name "$1" ;;
    esac
    shift
done
[ "${#names[@]}" -gt 0 ] || names=(admin)
if [ -z "$where" ]; then
    where=local
    if command -v kubectl >/dev/null && { [ -n "$context" ] || kubectl config current-context >/dev/null 2>&1; }; then
        where=cluster
    fi
fi
if [ "$where" = cluster ]; then
    command -v kubectl >/dev/null || fail "kubectl is not on the path; without it there is --local."
    in_cluster
else
    on_this_machine
fi
