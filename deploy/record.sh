# shellcheck shell=bash
# The record of what deploy.sh made: one object beside the models, so that --destroy works from any machine.
# The rule: a thing is written down before it is made, and only when it was not there before.

record_uri() {
  printf 'gs://%s/deployments/%s/%s/%s.txt' "$BUCKET" "$PROJECT" "$REGION" "$FUNCTION"
}

recorded() {
  grep -qxF "$1" "$WORK/record.out"
}

# recorded_of KIND: what the record says after this word, a line each.
recorded_of() {
  sed -n "s/^$1 //p" "$WORK/record.out"
}

# write_record LINE...: the record with these lines added; no request when they are there.
write_record() {
  local line changed=''
  for line in "$@"; do
    if ! recorded "$line"; then
      [[ $line == sql\ * ]] && sed -i.before '/^sql /d' "$WORK/record.out"
      printf '%s\n' "$line" >>"$WORK/record.out"
      changed=yes
    fi
  done
  [ -n "$changed" ] || return 0
  change "Writing down what is made, in $(record_uri)" \
    "Ask for roles/storage.objectUser on gs://$BUCKET." \
    gcloud storage cp "$WORK/record.out" "$(record_uri)" --no-user-output-enabled
}

plan_record() {
  local lines=() member
  there account || lines+=("account $ACCOUNT")
  bucket_granted || lines+=("reader $ACCOUNT")
  there function || lines+=("function $FUNCTION")
  there connection || lines+=("connection $(connection_id)")
  there dataset || lines+=("dataset $DATASET")
  for member in $GRANT; do
    connection_user "$member" || lines+=("analyst $(connection_id) $member")
  done
  [ "${#lines[@]}" -eq 0 ] || write_record "${lines[@]}"
}
