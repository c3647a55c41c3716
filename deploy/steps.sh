# shellcheck shell=bash
# The steps of a deployment. Each makes one thing if it is missing; none takes anything away.

publish_model() {
  [ -n "$MODEL_FOLDER" ] || return 0
  change "Publishing the model $MODEL_FOLDER to $MODEL_URI" \
    "Ask for roles/storage.objectUser on gs://$BUCKET." \
    "$PYTHON" -c 'import sys; from pathlib import Path; from loading.publish import publish; publish(Path(sys.argv[1]), sys.argv[2])' \
    "$MODEL_FOLDER" "$MODEL_URI"
}

make_account() {
  there account && return
  change "Making the service account $ACCOUNT" \
    "Ask for roles/iam.serviceAccountCreator on $PROJECT." \
    gcloud iam service-accounts create "${ACCOUNT%%@*}" --project="$PROJECT" --display-name="SQL function $FUNCTION" \
    --no-user-output-enabled
}

bucket_granted() {
  grep -qF "roles/storage.objectViewer	serviceAccount:$ACCOUNT" "$WORK/bucket.out"
}

grant_bucket() {
  bucket_granted && return
  change "Letting $ACCOUNT read gs://$BUCKET" \
    "Ask for roles/storage.admin on gs://$BUCKET." \
    gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --member="serviceAccount:$ACCOUNT" \
    --role=roles/storage.objectViewer --no-user-output-enabled
}

# The source as .gcloudignore has it, with the requirements.txt that fits the model.
stage_source() {
  local file
  mkdir -p "$WORK/source"
  gcloud meta list-files-for-upload "$HERE" >"$WORK/files"
  while read -r file; do
    mkdir -p "$WORK/source/$(dirname "$file")"
    cp "$HERE/$file" "$WORK/source/$file"
  done <"$WORK/files"
  cp "$WORK/model/requirements.txt" "$WORK/source/requirements.txt"
}

hashed() {
  "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:40])'
}

deploy_function() {
  local arguments hash state deployed
  stage_source
  arguments=(
    "$FUNCTION" --gen2 --project="$PROJECT" --region="$REGION" --runtime="$(<"$WORK/model/runtime")"
    --source="$WORK/source" --entry-point=predict --trigger-http --service-account="$ACCOUNT"
    --memory="$MEMORY" --cpu="$CPU" --concurrency="$CONCURRENCY" --timeout="${TIMEOUT}s"
    --min-instances="$MIN_INSTANCES" --max-instances="$MAX_INSTANCES"
    --update-env-vars="MODEL_URI=$MODEL_URI,MODEL_DIGEST=$(<"$WORK/model/digest"),WORKERS=$WORKERS"
  )
  hash=$({ printf '%s\n' "${arguments[@]//"$WORK"/}" && cd "$WORK/source" && sort "$WORK/files" | xargs cat; } | hashed)
  read -r state deployed ENDPOINT <"$WORK/function.out" || true
  if [ "${state:-}" = ACTIVE ] && [ "${deployed:-}" = "$hash" ]; then
    say "The function $FUNCTION is as it should be"
    return
  fi
  # A function that is there keeps its callers: the flag would also take away some that others let in.
  there function || arguments+=(--no-allow-unauthenticated)
  change "Deploying the function $FUNCTION, which takes some minutes" \
    "Read the build's log: gcloud functions logs read $FUNCTION --gen2 --region=$REGION --project=$PROJECT." \
    gcloud functions deploy "${arguments[@]}" --update-labels="deployed=$hash" --quiet --format='value(serviceConfig.uri)'
  ENDPOINT=https://endpoint-of-the-function
  [ -n "$DRY_RUN" ] || ENDPOINT=$(<"$WORK/change.out")
}

make_connection() {
  there connection && return
  change "Making the connection $(connection_id)" \
    "Ask for roles/bigquery.connectionAdmin on $PROJECT." \
    bq_in_project mk --connection --location="$(lower "$PLACE")" --connection_type=CLOUD_RESOURCE "$CONNECTION"
  [ -n "$DRY_RUN" ] || observe connection bq_in_project show --connection "$(connection_id)"
}

connection_account() {
  if [ -n "$DRY_RUN" ] && ! there connection; then
    printf %s account-of-the-connection
    return
  fi
  sed -nE 's/.*"serviceAccountId": ?"([^"]+)".*/\1/p' "$WORK/connection.out"
}

grant_invoker() {
  local member
  member=serviceAccount:$(connection_account)
  if there function; then
    observe service gcloud run services get-iam-policy "$FUNCTION" --project="$PROJECT" --region="$REGION" \
      --flatten='bindings[].members' --format='value(bindings.role,bindings.members)'
    grep -qF "roles/run.invoker	$member" "$WORK/service.out" && return
  fi
  change "Letting the connection call the function" \
    "Ask for roles/run.admin on the service $FUNCTION." \
    gcloud run services add-iam-policy-binding "$FUNCTION" --project="$PROJECT" --region="$REGION" \
    --member="$member" --role=roles/run.invoker --no-user-output-enabled
}

make_dataset() {
  there dataset && return
  change "Making the dataset $DATASET in $PLACE" \
    "Ask for roles/bigquery.user on $PROJECT." \
    bq_in_project mk --dataset --location="$PLACE" "$PROJECT:$DATASET"
}

# The statements are written again only when something that they say has changed.
register_sql() {
  local hash lines=() name place
  place=$(lower "$PLACE")
  hash=$({ cat "$WORK/model/digest" "$HERE"/sql/*.py "$HERE"/serving/*.py &&
    printf '%s\n' "$MODEL_URI" "$ENDPOINT" "$(connection_id)" "$MAX_BATCHING_ROWS"; } | hashed)
  if recorded "sql $hash" && routines_there; then
    say "The SQL functions in $DATASET are as they should be"
    return
  fi
  render "$place" >"$WORK/functions.sql" 2>"$WORK/render.err" ||
    failed 'Writing the SQL' 'Correct what the message names.' "$(reason render)"
  while read -r name; do lines+=("routine $name"); done < <(declared)
  write_record "${lines[@]}"
  change "Registering the SQL functions in $DATASET" \
    "Ask for roles/bigquery.dataEditor on the dataset $DATASET and roles/bigquery.connectionAdmin on the connection." \
    bq_in_project --location="$PLACE" query --nouse_legacy_sql "$(<"$WORK/functions.sql")"
  write_record "sql $hash"
}

render() {
  local options=(--project "$PROJECT" --dataset "$DATASET" --connection "$1.$CONNECTION" --endpoint "$ENDPOINT")
  [ -z "$MAX_BATCHING_ROWS" ] || options+=(--max-batching-rows "$MAX_BATCHING_ROWS")
  # The folder while it is not yet published: a dry run publishes nothing.
  "$PYTHON" -m sql.render --model "${MODEL_FOLDER:-$MODEL_URI}" "${options[@]}"
}

declared() {
  sed -nE 's/^CREATE OR REPLACE FUNCTION .*\.([a-z_0-9]+)\(.*/\1/p' "$WORK/functions.sql"
}

routines_there() {
  local name
  there dataset || return 1
  while read -r name; do
    grep -qF "\"routineId\":\"$name\"" "$WORK/routines.out" || return 1
  done < <(recorded_of routine)
}

# granted NAME ROLE MEMBER: whether the policy observed under NAME has it.
granted() {
  [ -s "$WORK/$1.out" ] && "$PYTHON" -c 'import json, sys
policy = json.load(open(sys.argv[1]))
sys.exit(not any(it["role"] == sys.argv[2] and sys.argv[3] in it["members"] for it in policy.get("bindings", [])))' \
    "$WORK/$1.out" "$2" "$3"
}

connection_user() {
  there connection && granted users roles/bigquery.connectionUser "$1"
}

# Both rights are added to what is there: to call a function, and to use its connection.
grant_analysts() {
  local member name
  [[ $GRANT =~ [^[:space:]] ]] || return 0
  if [ -z "$DRY_RUN" ]; then
    for name in $(recorded_of routine); do
      observe "policy-$name" bq_in_project get-iam-policy --routine "$PROJECT:$DATASET.$name" &
    done
    wait
  fi
  for member in $GRANT; do
    connection_user "$member" || change "Letting $member use the connection" \
      "Ask for roles/bigquery.connectionAdmin on the connection $(connection_id)." \
      bq_in_project add-iam-policy-binding --connection --member="$member" --role=roles/bigquery.connectionUser \
      "$(connection_id)"
    for name in $(recorded_of routine); do
      granted "policy-$name" roles/bigquery.dataViewer "$member" || change "Letting $member call $DATASET.$name" \
        "Ask for roles/bigquery.dataOwner on the dataset $DATASET." \
        bq_in_project add-iam-policy-binding --routine --member="$member" --role=roles/bigquery.dataViewer \
        "$PROJECT:$DATASET.$name"
    done
  done
}

score_example() {
  bq_in_project --location="$PLACE" query --nouse_legacy_sql --max_rows=1000 <"$WORK/model/parity.sql"
}

# The query that ends it also waits for the grants: Google Cloud takes up to some minutes to act on a new one.
check_parity() {
  local step='Comparing what SQL answers with the model' pause=1
  local deadline=$((SECONDS + (WAIT < SETTLES_WITHIN ? WAIT : SETTLES_WITHIN)))
  [ -z "$DRY_RUN" ] || return 0
  say "$step"
  until bounded score_example >"$WORK/parity.out" 2>"$WORK/parity.err"; do
    if ! grep -qE "$TRANSIENT|403|[Pp]ermission|may not be read" "$WORK/parity.out" "$WORK/parity.err"; then
      failed "$step" "Read the log: gcloud functions logs read $FUNCTION --gen2 --region=$REGION --project=$PROJECT." \
        "$(reason parity)"
    fi
    ((SECONDS + pause < deadline)) || failed "$step" \
      "The grants did not take effect in time: compare those of $ACCOUNT on gs://$BUCKET and of the connection on $FUNCTION." \
      "$(reason parity)"
    sleep "$pause"
    pause=$((pause < 16 ? pause * 2 : 16))
  done
  "$PYTHON" -m deploy.parity "$WORK/model/expected.json" <"$WORK/parity.out" >"$WORK/compared.out" 2>"$WORK/compared.err" ||
    failed "$step" 'Do not use the SQL functions: the deployed packages or the model differ from those here.' "$(reason compared)"
  say "$(<"$WORK/compared.out")"
}
