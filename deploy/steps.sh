# shellcheck shell=bash
# The steps of a deployment. Each makes one thing if it is missing; none takes anything away.

publish_model() {
  [ -n "$MODEL_FOLDER" ] || return 0
  change "Publishing the model $MODEL_FOLDER to $MODEL_URI" \
    "Ask for roles/storage.objectUser on gs://$BUCKET." \
    "$PYTHON" -c 'import sys; from pathlib import Path; from train.publish import publish; publish(Path(sys.argv[1]), sys.argv[2])' \
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
    --update-env-vars="MODEL_URI=$MODEL_URI,MODEL_DIGEST=$(<"$WORK/model/digest")"
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
    bq_in_project mk --connection --location="$(tr 'A-Z' 'a-z' <<<"$PLACE")" --connection_type=CLOUD_RESOURCE "$CONNECTION"
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

register_sql() {
  local render=("$PYTHON" -m sql.render --model "${MODEL_FOLDER:-$MODEL_URI}" --project "$PROJECT" --dataset "$DATASET"
    --connection "$(tr 'A-Z' 'a-z' <<<"$PLACE").$CONNECTION" --endpoint "$ENDPOINT")
  [ -z "$MAX_BATCHING_ROWS" ] || render+=(--max-batching-rows "$MAX_BATCHING_ROWS")
  change "Writing the SQL" "Look at the message." "${render[@]}"
  cp "$WORK/change.out" "$WORK/functions.sql" 2>/dev/null || true
  change "Registering the SQL functions in $DATASET" \
    "Ask for roles/bigquery.dataEditor on the dataset $DATASET and roles/bigquery.connectionAdmin on the connection." \
    query "$WORK/functions.sql"
}

query() {
  bq_in_project --location="$PLACE" query --nouse_legacy_sql --max_rows=1000 <"$1"
}

grant_analysts() {
  :
}

check_parity() {
  [ -z "$DRY_RUN" ] || return 0
  local deadline=$((SECONDS + WAIT)) pause=1
  say 'Comparing the SQL function with the model'
  until query "$WORK/model/parity.sql" >"$WORK/parity.out" 2>"$WORK/parity.err"; do
    if ((SECONDS + pause >= deadline)) || ! grep -qE '403|[Pp]ermission|may not be read' "$WORK/parity.out" "$WORK/parity.err"; then
      failed 'Comparing the SQL function with the model' 'Read the logs.' "$(reason parity)"
    fi
    sleep "$pause"
    pause=$((pause < 16 ? pause * 2 : 16))
  done
  "$PYTHON" -m deploy.parity "$WORK/model/expected.json" <"$WORK/parity.out" 2>"$WORK/compared.err" >"$WORK/compared.out" ||
    failed 'Comparing' 'Do not use.' "$(reason compared)"
  say "$(<"$WORK/compared.out")"
}
