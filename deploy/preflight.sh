# shellcheck shell=bash
# What must be true before anything is made. All of it is read side by side, and all problems are listed together.

APIS='artifactregistry bigquery bigqueryconnection cloudbuild cloudfunctions iam run storage'
# What the steps need of the person or account that runs them, on the project.
PERMISSIONS='bigquery.connections.create bigquery.connections.delegate bigquery.connections.get bigquery.datasets.create
  bigquery.jobs.create bigquery.routines.create cloudfunctions.functions.create cloudfunctions.functions.update
  iam.serviceAccounts.actAs iam.serviceAccounts.create run.services.setIamPolicy'

OLDEST_GCLOUD=500 # of 2024-11; older ones were not tried

preflight() {
  say "Checking $PROJECT, $REGION and the model"
  check_tools
  stop_on_problems
  read_everything
  check_versions
  check_login
  check_apis
  check_permissions
  check_places
  check_model
  stop_on_problems
}

check_tools() {
  command -v gcloud >/dev/null || problem 'gcloud is not installed: https://cloud.google.com/sdk/docs/install.'
  command -v bq >/dev/null || problem 'bq is not installed: gcloud components install bq.'
  command -v curl >/dev/null || problem 'curl is not installed.'
  "$PYTHON" -c '' 2>/dev/null || problem "There is no $PYTHON: run 'make .venv/installed' first."
}

read_everything() {
  ACCOUNT=$SERVICE_ACCOUNT
  [[ $ACCOUNT == *@* ]] || ACCOUNT=$ACCOUNT@$PROJECT.iam.gserviceaccount.com
  PLACE=${LOCATION:-$REGION}
  observe versions gcloud version --format='value("Google Cloud SDK",bq)' &
  observe apis gcloud services list --enabled --project="$PROJECT" --format='value(config.name)' &
  observe permissions read_permissions &
  observe account gcloud iam service-accounts describe "$ACCOUNT" --project="$PROJECT" --format='value(email)' &
  observe bucket gcloud storage buckets get-iam-policy "gs://$BUCKET" --flatten='bindings[].members' \
    --format='value(bindings.role,bindings.members)' &
  observe record gcloud storage cat "$(record_uri)" &
  observe function gcloud functions describe "$FUNCTION" --v2 --project="$PROJECT" --region="$REGION" \
    --format='value[separator=" "](state,labels.deployed,serviceConfig.uri)' &
  observe dataset bq_in_project show "$PROJECT:$DATASET" &
  observe model "$PYTHON" -m deploy.model --model "${MODEL_FOLDER:-$MODEL_URI}" --functions "$PROJECT.$DATASET" \
    --output "$WORK/model" &
  wait
  if [ "$(<"$WORK/dataset.status")" = 0 ]; then
    PLACE=$(sed -nE 's/.*"location": ?"([^"]+)".*/\1/p' "$WORK/dataset.out")
    observe routines bq_in_project ls --routines --max_results=1000 "$PROJECT:$DATASET" &
  fi
  observe connection bq_in_project show --connection "$(connection_id)" &
  wait
  if [[ $GRANT =~ [^[:space:]] ]] && [ "$(<"$WORK/connection.status")" = 0 ]; then
    observe users bq_in_project get-iam-policy --connection "$(connection_id)"
  fi
}

connection_id() {
  printf '%s.%s.%s' "$PROJECT" "$(lower "$PLACE")" "$CONNECTION"
}

# gcloud has no command for this question.
read_permissions() {
  local url=${CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER:-https://cloudresourcemanager.googleapis.com/} names
  # shellcheck disable=SC2086
  names=$(printf '"%s",' $PERMISSIONS)
  printf 'header = "Authorization: Bearer %s"\n' "$(gcloud auth print-access-token)" |
    curl --silent --show-error --fail --config - --header 'Content-Type: application/json' \
      --data "{\"permissions\": [${names%,}]}" "${url}v1/projects/$PROJECT:testIamPermissions"
}

check_versions() {
  local version
  version=$(cut -f 1 "$WORK/versions.out")
  if [[ ! ${version%%.*} =~ ^[0-9]+$ ]] || ((${version%%.*} < OLDEST_GCLOUD)); then
    problem "gcloud is version ${version:-unknown}, $OLDEST_GCLOUD is needed: gcloud components update."
  fi
}

check_login() {
  [ "$(<"$WORK/apis.status")" = 0 ] && return
  problem "The project $PROJECT cannot be read: $(reason apis) Log in with 'gcloud auth login' and check --project."
}

check_apis() {
  local api missing=''
  [ "$(<"$WORK/apis.status")" = 0 ] || return 0
  for api in $APIS; do
    grep -qx "$api.googleapis.com" "$WORK/apis.out" || missing+=" $api.googleapis.com"
  done
  [ -z "$missing" ] || problem "APIs are not enabled: gcloud services enable$missing --project=$PROJECT"
}

check_permissions() {
  local name missing=''
  if [ "$(<"$WORK/permissions.status")" != 0 ]; then
    problem "Your permissions on $PROJECT cannot be read: $(reason permissions)"
    return
  fi
  for name in $PERMISSIONS; do
    grep -qF "\"$name\"" "$WORK/permissions.out" || missing+=" $name"
  done
  [ -z "$missing" ] || problem "You lack these permissions on $PROJECT:$missing"
}

check_places() {
  there bucket || problem "The bucket gs://$BUCKET is not there or its policy cannot be read: $(reason bucket)"
  there record || true
  if there account; then :; elif [[ $SERVICE_ACCOUNT == *@* ]]; then
    problem "The service account $SERVICE_ACCOUNT does not exist; give a name to have one made."
  fi
  if there function && ! grep -qE '^[A-Z]+ [0-9a-f]{40} ' "$WORK/function.out"; then
    problem "The function $FUNCTION was not made by deploy.sh: choose another --function."
  fi
  there connection || true
  if there dataset; then
    [ -z "$LOCATION" ] || [ "$(lower "$LOCATION")" = "$(lower "$PLACE")" ] ||
      problem "The dataset $DATASET is in $PLACE, not in $LOCATION: leave --location out or name another dataset."
    [ -n "$LOCATION" ] || check_location "$PLACE"
    there routines && check_routines
  fi
}

# A SQL function of the same name that another model answers must not be replaced.
check_routines() {
  local name
  [ -f "$WORK/model/functions" ] || return 0
  while read -r name; do
    if grep -qF "\"routineId\":\"$name\"" "$WORK/routines.out" && ! recorded "routine $name"; then
      problem "$DATASET.$name is there and was not made by this deployment: choose another --dataset."
    fi
  done <"$WORK/model/functions"
}

check_model() {
  [ "$(<"$WORK/model.status")" = 0 ] && return
  if [ -s "$WORK/model.out" ]; then
    while read -r line; do problem "$line"; done <"$WORK/model.out"
  else
    problem "The model cannot be read: $(reason model)"
  fi
}
