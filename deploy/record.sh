# shellcheck shell=bash
# The record of what deploy.sh made: one object beside the models, so that --destroy works from any machine.
# The rule: a thing is written down before it is made, and only when it was not there.

record_uri() {
  printf 'gs://%s/deployments/%s/%s/%s.txt' "$BUCKET" "$PROJECT" "$REGION" "$FUNCTION"
}

recorded() {
  grep -qxF "$1" "$WORK/record.out"
}

# write_record LINE...: the record with these lines added; no request when they are there.
write_record() {
  local line before
  before=$(<"$WORK/record.out")
  for line in "$@"; do
    recorded "$line" || printf '%s\n' "$line" >>"$WORK/record.out"
  done
  [ "$before" = "$(<"$WORK/record.out")" ] || save_record
}

save_record() {
  change "Writing down what is made, in $(record_uri)" \
    "Ask for roles/storage.objectUser on gs://$BUCKET." \
    gcloud storage cp "$WORK/record.out" "$(record_uri)" --no-user-output-enabled
}

plan_record() {
  local lines=()
  there account || lines+=("account $ACCOUNT")
  bucket_granted || lines+=("reader $ACCOUNT")
  there function || lines+=("function $FUNCTION")
  there connection || lines+=("connection $(connection_id)")
  there dataset || lines+=("dataset $DATASET")
  [ "${#lines[@]}" -eq 0 ] || write_record "${lines[@]}"
}
