# shellcheck shell=bash
# How deploy.sh runs the tools: side by side to read, one by one and in bounded time to change.
# The rule: a command that fails names its step, why, and what to do next.

PYTHON=${PYTHON:-$HERE/.venv/bin/python}
TRANSIENT='HTTPError 429|status=\[429\]|RESOURCE_EXHAUSTED|rateLimitExceeded|UNAVAILABLE|Too Many Requests'
# What Google Cloud says of an account or a grant that it made a moment ago.
SETTLING='[Ss]ervice account .* does not exist|INVALID_ARGUMENT: .*does not exist'
SETTLES_WITHIN=300 # seconds that a grant takes at most to have an effect
ABSENT='404|[Nn]ot found|NOT_FOUND|matched no objects'
CHILD=''

prepare() {
  WORK=$(mktemp -d)
  trap clean_up EXIT
  trap 'exit 130' INT TERM
}

clean_up() {
  [ -z "$CHILD" ] || kill -- "-$CHILD" 2>/dev/null || true
  rm -rf "$WORK"
}

say() {
  printf '%s\n' "$*"
}

# observe NAME COMMAND...: run a command that only reads; its output, errors and status are files NAME.*.
observe() {
  local name=$1 status=0
  shift
  "$@" >"$WORK/$name.out" 2>"$WORK/$name.err" </dev/null || status=$?
  echo "$status" >"$WORK/$name.status"
}

# there NAME: whether the thing observed exists; anything but "not found" is a problem.
there() {
  [ "$(<"$WORK/$1.status")" = 0 ] && return
  grep -qE "$ABSENT" "$WORK/$1.err" "$WORK/$1.out" ||
    problem "The $1 cannot be read: $(reason "$1")"
  return 1
}

# reason NAME: what a command said of its failure, on one line: from its word ERROR on, else the end.
reason() {
  cat "$WORK/$1.err" "$WORK/$1.out" 2>/dev/null | awk '
    /^ *$/ {next}
    /ERROR|[Ee]rror in|Error:/ && !found {found = 1; text = ""}
    found && lines++ < 6 {text = text " " $0}
    !found {text = $0}
    END {print text}' | sed -E 's/ +/ /g; s/^ //'
}

# bounded COMMAND...: run a command for at most $WAIT seconds, with everything that it starts.
bounded() {
  local deadline=$((SECONDS + WAIT)) status=0
  set -m
  "$@" <&0 &
  CHILD=$!
  set +m
  while kill -0 "$CHILD" 2>/dev/null; do
    if ((SECONDS >= deadline)); then
      kill -- "-$CHILD" 2>/dev/null
      echo "It did not end within $WAIT seconds." >&2
    fi
    sleep 0.1
  done
  wait "$CHILD" || status=$?
  CHILD=''
  return "$status"
}

# change STEP NEXT COMMAND...: make one change, or print it; NEXT tells what to do when it fails.
change() {
  local step=$1 next=$2 deadline=$((SECONDS + WAIT)) pause=1
  shift 2
  say "$step"
  if [ -n "$DRY_RUN" ]; then
    printf '   '
    printf ' %q' "$@"
    printf '\n'
    return
  fi
  until bounded "$@" >"$WORK/change.out" 2>"$WORK/change.err"; do
    if ((SECONDS + pause >= deadline)) || ! grep -qE "$TRANSIENT|$SETTLING" "$WORK/change.err" "$WORK/change.out"; then
      failed "$step" "$next" "$(reason change)"
    fi
    sleep "$pause"
    pause=$((pause < 16 ? pause * 2 : 16))
  done
}

failed() {
  printf 'deploy.sh: failed: %s\n  Why: %s\n  Next: %s Then run deploy.sh again; it goes on from here.\n' "$1" "$3" "$2" >&2
  exit 1
}

# remove STEP NEXT COMMAND...: like change, and content when the thing is gone already.
remove() {
  local status=0
  (change "$@") 2>"$WORK/remove.err" || status=$?
  if [ "$status" != 0 ] && ! grep -qE "$ABSENT" "$WORK/remove.err"; then
    cat "$WORK/remove.err" >&2
    exit "$status"
  fi
}

# bq_in_project COMMAND...: bq without its greeting, its questions and its defaults from files.
bq_in_project() {
  bq --quiet --headless --project_id="$PROJECT" --format=json "$@"
}
